import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { listenOnSocket } from "./unix-socket.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-unix-socket-"));
const path = join(folder, "a.sock");
const server = createServer();
const mask = process.umask();

afterEach(async () => {
  process.umask(mask);
  if (server.listening) await once(server.close(), "close");
  rmSync(path, { force: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the socket is its owner's alone from the first moment, whatever the process's mask", async () => {
  const listen = server.listen.bind(server);
  const seen: number[] = [];
  server.listen = ((...args: Parameters<typeof listen>) => {
    listen(...args);
    seen.push(statSync(path).mode & 0o777);
    return server;
  }) as typeof listen;
  process.umask(0);
  await listenOnSocket(server, path);
  expect(seen).toEqual([0o600]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  // What the process makes next is not affected.
  expect(process.umask()).toBe(0);
});

test("one that a killed process left is taken over", async () => {
  const child = fork(join(import.meta.dirname, "testing", "listening-child.ts"), [path]);
  await once(child, "message");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(statSync(path).isSocket()).toBe(true);
  await listenOnSocket(server, path);
  expect(server.listening).toBe(true);
});

test("one that somebody serves is left alone, and named", async () => {
  const other = createServer();
  await listenOnSocket(other, path);
  await expect(listenOnSocket(server, path)).rejects.toMatchObject({
    code: "AlreadyExists",
    message: `another process listens on ${path}`,
  });
  await once(other.close(), "close");
});

test("a file that is no socket is left alone, and a folder that is not there is named", async () => {
  writeFileSync(path, "precious");
  await expect(listenOnSocket(server, path)).rejects.toMatchObject({
    code: "FailedPrecondition",
    message: `cannot listen on ${path}: there is a file that is no socket`,
  });
  expect(readFileSync(path, "utf8")).toBe("precious");
  const nowhere = join(folder, "none", "a.sock");
  await expect(listenOnSocket(server, nowhere)).rejects.toMatchObject({
    code: "Unavailable",
    message: expect.stringContaining(`cannot listen on ${nowhere}: `) as string,
  });
});
