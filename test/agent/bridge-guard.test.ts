/** A Pod that takes the probes' address and answers for the gateway of its bridge: what it gets past its neighbour's sidecar. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { captureRules, defaultCapture } from "#runtime/capture.ts";
import { command } from "#runtime/command.ts";
import { probeAddress } from "#runtime/fabric.ts";
import { listenInside, spawnInside } from "#runtime/namespace-socket.ts";
import { ensureNamespace, inside, ipBatch, namespacePath, removeNamespace } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";

const names = { node: `wb${process.pid}n`, pod: `wb${process.pid}p`, forger: `wb${process.pid}f` };
const [node, pod, forger] = [names.node, names.pod, names.forger].map(namespacePath) as [string, string, string];
const [gateway, address] = ["10.78.0.1", "10.78.0.11"];
const resources = new AsyncDisposableStack();
let rules: ChildProcess;

/** A Pod at the node's bridge, as the plugin "bridge" makes it. */
async function link(name: string, own: string): Promise<void> {
  await ensureNamespace(name);
  const made = [`link add ${name} type veth peer name eth0 netns ${name}`, `link set ${name} master br0 up`];
  await ipBatch(names.node, made);
  await ipBatch(name, [
    `address add ${own}/24 dev eth0`,
    "link set lo up",
    "link set eth0 up",
    `route add default via ${gateway}`,
  ]);
}

async function tell(message: unknown): Promise<void> {
  rules.send(message as object);
  const [answer] = (await once(rules, "message")) as [string];
  expect(answer).toBe("done");
}

const onNode = async (line: string): Promise<string> => command(inside(node, ["sh", "-c", line]));
/** Whether iptables sees what crosses bridges of the node. */
const filtered = async (on: 0 | 1): Promise<string> =>
  onNode(`echo ${on} > /proc/sys/net/bridge/bridge-nf-call-iptables`);
const attack = async (): Promise<string> =>
  command(
    inside(forger, ["curl", "--silent", "--show-error", "-m", "2", "--interface", probeAddress, `${address}:8080`]),
  );

beforeAll(async () => {
  resources.defer(async () => {
    for (const name of Object.values(names)) await removeNamespace(name);
  });
  await ensureNamespace(names.node);
  await ipBatch(names.node, ["link add br0 type bridge", `address add ${gateway}/24 dev br0`, "link set br0 up"]);
  await link(names.pod, address);
  await link(names.forger, "10.78.0.12");
  const server = await listenInside(pod, { host: "0.0.0.0", port: 8080 });
  const answer = "HTTP/1.0 200 OK\r\n\r\nthe application";
  server.on("connection", (socket: Socket) =>
    socket.on("error", () => undefined).once("data", () => socket.end(answer)),
  );
  resources.defer(() => void server.close());
  await command(inside(pod, ["iptables-restore"]), {
    input: captureRules({ ...defaultCapture, probeSource: probeAddress }),
  });
  const script = join(import.meta.dirname, "probe-rules-child.ts");
  rules = spawnInside(node, script, [], { detached: false, output: "inherit" });
  resources.defer(() => void rules.kill());
  // It says that it is the gateway, again and again.
  await ipBatch(
    names.forger,
    [probeAddress, gateway].map((taken) => `address add ${taken}/32 dev eth0`),
  );
  const lie = `while :; do for how in -A -U; do busybox arping -q -c 1 $how -I eth0 ${gateway}; done; done`;
  const [program, ...argv] = inside(forger, ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", lie]);
  const liar = spawn(program, argv, { stdio: "ignore", detached: true });
  resources.defer(() => void process.kill(-(liar.pid ?? 0), "SIGKILL"));
});
afterAll(() => resources.disposeAsync());

test("nothing where the node's rules stand, whether or not iptables sees what crosses bridges; everything without them", async () => {
  await filtered(0);
  await eventually("the attack succeeds", async () => (await attack()) === "the application");
  await tell([{ address, port: 8080 }]);
  for (const on of [1, 0] as const) {
    await filtered(on);
    await expect(attack()).rejects.toThrow(/timed out|timeout/i);
  }
  await tell("clear");
  expect(await onNode("ebtables -t nat -L PREROUTING")).not.toContain(probeAddress);
  await eventually("the attack succeeds again", async () => (await attack()) === "the application");
});
