import { mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { identityOf } from "#runtime/identity.ts";

/** What a container runtime asks by way of the plugin: a network is to be added to a container. */
export interface CniRequest {
  /** File of the Pod's network namespace, as the node has it. */
  readonly network: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  /** The Pod's first address of IPv4, as the plugins before gave it. */
  readonly address: string | undefined;
}

/** Why a network is not added, by CNI's codes: 7 for settings that are wrong, 11 for what another attempt may find otherwise. */
export interface CniError {
  readonly code: 7 | 11;
  readonly message: string;
}

interface Result {
  readonly ips?: readonly { readonly address?: string }[];
}

interface NetworkConfig {
  readonly cniVersion?: string;
  readonly prevResult?: Result;
}

function membersOf(text: string, separator: string): ReadonlyMap<string, string> {
  const pairs = text.split(separator).map((pair) => {
    const at = pair.indexOf("=");
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  return new Map(pairs);
}

/** Reads what the plugin wrote; undefined for a container that is no Pod's. */
function readRequest(text: string): { readonly request: CniRequest | undefined; readonly version: string } {
  const end = text.indexOf("\n\n");
  const told = membersOf(text.slice(0, end), "\n");
  const config = JSON.parse(text.slice(end + 2)) as NetworkConfig;
  const { cniVersion: version = "1.0.0", prevResult = {} } = config;
  const args = membersOf(told.get("args") ?? "", ";");
  const [namespace, pod] = [args.get("K8S_POD_NAMESPACE"), args.get("K8S_POD_NAME")];
  const network = told.get("network") ?? "";
  if (namespace === undefined || pod === undefined || network === "") return { request: undefined, version };
  const addresses = (prevResult.ips ?? []).map(({ address = "" }) => address.split("/")[0] ?? "");
  const address = addresses.find((each) => /^[\d.]+$/.test(each));
  return { request: { network, namespace, pod, uid: args.get("K8S_POD_UID") ?? "", address }, version };
}

/** Milliseconds between looks at requests of which no sign came. */
const lookMs = 500;

function writeAside(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/**
 * Where the CNI plugin finds the agent: a folder of the node. Files need no program on the node that can speak to a socket, and a request
 * that an agent did not live to answer is answered by the next.
 */
export class CniMailbox {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #answer: (request: CniRequest) => Promise<CniError | undefined>;
  readonly #busy = new Set<string>();

  constructor(
    folder: string,
    answer: (request: CniRequest) => Promise<CniError | undefined>,
    { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  ) {
    this.#folder = folder;
    this.#answer = answer;
    this.#clock = clock;
    this.#logger = logger;
    for (const part of ["requests", "answers", "selected"])
      mkdirSync(join(folder, part), { recursive: true, mode: 0o700 });
  }

  /** Notes which namespaces' Pods get sidecars, for times without an agent. */
  select(names: ReadonlySet<string>): void {
    const folder = join(this.#folder, "selected");
    const known = new Set(readdirSync(folder));
    for (const name of names) if (!known.has(name)) writeFileSync(join(folder, name), "");
    for (const name of known) if (!names.has(name)) rmSync(join(folder, name), { force: true });
  }

  /** Answers until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const identity = identityOf(process.pid);
    if (!identity) return;
    const own = join(this.#folder, "agent");
    writeAside(own, `${identity.pid} ${identity.startTicks}\n`);
    const watcher = watch(join(this.#folder, "requests"), () => this.#look());
    using _look = this.#clock.every(lookMs, () => this.#look());
    this.#look();
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (!signal.aborted) await promise;
    watcher.close();
    rmSync(own, { force: true });
  }

  #look(): void {
    for (const id of readdirSync(join(this.#folder, "requests"))) {
      if (id.startsWith(".") || this.#busy.has(id)) continue;
      this.#busy.add(id);
      void this.#serve(id).finally(() => this.#busy.delete(id));
    }
  }

  async #serve(id: string): Promise<void> {
    const path = join(this.#folder, "requests", id);
    let version = "1.0.0";
    let error: CniError | undefined;
    try {
      const read = readRequest(readFileSync(path, "utf8"));
      version = read.version;
      error = read.request && (await this.#answer(read.request));
    } catch (fault) {
      error = { code: 11, message: messageOf(fault) };
    }
    if (error) this.#logger.warn("a Pod's network is not made", { code: error.code, error: error.message });
    const told = error && JSON.stringify({ cniVersion: version, code: error.code, msg: error.message });
    writeAside(join(this.#folder, "answers", id), told === undefined ? "ok\n" : `error\n${told}\n`);
    rmSync(path, { force: true });
  }
}
