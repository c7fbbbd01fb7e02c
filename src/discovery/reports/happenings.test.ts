import { describe, expect, test } from "vitest";
import type { ProxyReport } from "#api/weft/proxy-report.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { ProxyStatus } from "#xds/port.ts";
import { happenings } from "./happenings.ts";
import { phaseOf } from "./phase.ts";
import { reportFigures } from "./report-figures.ts";
import type { HeldReport } from "./reports.ts";

const now = 1_000_000_000;

function held(pod: string, report: Partial<ProxyReport> = {}, live = true): HeldReport {
  const node = { id: `sidecar~10.0.0.1~${pod}.shop~shop.svc`, cluster: "east", namespace: "shop" };
  return {
    node,
    report: { agent: "1", process: "Running", ready: true, restarts: 0, ...report },
    at: now,
    since: now,
    live,
  };
}

const exit = { reason: "it was ended by SIGSEGV", at: now - 1000 };

describe("what happened to a proxy", () => {
  test("its end is told with how, each one anew, and not when it is long past", () => {
    const [first] = happenings([held("a", { restarts: 1, lastExit: exit })], [], now);
    expect(first).toMatchObject({ cluster: "east", namespace: "shop", pod: "a", reason: "ProxyEnded" });
    expect(first!.message).toBe("Envoy was started again (1 times by now): it was ended by SIGSEGV");
    const [second] = happenings([held("a", { restarts: 2, lastExit: exit })], [], now);
    expect(second!.occasion).not.toBe(first!.occasion);
    expect(happenings([held("a", { restarts: 2, lastExit: exit })], [], now + 3_600_000)).toEqual([]);
  });

  test("that it does not answer is told while its agent is there", () => {
    const silent = { silent: "no answer in time" };
    expect(happenings([held("a", silent)], [], now)).toMatchObject([{ reason: "ProxyNotResponding" }]);
    expect(happenings([held("a", silent, false)], [], now)).toEqual([]);
  });

  test("what it refuses is told in its words, without what a terminal could take for commands", () => {
    const { id } = held("a").node;
    const refused = { resources: ["x", "y"], message: "bad \u001B[31mfilter" };
    const proxy = {
      node: { id, cluster: "", metadata: { CLUSTER_ID: "east" }, version: "", locality: {} },
      types: { [typeUrls.listener]: { state: "NACKED", version: "", since: 0, refused } },
    } as unknown as ProxyStatus;
    const [event] = happenings([], [proxy], now);
    expect(event).toMatchObject({ reason: "ProxyRefuses", pod: "a" });
    expect(event!.message).toBe(String.raw`Envoy refuses LDS (x, y): bad \u001b[31mfilter`);
  });
});

test.each([
  [{}, true, "Running"],
  [{}, false, "Disconnected"],
  [{ ready: false }, true, "NotReady"],
  [{ silent: "x" }, true, "NotResponding"],
  [{ drainingSince: 1 }, true, "Draining"],
  [{ process: "Waiting" }, true, "Restarting"],
  [{ process: "Starting" }, false, "Starting"],
] as const)("%j, connected %s, is %s", (report, connected, phase) =>
  expect(phaseOf(held("a", report), connected)).toBe(phase),
);

test("a proxy of which no agent tells is connected", () => expect(phaseOf(undefined, true)).toBe("Connected"));

test("figures are sums by cluster, however many proxies there are", () => {
  const usage = { cpuMillis: 10, memoryBytes: 100 };
  const rate = { requestsPerSecond: 0.1, errorsPerSecond: 0 };
  const traffic = { connections: 2, inbound: rate, outbound: rate };
  const many = Array.from({ length: 30 }, (_, at) => held(`p${at}`, { usage, traffic, restarts: 1 }));
  const figures = reportFigures(
    many,
    () => true,
    () => ({ state: "InSync", stale: [], count: 0 }),
  );
  expect(figures).toMatchObject({
    'proxies{cluster="east",phase="Running"}': 30,
    'proxies_endpoints{cluster="east",state="InSync"}': 30,
    'proxy_restarts{cluster="east"}': 30,
    'proxy_memory_bytes{cluster="east"}': 3000,
    'proxy_requests_per_second{cluster="east",direction="inbound"}': 3,
  });
  const strangers = Array.from({ length: 500 }, (_, at) => {
    const one = held(`p${at}`);
    return { ...one, node: { ...one.node, cluster: `c${at}` } };
  });
  expect(
    Object.keys(
      reportFigures(
        strangers,
        () => true,
        () => undefined,
      ),
    ).length,
  ).toBeLessThan(300);
});
