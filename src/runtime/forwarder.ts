import { readFileSync, rmSync } from "node:fs";
import { isIPv4 } from "node:net";
import { join } from "node:path";
import { WeftError } from "#base/errors.ts";
import { isAlive, signalProcess } from "./identity.ts";
import type { ProcessIdentity } from "./identity.ts";
import { listenInside, spawnInside } from "./namespace-socket.ts";

/** A port of the host that leads to a port of a Pod. */
export interface Forward {
  /** Where the forwarder's identity is kept. */
  readonly state: string;
  /** File of the network namespace that the port is opened in: the host's. */
  readonly hostNetwork: string;
  /** A loopback address. */
  readonly hostAddress: string;
  readonly hostPort: number;
  /** File of a network namespace that reaches the Pod: the fabric's. */
  readonly network: string;
  readonly address: string;
  readonly port: number;
}

const child = join(import.meta.dirname, "forwarder-child.ts");

/** Whether the forwarder that was started with this state file still runs. */
export function forwarderRuns(state: string): boolean {
  const identity = readIdentity(state);
  return identity !== undefined && isAlive(identity);
}

function readIdentity(state: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(state, "utf8")) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/**
 * Starts a forwarder that outlives the caller, unless the one of this state file still runs.
 * @throws WeftError `InvalidArgument` when the address is not a loopback one, `AlreadyExists` when the port is taken.
 */
export async function startForwarder(forward: Forward, signal?: AbortSignal): Promise<void> {
  if (forwarderRuns(forward.state)) return;
  const { hostAddress: host, hostPort: port } = forward;
  if (!isIPv4(host) || !host.startsWith("127."))
    throw new WeftError("InvalidArgument", `hostIP ${host}: only loopback addresses of the host may be opened`);
  const server = await listenInside(forward.hostNetwork, { host, port }, signal);
  const forwarder = spawnInside(forward.network, child, [forward.state, forward.address, String(forward.port)], {
    detached: true,
    output: "ignore",
  });
  try {
    await new Promise<void>((resolve, reject) => {
      forwarder.once("message", () => resolve());
      forwarder.once("error", reject);
      forwarder.once("exit", (code) => reject(new Error(`it ended with code ${code}`)));
      forwarder.send("serve", server);
    });
  } catch (error) {
    throw new WeftError("Unavailable", `the forwarder of ${host}:${port} did not start`, error);
  } finally {
    server.close();
    forwarder.unref();
  }
}

/** Stops a forwarder and forgets it; its connections end. */
export function stopForwarder(state: string): void {
  const identity = readIdentity(state);
  if (identity !== undefined) signalProcess(identity, "SIGTERM");
  rmSync(state, { force: true });
}
