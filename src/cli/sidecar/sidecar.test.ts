import { describe, expect, test } from "vitest";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import { chosen } from "./choice.ts";
import { describeText } from "./describe.ts";
import { listText } from "./list.ts";
import { topText } from "./top.ts";
import { bytesText, rateText, untilText } from "./words.ts";

const since = "2026-01-01T00:00:00.000Z";
const now = Date.parse(since) + 90_000;

function proxy(pod: string, status: Partial<ProxyObject["status"]> = {}, cluster = "east"): ProxyObject {
  return {
    apiVersion: "status.mesh.weft.dev/v1alpha1",
    kind: "Proxy",
    metadata: {
      name: `${pod}.${cluster}`,
      namespace: "shop",
      creationTimestamp: since,
      labels: { app: pod.split("-")[0]! },
    },
    spec: {
      pod,
      cluster,
      address: "10.0.0.1",
      type: "sidecar",
      envoyVersion: "1.40.0",
      node: { id: "", metadata: {}, locality: { region: "", zone: "", subzone: "" } },
    },
    status: { phase: "Running", connected: true, connectedAt: since, types: {}, ...status },
  };
}

const busy = (cpuMillis: number, inbound: number, errors = 0): Partial<ProxyObject["status"]> => ({
  usage: { cpuMillis, memoryBytes: 43_200_000 },
  traffic: {
    connections: 7,
    inbound: { requestsPerSecond: inbound, errorsPerSecond: errors },
    outbound: { requestsPerSecond: 0, errorsPerSecond: 0 },
  },
});

const page = proxy("page-1", {
  agent: { version: "1.2.0", reportedAt: since, live: true },
  types: {
    CDS: { state: "SYNCED", version: "7", since },
    LDS: {
      state: "NACKED",
      version: "6",
      since,
      message: "no such filter",
      refused: ["0.0.0.0_80"],
      resources: 12,
      bytes: 43_000,
    },
  },
  unacknowledgedSince: since,
  certificateNotAfter: "2026-01-01T12:00:00.000Z",
  process: { restarts: 2, lastExit: { reason: "it was ended by SIGSEGV", at: since } },
  endpoints: {
    state: "Stale",
    clusters: 2,
    addresses: 3,
    stale: [
      { cluster: "outbound|80||cart", since, surplus: ["10.0.0.7:80"], missing: ["10.0.0.8:80", "10.0.0.9:80"] },
      { cluster: "outbound|80||stock", since },
    ],
  },
  ...busy(120, 10.26),
});
const away = proxy("cart-1", { phase: "Restarting", connected: false, process: { restarts: 0 } }, "west");

test("sidecar list: a row a proxy, and below what is wrong", () => {
  const served: ProxyObject = { ...page, status: { ...page.status, revision: "1-1" } };
  expect(listText([served, away], now)).toBe(
    [
      "PROXY         CLUSTER   TYPE      PHASE        SYNCED   BEHIND   RESTARTS   CERTIFICATE   REVISION   ENVOY    AGENT",
      "page-1.shop   east      sidecar   Running      1/2      90s      2          11h           1-1        1.40.0   1.2.0",
      "cart-1.shop   west      sidecar   Restarting   0/0      -        0          -             -          1.40.0   -",
      "",
      "page-1.shop: it was ended by SIGSEGV 90s ago",
      "page-1.shop refuses LDS: no such filter",
      "",
    ].join("\n"),
  );
});

test("sidecar top: the most first, who tells nothing last", () => {
  const idle = proxy("idle-1", busy(1, 0));
  const order = (by: "cpu" | "errors" | "name", ...all: readonly ProxyObject[]): readonly string[] =>
    topText(all, by)
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((line) => line.split(".")[0]!);
  expect(order("cpu", away, idle, page)).toEqual(["page-1", "idle-1", "cart-1"]);
  expect(order("errors", idle, proxy("bad-1", busy(0, 1, 1)))).toEqual(["bad-1", "idle-1"]);
  expect(order("name", away, page)).toEqual(["cart-1", "page-1"]);
  expect(topText([page], "cpu")).toBe(
    [
      "PROXY         CLUSTER   PHASE     CPU    MEMORY   CONNECTIONS   IN/S   OUT/S   ERRORS/S",
      "page-1.shop   east      Running   120m   41.2Mi   7             10     0       0",
      "",
    ].join("\n"),
  );
});

test("sidecar describe: all that is known", () => {
  const text = describeText(page, now);
  for (const line of [
    "Name:         page-1.shop",
    "Phase:        Running",
    "Last exit:    it was ended by SIGSEGV (90s ago)",
    "Agent:        1.2.0, told 90s ago",
    "Inbound:      10.26 requests/s, 0 errors/s",
    "CDS    SYNCED   90s   -           -        7",
    "LDS    NACKED   90s   12          42.0Ki   6",
    "Behind:       has not taken a change that was made 90s ago",
    "refuses LDS for 90s: no such filter",
    "endpoints of outbound|80||cart are stale for 90s: Envoy has 10.0.0.7:80 too many and lacks 10.0.0.8:80, 10.0.0.9:80",
    "endpoints of outbound|80||stock are stale for 90s: which addresses is not known yet",
  ])
    expect(text).toContain(`${line}\n`);
});

describe("which are meant", () => {
  test.each([
    [{ namespace: "shop" }, ["page-1", "cart-1"]],
    [{ namespace: "other" }, []],
    [{ cluster: "west" }, ["cart-1"]],
    [{ selector: "app in (page)" }, ["page-1"]],
    [{ phase: "restarting" }, ["cart-1"]],
  ])("%j", (flags, pods) => expect(chosen([page, away], flags).map(({ spec }) => spec.pod)).toEqual(pods));

  test("a selector that is none is refused", () => expect(() => chosen([page], { selector: "a in" })).toThrow("a in"));
});

test("amounts for people", () => {
  expect([0, 1023, 1024, 150 * 1024 ** 2].map(bytesText)).toEqual(["0", "1023", "1.0Ki", "150Mi"]);
  expect([0, 0.26, 9.96, 12.4].map(rateText)).toEqual(["0", "0.3", "10.0", "12"]);
  expect(untilText(since, now)).toBe("ended 90s ago");
});
