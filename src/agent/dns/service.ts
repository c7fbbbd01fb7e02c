import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import { serveInside } from "#runtime/namespace-socket.ts";
import { watchTouches } from "../changes.ts";
import { proxyUid } from "../layout.ts";
import { readNames } from "./name-files.ts";
import type { Forwarder } from "./server.ts";
import { DnsServer } from "./server.ts";
import { LookupTable } from "./table.ts";

/** Port of the name server in each Pod, as Istio's. */
export const dnsPort = 15053;

/** Sockets of the proxy's user: capture rules leave their traffic alone and track it apart. */
const at = { host: "127.0.0.1", port: dnsPort, uid: proxyUid };

/** Serves names to the Pods that a folder tells of, each on sockets in its own namespace. */
export class DnsService {
  readonly #folder: string;
  readonly #forwarder: Forwarder;
  readonly #servers = new Map<string, DnsServer>();
  readonly #queue: WorkQueue;

  constructor(folder: string, forwarder: Forwarder, clock: Clock, logger: Logger) {
    this.#folder = folder;
    this.#forwarder = forwarder;
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
    for (const server of this.#servers.values()) server[Symbol.dispose]();
  }

  async #update(file: string, signal: AbortSignal): Promise<void> {
    const names = readNames(join(this.#folder, file));
    let server = this.#servers.get(file);
    if (names === undefined) {
      server?.[Symbol.dispose]();
      this.#servers.delete(file);
      return;
    }
    if (server === undefined) {
      server = new DnsServer(await serveInside(names.network, at, signal), this.#forwarder);
      this.#servers.set(file, server);
    }
    if (names.hosts !== undefined) server.setTable(new LookupTable(names.hosts, names));
  }
}
