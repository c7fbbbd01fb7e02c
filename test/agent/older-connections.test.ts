/** Rules of capture that come to a Pod which runs: what becomes of the connections that it has. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { capture, forgetConnections, passBy, release, trackConnections } from "#agent/traffic/rules.ts";
import { readConnections } from "#agent/traffic/open-connections.ts";
import { captureRules, defaultCapture } from "#runtime/capture.ts";
import { command } from "#runtime/command.ts";
import { connectInside, listenInside } from "#runtime/namespace-socket.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { TestNetwork } from "../support/network.ts";

const rules = captureRules(defaultCapture);
const ports = { application: 8080, inbound: 15_006 };

/** A server in a network namespace that answers what it is told with its name. */
async function serve(network: string, port: number, name: string): Promise<Disposable> {
  const server = await listenInside(network, { host: "0.0.0.0", port });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("data", () => socket.write(name));
  });
  return {
    [Symbol.dispose]: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function ask(socket: Socket): Promise<string> {
  const signal = AbortSignal.timeout(30_000);
  socket.write("who is there?");
  const [answer] = (await once(socket, "data", { signal })) as [Buffer];
  return answer.toString("utf8");
}

test("connections of both directions that are older than rules of capture go on as they are, new ones are captured", async () => {
  await using network = await TestNetwork.create("older");
  const [pod, other] = [await network.add("pod", "10.10.0.2"), await network.add("other", "10.10.0.3")].map(
    namespacePath,
  );
  using _application = await serve(pod!, ports.application, "application");
  using _proxy = await serve(pod!, ports.inbound, "proxy");
  using _peer = await serve(other!, ports.application, "peer");
  const toPod = async (): Promise<Socket> => connectInside(other!, { host: "10.10.0.2", port: ports.application });
  const idle = [await toPod(), await connectInside(pod!, { host: "10.10.0.3", port: ports.application })] as const;
  const [active] = [await toPod()];
  expect([await ask(idle[0]), await ask(idle[1]), await ask(active)]).toEqual(["application", "peer", "application"]);

  await trackConnections(pod!);
  // Known by its packets; the others only by the Pod's own table.
  expect(await ask(active)).toBe("application");
  const later = await toPod();
  const table = readConnections(await command(inside(pod!, ["cat", "/proc/self/net/tcp"])));
  expect(table.length).toBeGreaterThanOrEqual(4);
  await passBy(pod!, table);
  await capture(pod!, rules);
  expect([await ask(idle[0]), await ask(idle[1]), await ask(active), await ask(later)]).toEqual([
    "application",
    "peer",
    "application",
    "application",
  ]);
  const captured = await toPod();
  expect(await ask(captured)).toBe("proxy");

  await release(pod!, rules);
  const free = await toPod();
  expect([await ask(free), await ask(captured), await ask(idle[0])]).toEqual(["application", "proxy", "application"]);
  await forgetConnections(pod!);
  expect(await command(inside(pod!, ["iptables-save", "-t", "nat"]))).not.toMatch(/ISTIO|WEFT/);
  for (const socket of [...idle, active, later, captured, free]) socket.destroy();
});
