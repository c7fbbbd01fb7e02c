import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { proxyArguments } from "#agent/proxy-arguments.ts";
import { defaultTrustDomain } from "#model/mesh.ts";
import { applyCapture, defaultCapture } from "#runtime/capture.ts";
import { Hijack } from "#runtime/hijack.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { Identities } from "../../test/behaviour/identities.ts";
import { NetworkEnvoy } from "../../test/support/envoy.ts";
import { eventually } from "../../test/support/eventually.ts";
import { TestNetwork } from "../../test/support/network.ts";
import { quantile } from "../quantile.ts";
import { baseline } from "./baseline.ts";
import { addresses, called, namespace, type Side, sides, startMesh, workers } from "./mesh.ts";
import { priority, Program } from "./program.ts";
import { builtPrograms } from "./programs.ts";
import { countInstructions, cpuOf, type Pids } from "./usage.ts";
import type { Variant } from "./variants.ts";

/** Connections of the program that calls, used by turns. */
const connections = 64;

/**
 * Requests of a millisecond are sent together. One by one, the Envoys of a busy machine would do less at a time the more they have left to
 * give, and take all of it at any rate: what a change saves would not be seen.
 */
const tickNanoseconds = 1_000_000;

/** Requests that are sent and answered. */
export interface Load {
  /** A second; 0 for each as soon as its connection is free. */
  readonly rate: number;
  readonly count: number;
  /** Bytes of each request's body, and of each answer's. */
  readonly body: number;
  readonly answer: number;
}

/** What one turn of requests has cost, of a request on the average. */
export interface Turn {
  /** Microseconds of CPU: of each Envoy, and of all that has to do with the requests. */
  readonly client: number;
  readonly server: number;
  readonly all: number;
  /** Milliseconds from when a request was due until it was answered. */
  readonly p50: number;
  readonly p99: number;
  /** Requests answered a second. */
  readonly rate: number;
  /** Undefined where they cannot be counted. */
  readonly instructions: number | undefined;
}

/** The baseline's bootstrap with what a variant changes in it. */
function changed({ measure }: Variant, side: Side, sds: string): Readonly<Record<string, unknown>> {
  const bootstrap = baseline(side, sds);
  measure?.(bootstrap, side);
  return { ...bootstrap };
}

/** A client and a server in network namespaces of their own, with Envoys and what leads connections to them as a variant has it. */
export class Pair implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #envoys = new Map<Side, NetworkEnvoy>();
  readonly #namespaces = { client: "", server: "" };
  readonly #counts: boolean;
  readonly #target: readonly [string, number];
  #load: Program | undefined;
  #serve: Program | undefined;

  private constructor(variant: Variant, counts: boolean) {
    this.#counts = counts;
    const meshed = variant.hijack !== undefined;
    this.#target = meshed ? [called.address, called.port] : [addresses.server, called.listens];
  }

  /**
   * Starts one and warms it up.
   * @param programs folder of the compiled programs for eBPF.
   * @param counts whether instructions are counted.
   */
  static async start(variant: Variant, programs: string, counts: boolean): Promise<Pair> {
    const pair = new Pair(variant, counts);
    try {
      await pair.#start(variant, programs);
      await pair.#opened();
      return pair;
    } catch (fault) {
      await pair[Symbol.asyncDispose]();
      throw fault;
    }
  }

  /** Sends requests and says what they cost. @throws Error when one fails. */
  async turn(load: Load): Promise<Turn> {
    const pids = this.#pids();
    const all = [...(pids.envoys ? Object.values(pids.envoys) : []), ...pids.programs];
    const counted = this.#counts ? await countInstructions(all) : undefined;
    const before = cpuOf(pids);
    const nanoseconds = await this.#send(load);
    const after = cpuOf(pids);
    const instructions = await counted?.();
    const times = (await this.#program.ask("times")).trim().split(" ").map(Number);
    const sorted = Float64Array.from(times).toSorted();
    const each = (of: keyof typeof before): number => ((after[of] - before[of]) * 1000) / load.count;
    return {
      client: each("client"),
      server: each("server"),
      all: each("all"),
      p50: quantile(sorted, 0.5) / 1000,
      p99: quantile(sorted, 0.99) / 1000,
      rate: (load.count / nanoseconds) * 1e9,
      instructions: instructions === undefined ? undefined : instructions / load.count,
    };
  }

  /** Who the server's proxy says that the client is; `unknown` where it says nothing. */
  async caller(): Promise<string> {
    const at = { host: this.#target[0], port: this.#target[1] };
    const socket = await connectInside(namespacePath(this.#namespaces.client), at, AbortSignal.timeout(5000));
    socket.write(`GET /caller HTTP/1.1\r\nhost: ${called.host}\r\nconnection: close\r\n\r\n`);
    let answer = "";
    for await (const chunk of socket) {
      answer += String(chunk);
      if (answer.includes("\r\n\r\n")) break;
    }
    return /^x-caller: .*URI=([^;,\r]*)/im.exec(answer)?.[1] ?? "unknown";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  get #program(): Program {
    if (!this.#load) throw new Error("the program that calls does not run");
    return this.#load;
  }

  #pids(): Pids {
    const [client, server] = [this.#envoys.get("client")?.pid, this.#envoys.get("server")?.pid];
    const envoys = client !== undefined && server !== undefined ? { client, server } : undefined;
    return { envoys, programs: [this.#program.pid, this.#serve?.pid ?? 0] };
  }

  async #send({ rate, count, body, answer }: Load): Promise<number> {
    const said = await this.#program.ask(`send ${rate} ${count} ${body} ${answer} ${tickNanoseconds}`);
    const [, nanoseconds = "0", failed = "", ...reason] = said.split(" ");
    if (failed !== "0") throw new Error(`${failed} of ${count} requests failed: ${reason.join(" ")}`);
    return Number(nanoseconds);
  }

  async #start(variant: Variant, programs: string): Promise<void> {
    const network = this.#stack.use(await TestNetwork.create("dp"));
    const namespaces = this.#namespaces;
    for (const side of sides) namespaces[side] = await network.add(side, addresses[side]);
    if (variant.hijack) {
      await this.#startEnvoys(variant);
      await this.#lead(variant, programs);
    }
    const built = builtPrograms();
    this.#serve = this.#stack.use(new Program(namespaces.server, [join(built, "serve"), String(called.listens)]));
    await this.#serve.line();
    const words = [...this.#target.map(String), called.host, String(connections)];
    this.#load = this.#stack.use(new Program(namespaces.client, [join(built, "load"), ...words]));
  }

  async #startEnvoys(variant: Variant): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
    this.#stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    chmodSync(folder, 0o755);
    const identities = this.#stack.use(new Identities());
    const mesh = variant.mesh && this.#stack.use(await startMesh(folder, variant.mesh.settings, variant.mesh.objects));
    const [, , ...flags] = proxyArguments({ config: {}, bootstrap: "", concurrency: variant.workers ?? workers });
    for (const side of sides) {
      const identity = { trustDomain: defaultTrustDomain, namespace, serviceAccount: side };
      const sds = await identities.serve(join(folder, "ads.sock"), side, identity);
      const bootstrap = mesh ? mesh.bootstrapOf(side, sds) : changed(variant, side, sds);
      const options = { namespace: this.#namespaces[side], bootstrap, flags, wrapper: priority };
      this.#envoys.set(side, this.#stack.use(await NetworkEnvoy.start(options)));
    }
  }

  async #lead({ hijack, sockmap = false }: Variant, programs: string): Promise<void> {
    const namespaces = this.#namespaces;
    if (hijack === "iptables") {
      for (const side of sides) await applyCapture(namespaces[side], defaultCapture);
      return;
    }
    const ebpf = new Hijack(programs, `bench${process.pid}`);
    this.#stack.defer(() => ebpf.detach());
    await ebpf.attach();
    for (const side of sides) {
      const pod = { network: namespacePath(namespaces[side]), addresses: [addresses[side]], capture: defaultCapture };
      await ebpf.add({ ...pod, sockmap });
    }
  }

  /** Sends requests until connections between Envoys are open and all is warm. */
  async #opened(): Promise<void> {
    await eventually("a request is answered", async () => {
      await this.#send({ rate: 0, count: 1, body: 0, answer: 0 });
      return true;
    });
    await this.#send({ rate: 0, count: 3000, body: 1024, answer: 1024 });
  }
}
