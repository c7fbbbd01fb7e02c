/** Inbound connections of IPv6, led to a proxy that takes them by rules and by programs, through changes of the two. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Kept, NodeTraffic } from "#agent/traffic/node-traffic.ts";
import type { TrafficRecord } from "#agent/traffic/record.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { prepareIPv6 } from "#runtime/capture6.ts";
import { defaultCapture } from "#runtime/capture.ts";
import { command } from "#runtime/command.ts";
import { removeHijacks } from "#runtime/hijack.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { inside, ipBatch, namespacePath } from "#runtime/namespace.ts";
import { HijackWorld, podAddress, programs, rawPort } from "./world.ts";

const [own, other] = ["fd00:10::2", "fd00:10::3"];
const name = `t${process.pid}in6`;
const record: TrafficRecord = {};
const kept: Kept = { record, save: () => undefined };
let world: HijackWorld;
let traffic: NodeTraffic;

beforeAll(async () => {
  world = await HijackWorld.create("in6");
  await ipBatch(world.pod, [`address add ${own}/64 dev eth0 nodad`]);
  await ipBatch(world.other, [`address add ${other}/64 dev eth0 nodad`]);
  await world.serve([8080, rawPort, 15_020]);
  traffic = new NodeTraffic({ programs, name, clock, logger });
});
afterAll(async () => {
  await traffic.forget(record);
  removeHijacks(name);
  await world[Symbol.asyncDispose]();
});

const at = (argv: readonly [string, ...string[]]) => inside(namespacePath(world.pod), argv);
const pod = () => ({ network: namespacePath(world.pod), address: podAddress, capture: defaultCapture, ipv6: true });
const open = (port: number) =>
  connectInside(namespacePath(world.other), { host: own, port }, AbortSignal.timeout(30_000));

/** Who answers a request on a connection that stays. */
async function ask(socket: Socket): Promise<string | undefined> {
  socket.write("GET / HTTP/1.1\r\nhost: any\r\n\r\n");
  const [answer] = (await once(socket, "data", { signal: AbortSignal.timeout(30_000) })) as [Buffer];
  return /^by: (.*)$/im.exec(String(answer))?.[1]?.trim();
}

test("connections of IPv6 come to the proxy, led by either, and go on through changes", async () => {
  const older = await open(8080);
  expect(await ask(older)).toBe("application");
  expect(await prepareIPv6(at)).toBe(true);
  await world.startEnvoy();
  const staying: Socket[] = [];
  for (const mode of ["iptables", "ebpf", "iptables"] as const) {
    await traffic.lead(pod(), mode, kept);
    expect(record).toMatchObject({ mode, refusesIPv6: false });
    expect(await world.call(world.other, own, 8080)).toEqual({ by: "inbound", original: `[${own}]:8080`, peer: other });
    expect(await world.call(world.other, own, 15_020)).toMatchObject({ by: "application", peer: other });
    expect(await world.call(world.other, own, rawPort)).toMatchObject({ by: "application", peer: "::6" });
    for (const host of [own, "::1"])
      expect(await world.call(world.pod, host, 8080)).toMatchObject({ by: "application" });
    staying.push(await open(8080));
    for (const each of staying) expect(await ask(each)).toBe("inbound");
    expect(await ask(older)).toBe("application");
  }
  await traffic.release(pod().network, kept);
  expect(await world.call(world.other, own, 8080)).toMatchObject({ by: "application", peer: other });
  for (const each of staying) expect(await ask(each)).toBe("inbound");
  expect(await ask(older)).toBe("application");
  for (const each of [...staying, older]) each.destroy();
  await world.endEnvoy();
  await traffic.end(pod().network, kept);
  expect(await command(at(["ip6tables-save"]))).not.toMatch(/ISTIO|WEFT/);
  expect(await command(at(["cat", "/proc/self/net/if_inet6"]))).not.toMatch(/^0{31}6 /m);
});

test.each(["iptables", "ebpf"] as const)("without its proxy none passes by, led by %s", async (mode) => {
  const fresh: Kept = { record: {}, save: () => undefined };
  expect(await prepareIPv6(at)).toBe(true);
  await traffic.lead(pod(), mode, fresh);
  expect(fresh.record).toMatchObject({ mode, refusesIPv6: false });
  expect(await world.call(world.other, own, 8080)).toBe("refused");
  await traffic.release(pod().network, fresh);
  await traffic.end(pod().network, fresh);
  expect(await world.call(world.other, own, 8080)).toMatchObject({ by: "application", peer: other });
});
