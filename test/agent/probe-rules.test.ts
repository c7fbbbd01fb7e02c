/** The source by which a Pod knows its node's probes: what it lets through, and what nobody can forge. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ProbedPort } from "#agent/managed/probe-rules.ts";
import { captureRules, defaultCapture } from "#runtime/capture.ts";
import { command } from "#runtime/command.ts";
import { probeAddress } from "#runtime/fabric.ts";
import { connectInside, listenInside, spawnInside } from "#runtime/namespace-socket.ts";
import { ensureNamespace, inside, ipBatch, namespacePath, removeNamespace } from "#runtime/namespace.ts";

const names = { node: `wt${process.pid}n`, pod: `wt${process.pid}p`, forger: `wt${process.pid}f` };
const [node, pod, forger] = [names.node, names.pod, names.forger].map(namespacePath) as [string, string, string];
const address = "10.77.0.11";
const [gateway, other] = ["10.77.0.1", "10.77.0.12"];
const ports = { probed: 8080, unprobed: 8081, inbound: 15_006 };
const resources = new AsyncDisposableStack();
let child: ChildProcess;

/** A Pod as plugins for routed Pod networks make it: a link to the node, and all ways lead there. */
async function link(name: string, own: string): Promise<void> {
  await ensureNamespace(name);
  await ipBatch(names.node, [
    `link add ${name} type veth peer name eth0 netns ${name}`,
    `address add ${gateway}/32 dev ${name}`,
    `link set ${name} up`,
    `route add ${own} dev ${name}`,
  ]);
  await ipBatch(name, [
    `address add ${own}/32 dev eth0`,
    "link set eth0 up",
    `route add ${gateway} dev eth0`,
    `route add default via ${gateway}`,
  ]);
}

/** Answers each connection with a name and who asks. */
async function serve(port: number, name: string): Promise<void> {
  const server = await listenInside(pod, { host: "0.0.0.0", port });
  server.on("connection", (socket: Socket) =>
    socket.on("error", () => undefined).end(`${name} ${socket.remoteAddress}`),
  );
  resources.defer(() => void server.close());
}

async function asks(network: string, port: number, uid = 0): Promise<string> {
  const socket = await connectInside(network, { host: address, port, uid });
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString("utf8").replace("::ffff:", "");
}

async function tell(message: readonly ProbedPort[] | "clear"): Promise<void> {
  child.send(message);
  const [answer] = (await once(child, "message")) as [string];
  expect(answer).toBe("done");
}

beforeAll(async () => {
  resources.defer(async () => {
    for (const name of Object.values(names)) await removeNamespace(name);
  });
  await ensureNamespace(names.node);
  await command(inside(node, ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
  await link(names.pod, address);
  await link(names.forger, other);
  for (const [port, name] of [
    [ports.probed, "application"],
    [ports.unprobed, "application"],
    [ports.inbound, "proxy"],
  ] as const)
    await serve(port, name);
  const rules = captureRules({ ...defaultCapture, probeSource: probeAddress });
  await command(inside(pod, ["iptables-restore"]), { input: rules });
  const script = join(import.meta.dirname, "probe-rules-child.ts");
  child = spawnInside(node, script, [], { detached: false, output: "inherit" });
  resources.defer(() => void child.kill());
});
afterAll(() => resources.disposeAsync());

test("probed ports of a captured Pod answer root's programs of the node themselves; all else is the proxy's", async () => {
  expect(await asks(node, ports.probed)).toBe(`proxy ${gateway}`);
  await tell([{ address, port: ports.probed }]);
  expect(await asks(node, ports.probed)).toBe(`application ${probeAddress}`);
  expect(await asks(node, ports.unprobed)).toBe(`proxy ${gateway}`);
  expect(await asks(node, ports.probed, 65_534)).toBe(`proxy ${gateway}`);
  expect(await asks(forger, ports.probed)).toBe(`proxy ${other}`);
});

test("another Pod that takes the probes' address gets no packet through", async () => {
  await ipBatch(names.forger, [`address add ${probeAddress}/32 dev lo`]);
  const line = [
    "curl",
    "--silent",
    "--show-error",
    "--max-time",
    "2",
    "--interface",
    probeAddress,
    `http://${address}:8080/`,
  ];
  await expect(command(inside(forger, line))).rejects.toThrow(/timed out|timeout/i);
  const rules = await command(inside(node, ["iptables-save", "-c", "-t", "raw"]));
  const [, packets] = /\[(\d+):\d+\] -A PREROUTING -s 169\.254\.7\.127\/32 -j DROP/.exec(rules) ?? [];
  expect(Number(packets)).toBeGreaterThan(0);
});

test("ports are forgotten, and all rules can be taken back", async () => {
  await tell([]);
  expect(await asks(node, ports.probed)).toBe(`proxy ${gateway}`);
  await tell("clear");
  const left = await command(inside(node, ["iptables-save"]));
  expect(left).not.toMatch(/WEFT|169\.254/);
});
