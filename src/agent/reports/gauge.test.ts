import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { exitReason } from "./exit.ts";
import { readFigures } from "./figures.ts";
import { ProxyGauge, type ProxyLook } from "./gauge.ts";

const stats = (requests: number, failed: number): string =>
  [
    "cluster_manager.active_clusters: 7",
    "http.inbound_0.0.0.0_8080;.downstream_rq_5xx: 1",
    "http.inbound_0.0.0.0_8080;.downstream_rq_2xx: 6",
    "http.inbound_0.0.0.0_8080;.downstream_rq_rx_reset: 2",
    "http.inbound_0.0.0.0_8080;.downstream_rq_time: B0.5(0,0) B1(2,5) B5(3,6) B1.8e+06(3,7)",
    "http.inbound_0.0.0.0_8081;.downstream_rq_time: B0.5(0,1) B1(2,1) B5(3,1) B1.8e+06(3,1)",
    "http.inbound_0.0.0.0_8082;.downstream_rq_time: No recorded values",
    `http.inbound_0.0.0.0_8080;.downstream_rq_total: ${requests}`,
    "http.outbound_0.0.0.0_80;.rds.80.update_rejected: 1",
    "listener_manager.lds.update_rejected: 3",
    `http.outbound_0.0.0.0_80;.downstream_rq_5xx: ${failed}`,
    "http.outbound_0.0.0.0_80;.downstream_rq_total: 4",
    "http.outbound_0.0.0.0_81;.downstream_rq_total: 5",
    "listener_manager.total_listeners_active: 3",
    "server.total_connections: 12",
    "server.initialization_time_ms: No recorded values",
    "",
  ].join("\n");

test("what Envoy counts is summed over its listeners", () => {
  expect(readFigures(stats(10, 2))).toEqual({
    connections: 12,
    inbound: { all: 10, failed: 1 },
    outbound: { all: 9, failed: 2 },
    counts: { all: 9, failed: 3, refused: 4, within: { "0.5": 1, "1": 6, "5": 7, "1.8e+06": 8 } },
    clusters: 7,
    listeners: 3,
  });
});

test("rates are over the time between two looks at one process, and none before", async () => {
  const clock = new ManualClock();
  let [requests, failed] = [100, 0];
  let look: ProxyLook = { process: "Running", pid: process.pid, startedAt: 1, ready: true, restarts: 0 };
  const pages: Record<string, () => string> = {
    "/server_info": () => JSON.stringify({ version: "abc/1.40.0/Clean/RELEASE/BoringSSL" }),
    "/stats": () => stats(requests, failed),
    "/config_dump": () => "{}",
  };
  const ask = async (path: string): Promise<string> => pages[path.split("?")[0]!]!();
  const gauge = new ProxyGauge({ version: "1.2.3", look: () => look, ask, clock });
  const first = await gauge.read();
  expect(first).toMatchObject({ agent: "1.2.3", envoy: "1.40.0", process: "Running", ready: true });
  expect(first.traffic).toMatchObject({ connections: 12, inbound: { requestsPerSecond: 0, errorsPerSecond: 0 } });
  expect(first.inbound).toMatchObject({ all: 9, failed: 3 });
  expect(first.usage!.memoryBytes).toBeGreaterThan(1_000_000);
  [requests, failed] = [150, 20];
  clock.advance(10_000);
  const second = await gauge.read();
  expect(second.traffic).toMatchObject({
    inbound: { requestsPerSecond: 5, errorsPerSecond: 0 },
    outbound: { requestsPerSecond: 0, errorsPerSecond: 2 },
  });
  // Another process counts from nothing.
  look = { ...look, startedAt: 2, restarts: 1, lastExit: { reason: exitReason(137), at: 5 } };
  [requests, failed] = [3, 0];
  clock.advance(10_000);
  const third = await gauge.read();
  expect(third).toMatchObject({ restarts: 1, lastExit: { reason: "it was ended by SIGKILL", at: 5 } });
  expect(third.traffic!.inbound.requestsPerSecond).toBe(0);
});

test("an Envoy that does not answer is said to be silent, and one that is away is not asked", async () => {
  const clock = new ManualClock();
  let asked = 0;
  const ask = async (): Promise<string> => {
    asked += 1;
    throw new Error("no answer in time");
  };
  let look: ProxyLook = { process: "Running", pid: process.pid, startedAt: 1, ready: true, restarts: 0 };
  const gauge = new ProxyGauge({ version: "1", look: () => look, ask, clock });
  expect(await gauge.read()).toMatchObject({ silent: "no answer in time" });
  look = { process: "Waiting", ready: false, restarts: 4, waiting: "CrashLoopBackOff: back-off 1s" };
  const { silent, ...said } = await gauge.read();
  expect([silent, asked]).toEqual([undefined, 1]);
  expect(said).toMatchObject({ process: "Waiting", restarts: 4, waiting: "CrashLoopBackOff: back-off 1s" });
});

test.each([
  [0, "it ended with code 0"],
  [1, "it ended with code 1"],
  [139, "it was ended by SIGSEGV"],
  [undefined, "nobody saw how it ended"],
] as const)("an end with code %s", (code, words) => expect(exitReason(code)).toBe(words));

test("the kernel's ticks are hundredths of a second", () => {
  expect(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).trim()).toBe("100");
});
