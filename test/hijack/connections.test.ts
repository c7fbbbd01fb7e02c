import { type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultCapture } from "#runtime/capture.ts";
import { bindInside, connectInside, listenInside } from "#runtime/namespace-socket.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { HijackWorld, type Mode, otherAddress, podAddress, rawPort } from "./world.ts";

const modes: readonly Mode[] = ["iptables", "ebpf"];
const megabytes = 48;
const nameServer = "10.110.0.10";

/** Answers what comes with the same bytes, and ends when the caller has. */
async function echo(namespace: string, port: number): Promise<Disposable> {
  const server = await listenInside(namespacePath(namespace), { host: "0.0.0.0", port });
  server.on("connection", (socket) => socket.pipe(socket));
  return { [Symbol.dispose]: () => server.close() };
}

/** Sends so much and counts what comes back; the sending half is closed before the last byte has come. */
async function exchange(socket: Socket, bytes: number): Promise<number> {
  const block = Buffer.alloc(1 << 20, "weft");
  const sending = (async () => {
    for (let sent = 0; sent < bytes; sent += block.length)
      if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
    socket.end();
  })();
  let got = 0;
  for await (const chunk of socket) got += (chunk as Buffer).length;
  await sending;
  return got;
}

describe.each(modes)("connections led by %s", (mode) => {
  let world: HijackWorld;
  beforeAll(async () => {
    world = await HijackWorld.create(`c${mode.slice(0, 1)}`);
    await world.serve([8080]);
    await world.startEnvoy();
    await world.lead(mode, { dns: { servers: [nameServer], port: 15053 } });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test.each([
    ["out of the Pod", () => [world.pod, otherAddress] as const],
    ["into the Pod", () => [world.other, podAddress] as const],
  ])("carry much both ways, %s, and close one half before the other", async (_, ends) => {
    const [from, to] = ends();
    using _server = await echo(to === podAddress ? world.pod : world.other, rawPort);
    const socket = await connectInside(namespacePath(from), { host: to, port: rawPort });
    expect(await exchange(socket, megabytes << 20)).toBe(megabytes << 20);
  });

  test("DNS is answered by the agent's server over UDP and TCP, as if by the server that was asked", async () => {
    const tcp = await listenInside(namespacePath(world.pod), { host: "127.0.0.1", port: 15053 });
    tcp.on("connection", (socket) => socket.end("over TCP"));
    const asked = await connectInside(namespacePath(world.pod), { host: nameServer, port: 53 });
    let text = "";
    for await (const chunk of asked) text += String(chunk);
    tcp.close();
    expect(text).toBe("over TCP");
    const { proxyId: uid } = defaultCapture;
    const server = await bindInside(namespacePath(world.pod), { host: "127.0.0.1", port: 15053, uid });
    server.on("message", (message, from) => server.send(`answer to ${String(message)}`, from.port, from.address));
    const client = await bindInside(namespacePath(world.pod), { host: "0.0.0.0", port: 0 });
    const answer = new Promise<string>((resolve) => {
      client.once("message", (message, from) => resolve(`${String(message)} from ${from.address}:${from.port}`));
    });
    client.send("question", 53, nameServer);
    expect(await answer).toBe(`answer to question from ${nameServer}:53`);
    server.close();
    client.close();
  });

  test("an application sees the peer that it called", async () => {
    const socket = await connectInside(namespacePath(world.pod), { host: otherAddress, port: 8080 });
    expect([socket.remoteAddress, socket.remotePort, socket.localAddress]).toEqual([otherAddress, 8080, podAddress]);
    socket.destroy();
  });

  test("nothing passes by a proxy that is away, and all is well when it is back", async () => {
    await world.endEnvoy();
    expect(await world.call(world.other, podAddress, 8080)).toBe("refused");
    expect(await world.call(world.pod, otherAddress, 8080)).toBe("refused");
    await world.startEnvoy();
    expect(await world.call(world.other, podAddress, 8080)).toMatchObject({ by: "inbound" });
    expect(await world.call(world.pod, otherAddress, 8080)).toMatchObject({ by: "outbound" });
  });
});
