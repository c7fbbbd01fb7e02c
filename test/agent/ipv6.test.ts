/** Connections of IPv6 to a Pod whose proxy takes none: no way past it. */
import { type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Kept, NodeTraffic } from "#agent/traffic/node-traffic.ts";
import type { TrafficRecord } from "#agent/traffic/record.ts";
import type { HijackMode } from "#api/weft/hijack-mode.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { defaultCapture } from "#runtime/capture.ts";
import { removeHijacks } from "#runtime/hijack.ts";
import { ipBatch, namespacePath } from "#runtime/namespace.ts";
import { connectInside, listenInside } from "#runtime/namespace-socket.ts";
import { programs } from "../hijack/world.ts";
import { TestNetwork } from "../support/network.ts";

const [address, address6] = ["10.10.0.2", "fd00:10::2"];

describe.each<HijackMode>(["iptables", "ebpf"])("of a Pod that is led by %s", (mode) => {
  const name = `t${process.pid}v6${mode}`;
  const record: TrafficRecord = {};
  const kept: Kept = { record, save: () => undefined };
  const servers: Server[] = [];
  let network: TestNetwork;
  let traffic: NodeTraffic;
  let pod: string;
  let other: string;

  beforeAll(async () => {
    network = await TestNetwork.create(`v6${mode.slice(0, 2)}`);
    const hosts = [await network.add("pod", address), await network.add("other", "10.10.0.3")];
    for (const [at, host] of hosts.entries()) await ipBatch(host, [`address add fd00:10::${at + 2}/64 dev eth0 nodad`]);
    [pod, other] = hosts.map(namespacePath) as [string, string];
    for (const host of [pod, other])
      for (const port of [8080, 15_020]) servers.push(await listenInside(host, { host: "::", port }));
    traffic = new NodeTraffic({ programs, name, clock, logger });
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await traffic.forget(record);
    removeHijacks(name);
    await network[Symbol.asyncDispose]();
  });

  const reached = async (from: string, host: string, port: number): Promise<boolean> => {
    const socket = await connectInside(from, { host, port }, AbortSignal.timeout(5000)).catch(() => undefined);
    socket?.destroy();
    return socket !== undefined;
  };

  test("are refused as soon as its traffic is captured, and taken again when it has left", async () => {
    expect(await reached(other, address6, 8080)).toBe(true);
    await traffic.lead({ network: pod, address, capture: defaultCapture }, mode, kept);
    expect(record.mode).toBe(mode);
    expect(await reached(other, address6, 8080)).toBe(false);
    expect(await reached(other, address6, 15_020)).toBe(true);
    for (const own of [address6, "::1"]) expect([own, await reached(pod, own, 8080)]).toEqual([own, true]);
    await traffic.release(pod, kept);
    expect(await reached(other, address6, 8080)).toBe(true);
    await traffic.end(pod, kept);
  });
});
