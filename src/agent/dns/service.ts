import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import { serveInside } from "#runtime/namespace-socket.ts";
import { watchTouches } from "../changes.ts";
import { proxyUid } from "../layout.ts";
import { type PodNames, readNames } from "./name-files.ts";
import type { Forwarder } from "./server.ts";
import { DnsServer } from "./server.ts";
import { LookupTable } from "./table.ts";

/** Port of the name server in each Pod, as Istio's. */
export const dnsPort = 15053;

/** Port of the name server that each Pod's proxy asks, beside that of its programs. */
export const proxyDnsPort = 15054;

/** Questions of a proxy on their way at once: when it starts, it asks for all hosts that it calls by name. */
export const maxOfProxy = 512;

/** Where questions about names go that are not the mesh's. */
export interface Forwarders {
  /** The host's name servers. */
  readonly host: Forwarder;
  /** Others. */
  readonly to: (servers: readonly string[]) => Forwarder & Disposable;
}

/** The name servers of one Pod. */
interface PodServers extends Disposable {
  /** File of the network namespace that they are in. */
  readonly network: string;
  /** What its programs ask: it knows the mesh's names. */
  readonly programs: DnsServer;
}

/**
 * Opens the name servers of a Pod. Its proxy has one that knows none of the mesh's names: what the proxy asks for is what stands
 * behind them.
 */
async function openServers(names: PodNames, forwarders: Forwarders, signal: AbortSignal): Promise<PodServers> {
  // Sockets of the proxy's user: capture rules leave their traffic alone and track it apart.
  const open = (port: number) => serveInside(names.network, { host: "127.0.0.1", port, uid: proxyUid }, signal);
  using servers = new DisposableStack();
  const forwarder = names.resolvers ? servers.use(forwarders.to(names.resolvers)) : forwarders.host;
  const programs = servers.use(new DnsServer(await open(dnsPort), forwarder));
  const proxy = servers.use(new DnsServer(await open(proxyDnsPort), forwarder, maxOfProxy));
  proxy.setTable(new LookupTable({}, names));
  const kept = servers.move();
  return { network: names.network, programs, [Symbol.dispose]: () => kept.dispose() };
}

/** Serves names to the Pods that a folder tells of, and to their proxies, each on sockets in its own namespace. */
export class DnsService {
  readonly #folder: string;
  readonly #forwarders: Forwarders;
  readonly #servers = new Map<string, PodServers>();
  readonly #queue: WorkQueue;

  constructor(folder: string, forwarders: Forwarders, clock: Clock, logger: Logger) {
    this.#folder = folder;
    this.#forwarders = forwarders;
    this.#queue = new WorkQueue({
      clock,
      work: async (file, signal) => this.#update(file, signal),
      failed: (file, error) => logger.warn("a Pod's names are not served", { file, error: messageOf(error) }),
      backoff: { initialMs: 20, maxMs: 2000 },
    });
  }

  /** Serves until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    using _watch = watchTouches(this.#folder, (file) => {
      if (file.endsWith(".json")) this.#queue.add(file);
    });
    for (const file of readdirSync(this.#folder)) if (file.endsWith(".json")) this.#queue.add(file);
    await this.#queue.run(signal);
    for (const servers of this.#servers.values()) servers[Symbol.dispose]();
  }

  async #update(file: string, signal: AbortSignal): Promise<void> {
    const names = readNames(join(this.#folder, file));
    let servers = this.#servers.get(file);
    if (servers !== undefined && servers.network !== names?.network) {
      servers[Symbol.dispose]();
      this.#servers.delete(file);
      servers = undefined;
    }
    if (names === undefined) return;
    if (servers === undefined) {
      servers = await openServers(names, this.#forwarders, signal);
      this.#servers.set(file, servers);
    }
    if (names.hosts !== undefined) servers.programs.setTable(new LookupTable(names.hosts, names));
  }
}
