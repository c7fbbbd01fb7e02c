import { describe, expect, it } from "vitest";
import { recordTypes } from "./message.ts";
import { LookupTable } from "./table.ts";

const service = (shortname: string, namespace: string, ...ips: string[]) => ({
  ips,
  registry: "Kubernetes",
  shortname,
  namespace,
});
const external = (...ips: string[]) => ({ ips, registry: "External", shortname: "", namespace: "" });

const table = new LookupTable(
  {
    "reviews.shop.svc.cluster.local": service("reviews", "shop", "10.110.0.5"),
    "reviews.other.svc.cluster.local": service("reviews", "other", "10.110.0.6"),
    "db.shop.svc.cluster.local": service("db", "shop", "10.10.0.8", "10.10.0.9"),
    "db-0.db.shop.svc.cluster.local": service("db-0", "shop", "10.10.0.8"),
    "far.shop.svc.example.org": service("far", "shop", "10.110.0.7"),
    "httpbin.org": external("240.240.0.1"),
    "*.Wild.example.com": external("240.240.0.2"),
    "*.deep.wild.example.com": external("240.240.0.3"),
    "six.example.com": external("2001:db8::1"),
    "empty.example.com": external(),
  },
  { namespace: "shop", clusterDomain: "cluster.local" },
);

function addresses(name: string): readonly string[] | undefined {
  return table
    .answers(name, recordTypes.a)
    ?.map((answer) => (answer.kind === "a" ? answer.address : `-> ${answer.target}`));
}

describe("a Pod's names", () => {
  it("are those that Kubernetes gives a Service, its short name only in its own namespace", () => {
    for (const name of ["reviews", "reviews.shop", "reviews.shop.svc", "reviews.shop.svc.cluster.local"])
      expect([name, addresses(name)]).toEqual([name, ["10.110.0.5"]]);
    for (const name of ["reviews.other", "reviews.other.svc", "reviews.other.svc.cluster.local"])
      expect([name, addresses(name)]).toEqual([name, ["10.110.0.6"]]);
    expect(addresses("db.shop")).toEqual(["10.10.0.8", "10.10.0.9"]);
    expect(addresses("db-0.db.shop.svc.cluster.local")).toEqual(["10.10.0.8"]);
    expect(addresses("far.shop.svc.example.org"), "another domain's service").toEqual(["10.110.0.7"]);
    expect(addresses("far.shop")).toBeUndefined();
  });

  it("of other hosts are found as they are, and through the first search domain", () => {
    expect(addresses("httpbin.org")).toEqual(["240.240.0.1"]);
    expect(addresses("httpbin.org.shop.svc.cluster.local")).toEqual(["-> httpbin.org", "240.240.0.1"]);
    expect(addresses("reviews.other.shop.svc.cluster.local")).toEqual(["-> reviews.other", "10.110.0.6"]);
    expect(addresses("nothing.org")).toBeUndefined();
    expect(addresses("shop.svc.cluster.local")).toBeUndefined();
  });

  it("by wildcards are found by the closest one, never by the bare domain", () => {
    expect(addresses("a.wild.example.com")).toEqual(["240.240.0.2"]);
    expect(addresses("a.b.wild.example.com")).toEqual(["240.240.0.2"]);
    expect(addresses("a.deep.wild.example.com")).toEqual(["240.240.0.3"]);
    expect(addresses("wild.example.com")).toBeUndefined();
  });

  it("have no IPv6 addresses, which is no error", () => {
    expect(table.answers("reviews", recordTypes.aaaa)).toEqual([]);
    expect(table.answers("httpbin.org.shop.svc.cluster.local", recordTypes.aaaa)).toEqual([]);
    expect(table.answers("six.example.com", recordTypes.a)).toEqual([]);
    expect(table.answers("nothing.org", recordTypes.aaaa)).toBeUndefined();
    expect(addresses("empty.example.com")).toBeUndefined();
  });

  it("may have records of other types, of which only who else knows them can tell", () => {
    const mail = 15;
    expect(table.answers("httpbin.org", mail)).toBeUndefined();
    expect(table.answers("httpbin.org.shop.svc.cluster.local", mail)).toBeUndefined();
    expect(table.answers("reviews.shop.svc.cluster.local", mail), "of the cluster's own there are none").toEqual([]);
    expect(table.answers("reviews", mail)).toEqual([]);
  });
});

it("leaves names of the cluster's domain to others where they know it, too", () => {
  const place = { namespace: "shop", clusterDomain: "cluster.local" };
  expect(new LookupTable({}, place).owns("pod-1.cluster.local")).toBe(true);
  expect(new LookupTable({}, { ...place, sharesDomain: true }).owns("pod-1.cluster.local")).toBe(false);
});
