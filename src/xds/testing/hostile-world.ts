import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { bytesInUse } from "#base/testing/memory.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { XdsLimits } from "../limits.ts";
import type { ProxyFinding } from "../port.ts";
import { createXdsServer, type XdsServer, type XdsServerOptions } from "../server.ts";
import { eventually } from "./envoy.ts";
import { DeltaStream, type DeltaRequest, RawStream } from "./grpc-client.ts";
import { cluster, endpoints } from "./resources.ts";
import { TableSource } from "./table-source.ts";

/** Milliseconds that a finding lasts in these tests. */
const findingMs = 2000;

/** How large each cluster's name is, and how many there are unless told: a first response of a megabyte. */
const nameLength = 200;
const manyClusters = 2000;

/** A server over a socket, a well-behaved proxy on it, and proxies that are not. */
export class HostileWorld implements AsyncDisposable {
  readonly source: TableSource;
  readonly server: XdsServer;
  readonly #folder: string;
  readonly #cleanup = new AsyncDisposableStack();
  readonly #neighbour: DeltaStream;
  #changes = 0;
  /** The change that came to the neighbour last. */
  #came = 0;
  #before = 0;

  private constructor(source: TableSource, server: XdsServer, folder: string) {
    this.source = source;
    this.server = server;
    this.#folder = folder;
    this.#cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
    this.#cleanup.use(server);
    this.#neighbour = this.connect();
  }

  static async start(
    limits: Partial<XdsLimits>,
    { clusters = manyClusters, ...more }: Pick<XdsServerOptions, "keepaliveMs"> & { readonly clusters?: number } = {},
  ): Promise<HostileWorld> {
    const folder = mkdtempSync(join(tmpdir(), "weft-hostile-"));
    const source = new TableSource();
    source.setScopes("all", { [typeUrls.cluster]: ["clusters"], [typeUrls.endpoints]: ["endpoints"] });
    source.change(() => {
      for (let at = 0; at < clusters; at += 1) {
        source.set("clusters", cluster(`${"x".repeat(nameLength)}-${at}`));
        source.set("endpoints", endpoints(`${"x".repeat(nameLength)}-${at}`, [1]));
      }
    });
    const { engine } = source;
    const listen = [{ socketPath: join(folder, "ads.sock") }];
    const options = { source, engine, clock: systemClock, logger: silentLogger, listen, drainMs: 0 };
    const server = await createXdsServer({ ...options, ...more, limits: { findingMs, ...limits } });
    const world = new HostileWorld(source, server, folder);
    world.#neighbour.ask({ node: { id: "neighbour" }, typeUrl: typeUrls.cluster });
    await world.neighbourGetsChange();
    world.#before = bytesInUse();
    return world;
  }

  get socketPath(): string {
    return join(this.#folder, "ads.sock");
  }

  /** A proxy's stream; closed in the end. */
  connect(): DeltaStream {
    return this.#cleanup.use(new DeltaStream({ socketPath: this.socketPath }));
  }

  /** A stream of a peer that knows HTTP/2 only; closed in the end. */
  raw(): RawStream {
    return this.#cleanup.use(new RawStream(this.socketPath));
  }

  /** Names that there is something of. */
  names(count: number): string[] {
    return Array.from({ length: count }, (_, at) => `${"x".repeat(nameLength)}-${at}`);
  }

  /** Changes something, and waits until the neighbour has it. Returns how many milliseconds that took. */
  async neighbourGetsChange(): Promise<number> {
    this.#changes += 1;
    const wanted = this.#changes;
    const started = performance.now();
    // Kept neither in the source nor by the neighbour: what the world itself gathers would pass for what others cost.
    this.source.change(() => {
      this.source.delete("clusters", `change-${wanted - 1}`);
      this.source.set("clusters", cluster(`change-${wanted}`));
    });
    await eventually("the neighbour gets the change", () => {
      for (const { nonce: responseNonce, resources } of this.#neighbour.responses.splice(0)) {
        this.#neighbour.ask({ typeUrl: typeUrls.cluster, responseNonce });
        for (const { name } of resources)
          if (name.startsWith("change-")) this.#came = Math.max(this.#came, Number(name.slice("change-".length)));
      }
      return this.#came >= wanted;
    });
    return performance.now() - started;
  }

  /** Bytes in use more than before anybody misbehaved. */
  growth(): number {
    return bytesInUse() - this.#before;
  }

  /** The finding of a kind about a proxy, as soon as there is one. */
  finding(node: string, code: ProxyFinding["code"]): Promise<ProxyFinding> {
    return eventually(`a finding ${code} about ${node}`, () =>
      this.server.findings().find((each) => each.node === node && each.code === code),
    );
  }

  /** Waits until nothing is said against a proxy. */
  async forgiven(node: string): Promise<void> {
    await eventually(`nothing is said about ${node}`, () => this.server.findings().every((each) => each.node !== node));
  }

  /** Connects a proxy that asks, and waits for its first response. */
  async served(id: string, request?: DeltaRequest): Promise<DeltaStream> {
    const stream = this.connect();
    stream.ask(request ?? { node: { id, metadata: { CLUSTER_ID: "east" } }, typeUrl: typeUrls.cluster });
    await eventually(`${id} is served`, () => stream.responses[0]);
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}
