import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, connect, type AddressInfo } from "node:net";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ListenAddress } from "./listener.ts";
import { startTestServer, type TestServer } from "./testing/server.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-access-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function listenOn(...listen: ListenAddress[]): Promise<TestServer> {
  return startTestServer({ endpoints: [{ name: "east", view: "cluster", partition: "cluster/east", listen }] });
}

async function askSocket(socketPath: string): Promise<number | undefined> {
  const [response] = (await once(httpRequest({ socketPath, path: "/version" }).end(), "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

describe("endpoints", () => {
  test.each(["0.0.0.0", "::", "192.0.2.1", "example.com", ""])("do not listen on %j", async (host) => {
    await expect(listenOn({ host, port: 0 })).rejects.toMatchObject({ code: "PermissionDenied" });
  });

  test("listen on loopback addresses and Unix sockets that only their owner can use", async () => {
    const socketPath = join(directory, "private", "api.sock");
    await using server = await listenOn({ host: "127.0.0.1", port: 0 }, { host: "::1", port: 0 }, { socketPath });
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, "private")).mode & 0o777).toBe(0o700);
    expect(await askSocket(socketPath)).toBe(200);
    const ports = server.server.endpoints.get("east")!.map((address) => ("port" in address ? address.port : -1));
    expect((await fetch(`http://127.0.0.1:${ports[0]}/version`)).status).toBe(200);
    expect((await fetch(`http://[::1]:${ports[1]}/version`)).status).toBe(200);
  });

  test("take over the socket of a server that was killed, but not of one that lives", async () => {
    const socketPath = join(directory, "stale.sock");
    // What a killed process leaves: a socket that nobody listens on.
    const dead = createServer().listen(socketPath);
    await once(dead, "listening");
    renameSync(socketPath, `${socketPath}.kept`);
    dead.close();
    await once(dead, "close");
    renameSync(`${socketPath}.kept`, socketPath);
    await using _ = await listenOn({ socketPath });
    expect(await askSocket(socketPath)).toBe(200);
    await expect(listenOn({ socketPath })).rejects.toMatchObject({
      code: "AlreadyExists",
      message: `another process listens on ${socketPath}`,
    });
  });

  test("name an address that is taken, and leave files alone", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    await expect(listenOn({ host: "127.0.0.1", port })).rejects.toMatchObject({
      code: "Unavailable",
      message: `cannot listen on http://127.0.0.1:${port}: it is in use by another program`,
    });
    taken.close();
    mkdirSync(join(directory, "files"));
    const socketPath = join(directory, "files", "precious");
    writeFileSync(socketPath, "data");
    await expect(listenOn({ socketPath })).rejects.toThrow("no socket");
    expect(statSync(socketPath).size).toBe(4);
  });
});

describe("requests that a browser makes for a page of elsewhere", () => {
  test("are refused", async () => {
    await using server = await startTestServer();
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await server.ask("east", "/api/v1/namespaces", { headers })).status;
    const own = new URL(server.url("east")).host;
    expect(await ask({ Host: "evil.example.com" })).toBe(403);
    expect(await ask({ Origin: "https://evil.example.com" })).toBe(403);
    expect(await ask({ Origin: "null" })).toBe(403);
    expect(await ask({ Origin: `http://${own}` })).toBe(200);
    expect(await ask({ Host: "localhost:1234" })).toBe(200);
  });
});

describe("what is no HTTP request", () => {
  test.each([
    "\0\0\0\0",
    "GET / HTTP/9.9\r\n\r\n",
    "GET /%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET // HTTP/1.1\r\nHost: localhost\r\n\r\n",
  ])("(%j) gets an answer or the end, and harms nobody", async (bytes) => {
    await using server = await startTestServer();
    const socket = connect(Number(new URL(server.url("east")).port), "127.0.0.1");
    socket.end(bytes);
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    expect((await server.ask("east", "/livez")).text).toBe("ok");
  });
});
