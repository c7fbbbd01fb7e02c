import { lstatSync, rmSync } from "node:fs";
import { createConnection, type Server } from "node:net";
import { WeftError, messageOf } from "./errors.ts";

/** Whether a process accepts connections on a Unix socket. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Removes the socket that a killed process left behind; one that still answers is left alone. */
async function clearStale(socketPath: string): Promise<void> {
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new WeftError("FailedPrecondition", `cannot listen on ${socketPath}: there is a file that is no socket`);
  if (await answers(socketPath)) throw new WeftError("AlreadyExists", `another process listens on ${socketPath}`);
  rmSync(socketPath, { force: true });
}

/**
 * Makes a server listen on a Unix socket that none but its owner can open (mode 0600), not for a moment.
 * @param backlog connections that may wait to be accepted; Node's default unless told.
 * @throws WeftError `AlreadyExists` when another process listens there, `FailedPrecondition` when another file is in the way,
 * `Unavailable` for what else keeps it from listening.
 */
export async function listenOnSocket(server: Server, socketPath: string, backlog?: number): Promise<void> {
  await clearStale(socketPath);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  // The socket comes into being within `listen`; a mode that is set afterwards would leave it open to others until then.
  const mask = process.umask(0o177);
  try {
    server.listen({ path: socketPath, ...(backlog !== undefined && { backlog }) }, resolve);
  } finally {
    process.umask(mask);
  }
  try {
    await promise;
  } catch (error) {
    throw new WeftError("Unavailable", `cannot listen on ${socketPath}: ${messageOf(error)}`, error);
  } finally {
    server.off("error", reject);
  }
}
