/** IPv6 where programs in the kernel lead a Pod that has such an address. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CaptureOptions } from "#runtime/capture.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { ipBatch, namespacePath } from "#runtime/namespace.ts";
import { type Answer, HijackWorld, podAddress } from "./world.ts";

const [own, second, other, nowhere] = ["fd00:10::2", "fd00:10::22", "fd00:10::3", "fd00:99::7"];

interface Row {
  readonly name: string;
  readonly capture?: Partial<CaptureOptions>;
  readonly from: "application" | "proxy" | "other";
  readonly to: readonly [host: string, port: number];
  readonly by: "inbound" | "outbound" | "application" | "other";
  /** Whence the answerer sees the call come. */
  readonly peer: string;
}

const rows: readonly Row[] = [
  { name: "a call from elsewhere", from: "other", to: [own, 8080], by: "inbound", peer: other },
  { name: "one to a port without a server", from: "other", to: [own, 4444], by: "inbound", peer: other },
  { name: "one to an address that was not told", from: "other", to: [second, 8080], by: "inbound", peer: other },
  { name: "one to the proxy's own statistics", from: "other", to: [own, 15020], by: "application", peer: other },
  {
    name: "one to a port that is not included",
    capture: { includeInboundPorts: [8080] },
    from: "other",
    to: [own, 15020],
    by: "application",
    peer: other,
  },
  {
    name: "one over an excluded interface",
    capture: { excludeInterfaces: ["eth0"] },
    from: "other",
    to: [own, 8080],
    by: "application",
    peer: other,
  },
  {
    name: "a probe of the node",
    capture: { probeSource: other },
    from: "other",
    to: [own, 8080],
    by: "application",
    peer: other,
  },
  { name: "a call to another Pod", from: "application", to: [other, 8080], by: "outbound", peer: own },
  { name: "one to an address that exists nowhere", from: "application", to: [nowhere, 80], by: "outbound", peer: own },
  {
    name: "one to an excluded port of others",
    capture: { excludeOutboundPorts: [8080] },
    from: "application",
    to: [other, 8080],
    by: "other",
    peer: own,
  },
  {
    name: "one to an excluded range",
    capture: { excludeOutboundRanges: ["fd00:10::/64"] },
    from: "application",
    to: [other, 8080],
    by: "other",
    peer: own,
  },
  {
    name: "one to a range that is not included",
    capture: { includeOutboundRanges: ["fd00:99::/64"] },
    from: "application",
    to: [other, 8080],
    by: "other",
    peer: own,
  },
  {
    name: "one to an included range",
    capture: { includeOutboundRanges: ["fd00:10::/64"] },
    from: "application",
    to: [other, 8080],
    by: "outbound",
    peer: own,
  },
  { name: "the application's own call to its Pod", from: "application", to: [own, 8080], by: "application", peer: own },
  { name: "one to an address not told", from: "application", to: [second, 8080], by: "outbound", peer: own },
  { name: "its call on loopback", from: "application", to: ["::1", 8080], by: "application", peer: "::1" },
  { name: "the proxy's call to another Pod", from: "proxy", to: [other, 8080], by: "other", peer: own },
  { name: "the proxy's call to its own Pod", from: "proxy", to: [own, 8080], by: "inbound", peer: own },
  { name: "the proxy's call on loopback", from: "proxy", to: ["::1", 8080], by: "application", peer: "::1" },
];

describe("IPv6 led by eBPF", () => {
  let world: HijackWorld;
  beforeAll(async () => {
    world = await HijackWorld.create("6");
    // The second address is not preferred as a source.
    await ipBatch(world.pod, [
      `address add ${own}/64 dev eth0 nodad`,
      `address add ${second}/128 dev eth0 nodad preferred_lft 0`,
    ]);
    await ipBatch(world.other, [`address add ${other}/64 dev eth0 nodad`]);
    await world.serve([8080, 15020]);
    await world.startEnvoy();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test.each(rows)("$name is answered by $by", async ({ capture = {}, from, to: [host, port], by, peer }) => {
    await world.lead("ebpf", capture, [podAddress, own]);
    const answer = await (from === "other"
      ? world.call(world.other, host, port)
      : world.call(world.pod, host, port, from));
    const isEnvoy = by === "inbound" || by === "outbound";
    expect(answer).toEqual({ by, original: `${isEnvoy ? `[${host}]` : host}:${port}`, peer } satisfies Answer);
  });

  test("a Pod whose addresses of IPv6 are not told reaches them, and others do not", async () => {
    await world.endEnvoy();
    await world.lead("ebpf", {}, [podAddress]);
    for (const host of [own, "::1"])
      expect(await world.call(world.pod, host, 8080)).toMatchObject({ by: "application", peer: host });
    expect(await world.call(world.other, own, 8080)).toBe("refused");
    expect(await world.call(world.pod, other, 8080)).toMatchObject({ by: "other" });
    await world.startEnvoy();
  });

  test("nothing passes by a proxy that is away, and an application sees the peer that it called", async () => {
    await world.lead("ebpf", {}, [podAddress, own]);
    await world.endEnvoy();
    expect(await world.call(world.other, own, 8080)).toBe("refused");
    expect(await world.call(world.pod, other, 8080)).toBe("refused");
    await world.startEnvoy();
    expect(await world.call(world.other, own, 8080)).toMatchObject({ by: "inbound" });
    const socket = await connectInside(namespacePath(world.pod), { host: other, port: 8080 });
    expect([socket.remoteAddress, socket.remotePort, socket.localAddress]).toEqual([other, 8080, own]);
    socket.destroy();
  });
});
