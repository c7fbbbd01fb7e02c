import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { WeftError } from "#base/errors.ts";

const run = promisify(execFile);

/** Whether a loopback port can be listened on. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = Promise.withResolvers<boolean>();
  server.once("error", () => listening.resolve(false));
  server.listen({ host: "127.0.0.1", port, exclusive: true }, () => listening.resolve(true));
  const free = await listening.promise;
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

/** Who listens on a port, as `program (pid 12)`, where the system tells. */
async function holderOf(port: number): Promise<string> {
  try {
    const { stdout } = await run("ss", ["-Hltnp", `sport = :${port}`]);
    const [, program, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(stdout) ?? [];
    return program === undefined ? "another program" : `${program} (pid ${pid})`;
  } catch {
    return "another program";
  }
}

/**
 * Makes sure that ports are free.
 * @param ports by the flag that sets each.
 * @throws WeftError `FailedPrecondition` naming the port, who holds it, and the flag.
 */
export async function requireFreePorts(
  ports: readonly { readonly port: number; readonly flag: string; readonly use: string }[],
): Promise<void> {
  for (const { port, flag, use } of ports) {
    if (await isFree(port)) continue;
    throw new WeftError(
      "FailedPrecondition",
      `port ${port} for ${use} is taken by ${await holderOf(port)}: end that, or choose another with ${flag}`,
    );
  }
}
