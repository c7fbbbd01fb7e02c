import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CaptureOptions, defaultCapture } from "#runtime/capture.ts";
import { type Answer, HijackWorld, type Mode, otherAddress, podAddress } from "./world.ts";

/** Who calls: an application or the proxy in the Pod, or the Pod without a proxy. */
type Caller = "application" | "proxy" | "other";

interface Row {
  readonly name: string;
  readonly capture?: Partial<CaptureOptions>;
  readonly from: Caller;
  readonly to: readonly [host: string, port: number];
  /** Who answers. */
  readonly by: string;
  /** Whence the answerer sees the call come; where it is not the caller's own address. */
  readonly peer?: string;
}

/** An address that exists nowhere. */
const nowhere = "10.110.0.7";

/** What Istio's documentation of `traffic.sidecar.istio.io/...` annotations and of `istio-iptables` says becomes of calls. */
const rows: readonly Row[] = [
  { name: "a call from elsewhere", from: "other", to: [podAddress, 8080], by: "inbound" },
  { name: "one to a port without a server", from: "other", to: [podAddress, 4444], by: "inbound" },
  { name: "one to the proxy's own statistics", from: "other", to: [podAddress, 15020], by: "application" },
  { name: "one to HBONE's port", from: "other", to: [podAddress, 15008], by: "application" },
  {
    name: "one to an excluded port",
    capture: { excludeInboundPorts: [7777] },
    from: "other",
    to: [podAddress, 7777],
    by: "application",
  },
  {
    name: "one to an included port",
    capture: { includeInboundPorts: [8080] },
    from: "other",
    to: [podAddress, 8080],
    by: "inbound",
  },
  {
    name: "one to a port that is not included",
    capture: { includeInboundPorts: [8080] },
    from: "other",
    to: [podAddress, 7777],
    by: "application",
  },
  {
    name: "one where nothing is included",
    capture: { includeInboundPorts: [] },
    from: "other",
    to: [podAddress, 8080],
    by: "application",
  },
  {
    name: "one over an excluded interface",
    capture: { excludeInterfaces: ["eth0"] },
    from: "other",
    to: [podAddress, 8080],
    by: "application",
  },
  {
    name: "a probe of the node",
    capture: { probeSource: otherAddress },
    from: "other",
    to: [podAddress, 8080],
    by: "application",
  },
  { name: "a call to another Pod", from: "application", to: [otherAddress, 8080], by: "outbound" },
  { name: "one to an address that exists nowhere", from: "application", to: [nowhere, 80], by: "outbound" },
  { name: "one over an IPv6 socket", from: "application", to: [`::ffff:${otherAddress}`, 8080], by: "outbound" },
  {
    name: "one to an excluded port of others",
    capture: { excludeOutboundPorts: [7777] },
    from: "application",
    to: [otherAddress, 7777],
    by: "other",
  },
  {
    name: "one to an excluded range",
    capture: { excludeOutboundRanges: ["10.10.0.0/24"] },
    from: "application",
    to: [otherAddress, 8080],
    by: "other",
  },
  {
    name: "one to an included range",
    capture: { includeOutboundRanges: ["10.10.0.0/24"] },
    from: "application",
    to: [otherAddress, 8080],
    by: "outbound",
  },
  {
    name: "one to a range that is not included",
    capture: { includeOutboundRanges: ["10.99.0.0/16"] },
    from: "application",
    to: [otherAddress, 8080],
    by: "other",
  },
  {
    name: "one to an included port beyond the ranges",
    capture: { includeOutboundRanges: ["10.99.0.0/16"], includeOutboundPorts: [8080] },
    from: "application",
    to: [otherAddress, 8080],
    by: "outbound",
  },
  {
    name: "one to a range that is excluded and included",
    capture: { includeOutboundRanges: ["10.10.0.0/16"], excludeOutboundRanges: ["10.10.0.3/32"] },
    from: "application",
    to: [otherAddress, 8080],
    by: "other",
  },
  { name: "the application's own call to its Pod", from: "application", to: [podAddress, 8080], by: "application" },
  {
    name: "the application's own call on loopback",
    from: "application",
    to: ["127.0.0.1", 8080],
    by: "application",
    peer: "127.0.0.1",
  },
  { name: "the proxy's call to another Pod", from: "proxy", to: [otherAddress, 8080], by: "other" },
  { name: "the proxy's call to its own Pod", from: "proxy", to: [podAddress, 8080], by: "inbound" },
  {
    name: "the proxy's call to the application",
    from: "proxy",
    to: ["127.0.0.1", 8080],
    by: "application",
    peer: "127.0.0.1",
  },
];

describe.each<Mode>(["iptables", "ebpf"])("led by %s", (mode) => {
  let world: HijackWorld;
  beforeAll(async () => {
    world = await HijackWorld.create(mode.slice(0, 2));
    await world.serve([8080, 7777, 15020, 15008]);
    await world.startEnvoy();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test.each(rows)("$name is answered by $by", async ({ capture = {}, from, to, by, peer }) => {
    const excluded = [...defaultCapture.excludeInboundPorts, ...(capture.excludeInboundPorts ?? [])];
    await world.lead(mode, { ...capture, excludeInboundPorts: excluded });
    const [host, port] = to;
    const answer = await (from === "other"
      ? world.call(world.other, host, port)
      : world.call(world.pod, host, port, from));
    const original = `${host.replace("::ffff:", "")}:${port}`;
    const own = from === "other" ? otherAddress : podAddress;
    expect(answer).toEqual({ by, original, peer: peer ?? own } satisfies Answer);
  });
});
