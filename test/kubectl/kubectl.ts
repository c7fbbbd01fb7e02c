import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How a kubectl command ended. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a kubectl command is run. */
export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** End the command, with success, as soon as its output matches. */
  readonly until?: RegExp;
  /** Called when the command, run with `-v=6`, tells that a watch of it was answered. */
  readonly watching?: () => void;
  /** Milliseconds after which a command that has not ended is killed; 30 s unless told. */
  readonly patience?: number;
}

/** The path of a pinned kubectl, fetched if need be. */
export function kubectlPath(version: string): string {
  return execFileSync(process.execPath, ["setup/program.ts", "kubectl", version], { encoding: "utf8" }).trim();
}

/** A kubeconfig without credentials. */
function plainConfig(name: string, url: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: url } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    users: [{ name, user: {} }],
    "current-context": name,
  });
}

/** A kubectl of one version with a home of its own and a kubeconfig for each endpoint. */
export class Kubectl implements Disposable {
  readonly #program: string;
  readonly #home: string;

  /** @param endpoints base URLs, or whole kubeconfigs, by name. */
  constructor(program: string, endpoints: ReadonlyMap<string, string>) {
    this.#program = program;
    this.#home = mkdtempSync(join(tmpdir(), "weft-kubectl-"));
    for (const [name, endpoint] of endpoints) {
      const config = /^https?:/.test(endpoint) ? plainConfig(name, endpoint) : endpoint;
      writeFileSync(this.file(`${name}.kubeconfig`), config);
    }
  }

  /** A file in its home. */
  file(name: string): string {
    return join(this.#home, name);
  }

  /** Runs a command against an endpoint. */
  run(endpoint: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const { input = "", env = {}, until, watching, patience = 30_000 } = options;
    const child = spawn(this.#program, args, {
      env: { PATH: process.env["PATH"], HOME: this.#home, KUBECONFIG: this.file(`${endpoint}.kubeconfig`), ...env },
      timeout: patience,
      killSignal: "SIGKILL",
    });
    let [stdout, stderr, reached] = ["", "", false];
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
      if (until === undefined || !until.test(stdout)) return;
      reached = true;
      child.kill("SIGTERM");
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
      if (/watch=true.*200 OK/.test(stderr)) watching?.();
    });
    // A command that needs no input may have ended before it was given.
    child.stdin.on("error", () => undefined).end(input);
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve({ code: reached ? 0 : code, stdout, stderr }));
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.#home, { recursive: true, force: true });
  }
}
