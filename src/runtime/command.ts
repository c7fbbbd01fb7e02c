import { spawn } from "node:child_process";
import { WeftError } from "#base/errors.ts";

/** How a system command is run. */
export interface CommandOptions {
  /** Given on standard input. */
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs one of the system's commands to its end and returns what it wrote.
 * @throws WeftError `FailedPrecondition` when the program is missing, `Internal` with its words when it fails.
 */
export function command(argv: readonly [string, ...string[]], options: CommandOptions = {}): Promise<string> {
  const [program, ...args] = argv;
  const child = spawn(program, args, {
    stdio: "pipe",
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  // A command that ends without reading its input breaks the pipe; its exit code tells what happened.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      const missing = error.code === "ENOENT";
      reject(
        missing
          ? new WeftError("FailedPrecondition", `the program ${program} is missing on this machine`, error)
          : new WeftError("Internal", `${program} could not be started`, error),
      );
    });
    child.once("close", (code, killed) => {
      if (code === 0) {
        resolve(Buffer.concat(out).toString("utf8"));
        return;
      }
      const words = Buffer.concat(err).toString("utf8").trim();
      const end = killed === null ? `ended with code ${code}` : `was ended by ${killed}`;
      reject(new WeftError("Internal", `${argv.join(" ")} ${end}${words === "" ? "" : `: ${words}`}`));
    });
  });
}
