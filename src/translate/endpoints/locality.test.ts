import { describe, expect, it } from "vitest";
import type { LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting } from "#api/istio/traffic-policy.ts";
import type { StringMap } from "#api/meta.ts";
import type { Endpoint } from "#model/endpoint.ts";
import { parseLocality } from "#model/locality.ts";
import { groupByLocality, type LocalityPolicy, placed } from "./locality.ts";

/** An endpoint whose address tells it in the results. */
function at(locality: string, address = locality, labels: StringMap = {}): Endpoint {
  const unsaid = {
    cluster: "",
    network: "",
    workload: "",
    serviceAccount: "",
    mutualTls: false,
    node: "",
    hostname: "",
  };
  const place = parseLocality(locality);
  return { ...unsaid, ...place, address, labels, port: 80, weight: 1, healthy: true, namespace: "shop" };
}

/** `priority: addresses` of each group, with its weight where that is not the number of its endpoints. */
function order(endpoints: readonly Endpoint[], from: string, policy: LocalityPolicy, labels: StringMap = {}) {
  const groups = placed(groupByLocality(endpoints), { locality: parseLocality(from), labels }, policy);
  return groups.map(({ priority, weight, endpoints: members }) => {
    const share = weight === members.length ? "" : ` of ${weight}`;
    return `${priority}: ${members.map(({ address }) => address).join(" ")}${share}`;
  });
}

function watched(setting: LocalityLoadBalancerSetting): LocalityPolicy {
  return { kind: "localities", setting, failsOver: true };
}

function zones(setting: ZoneAwareLoadBalancerSetting): LocalityPolicy {
  return { kind: "zones", setting };
}

const network = "topology.istio.io/network";
const cluster = "topology.istio.io/cluster";

describe("failover between localities", () => {
  it("goes by what the caller's and the endpoint's have in common, without gaps", () => {
    const all = ["r1/z1/s1", "r1/z1/s2", "r1/z2", "r2"].map((each) => at(each));
    expect(order(all, "r1/z1/s1", watched({}))).toEqual(["0: r1/z1/s1", "1: r1/z1/s2", "2: r1/z2", "3: r2"]);
    expect(order(all.slice(2), "r1/z1/s1", watched({}))).toEqual(["0: r1/z2", "1: r2"]);
    expect(order(all, "elsewhere", watched({})).every((each) => each.startsWith("0:"))).toBe(true);
  });

  it("goes to the region that the setting names before others", () => {
    const all = ["r1", "r2", "r3"].map((each) => at(each));
    expect(order(all, "r1", watched({ failover: [{ from: "r1", to: "r3" }] }))).toEqual(["0: r1", "2: r2", "1: r3"]);
    expect(order(all, "r2", watched({ failover: [{ from: "r1", to: "r3" }] }))).toEqual(["1: r1", "0: r2", "1: r3"]);
  });
});

describe("failover by labels", () => {
  /** Of each network and cluster; the networks are apart. */
  const all = ["n1 c1", "n1 c2", "n2 c1", "n2 c2"].map((name) => {
    const [n = "", c = ""] = name.split(" ");
    return at("r1", name.replace(" ", "-"), { [network]: n, [cluster]: c });
  });

  // Istio's TestApplyLocalitySetting, failover priority.
  it.each([
    [[network, cluster], { [network]: "test", [cluster]: "test" }, ["0: n1-c1 n1-c2 n2-c1 n2-c2"]],
    [[network, cluster], { [network]: "n1", [cluster]: "test" }, ["0: n1-c1 n1-c2", "1: n2-c1 n2-c2"]],
    [[network, cluster], { [network]: "test", [cluster]: "c1" }, ["0: n1-c1 n2-c1", "1: n1-c2 n2-c2"]],
    [[network, cluster], { [network]: "n1", [cluster]: "c1" }, ["0: n1-c1", "1: n1-c2", "2: n2-c1", "3: n2-c2"]],
    [[cluster, network], { [network]: "n1", [cluster]: "c1" }, ["0: n1-c1", "1: n2-c1", "2: n1-c2 n2-c2"]],
    [[`${network}=n1`], { [network]: "n2", [cluster]: "test" }, ["0: n1-c1 n1-c2", "1: n2-c1 n2-c2"]],
    [[`${network}=n3`], { [network]: "n2" }, ["0: n1-c1 n1-c2 n2-c1 n2-c2"]],
    [[`${network}=n1`, `${cluster}=c2`], {}, ["0: n1-c2", "1: n1-c1", "2: n2-c1 n2-c2"]],
  ])("%s of %s", (failoverPriority, labels, expected) => {
    expect(order(all, "r1", watched({ failoverPriority }), labels)).toEqual(expected);
  });

  it("takes a label that neither has for the same, as an empty one", () => {
    const two = [at("r1", "with", { tier: "gold" }), at("r1", "without")];
    expect(order(two, "r1", watched({ failoverPriority: ["tier"] }))).toEqual(["0: without", "1: with"]);
    expect(order(two, "r1", watched({ failoverPriority: ["tier="] }), { tier: "gold" })).toEqual([
      "0: without",
      "1: with",
    ]);
  });

  it("goes before failover by region, which orders each of its steps", () => {
    const four = ["r1", "r2"].flatMap((region) =>
      ["c1", "c2"].map((c) => at(region, `${region}-${c}`, { [cluster]: c })),
    );
    const setting = { failoverPriority: [cluster], failover: [{ from: "r1", to: "r3" }] };
    expect(order(four, "r1", watched(setting), { [cluster]: "c1" })).toEqual([
      "0: r1-c1",
      "2: r1-c2",
      "1: r2-c1",
      "3: r2-c2",
    ]);
  });
});

describe("shares of localities", () => {
  const all = ["r1/z1/s1", "r1/z1/s2", "r1/z2", "r2"].map((each) => at(each));
  const share = (from: string, to: Readonly<Record<string, number>>) => watched({ distribute: [{ from, to }] });

  it("are split by the endpoints of what a wildcard means, and what has none is left out", () => {
    const found = order(all, "r1/z1/s1", share("r1/z1/*", { "r1/z1/*": 80, r2: 20 }));
    expect(found).toEqual(["0: r1/z1/s1 of 40", "0: r1/z1/s2 of 40", "0: r2 of 20"]);
  });

  it("are for callers of their locality only; a region must be the same", () => {
    const unchanged = all.map(({ address }) => `0: ${address}`);
    expect(order(all, "r2", share("r1/*", { "r1/*": 100 }))).toEqual(unchanged);
    expect(order(all, "r2", share("", { "r1/*": 100 }))).toEqual(unchanged);
    expect(order(all, "r2", share("*", { r2: 100 }))).toEqual(["0: r2 of 100"]);
  });
});

describe("zones that Envoy knows", () => {
  const all = ["r1/z1", "r1/z2", "r2/z1", "r3/z1"].map((each) => at(each));

  it("are one within the caller's region, then comes the region that is named, then the others", () => {
    expect(order(all, "r1/z1", zones({}))).toEqual(["0: r1/z1", "0: r1/z2", "1: r2/z1", "1: r3/z1"]);
    const failover = [{ from: "r1", to: "r3" }];
    expect(order(all, "r1/z1", zones({ failover }))).toEqual(["0: r1/z1", "0: r1/z2", "2: r2/z1", "1: r3/z1"]);
    expect(order(all, "elsewhere", zones({ failover })).every((each) => each.startsWith("0:"))).toBe(true);
  });

  it("are within each step of labels, and nothing where they are off", () => {
    const two = [
      at("r1", "far", { tier: "tin" }),
      at("r1", "near", { tier: "gold" }),
      at("r2", "r2", { tier: "gold" }),
    ];
    const found = order(two, "r1", zones({ failoverPriority: ["tier"] }), { tier: "gold" });
    expect(found).toEqual(["0: near", "2: far", "1: r2"]);
    expect(order(all, "r1/z1", zones({ enabled: false })).every((each) => each.startsWith("0:"))).toBe(true);
  });
});
