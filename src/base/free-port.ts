import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { WeftError } from "./errors.ts";

/** Below the ports that kernels give outgoing connections (`net.ipv4.ip_local_port_range`), above those of known services. */
const lowest = 12_000;
const highest = 32_767;
const attempts = 100;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/**
 * A loopback port that is free, and that no outgoing connection gets by chance before it is listened on.
 * @throws WeftError `Unavailable` when none is found.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = randomInt(lowest, highest + 1);
    if (await isFree(port)) return port;
  }
  throw new WeftError("Unavailable", `no port of 127.0.0.1 between ${lowest} and ${highest} is free`);
}
