import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { listenOn, type ListenAddress } from "./listen.ts";

async function opened(address: ListenAddress): Promise<ListenAddress> {
  const server = createServer((socket) => socket.end());
  onTestFinished(() => void server.close());
  return listenOn(server, address);
}

test("a port that is shared is listened on by several, and by nobody who does not share it", async () => {
  const shared = { host: "127.0.0.1", shared: true } as const;
  const first = await opened({ ...shared, port: 0 });
  const port = "port" in first ? first.port : 0;
  await expect(opened({ ...shared, port })).resolves.toMatchObject({ port });
  await expect(opened({ host: "127.0.0.1", port })).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
});

test("a port that is not shared is one's own", async () => {
  const first = await opened({ host: "127.0.0.1", port: 0 });
  const port = "port" in first ? first.port : 0;
  await expect(opened({ host: "127.0.0.1", port, shared: true })).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
});
