import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { grpcCluster } from "#xds/testing/grpc-cluster.ts";
import { busy, eventually } from "./eventually.ts";

/** The proxy's user and group, by which capture rules know it. */
const proxyId = 1337;

/** An Envoy that gets everything over ADS. */
interface ServedEnvoy {
  /** `envoy.config.core.v3.Node`. */
  readonly node: Readonly<Record<string, unknown>>;
  /** Unix socket of the ADS server. */
  readonly ads: string;
  /** Unix socket by which it is served its certificate; none unless told. */
  readonly sds?: string | undefined;
}

/** An Envoy with a configuration of its own. */
interface StaticEnvoy {
  /** `static_resources` of its bootstrap. */
  readonly resources: Readonly<Record<string, unknown>>;
}

/** An Envoy with a bootstrap of its own, but for the admin interface. */
interface WholeEnvoy {
  readonly bootstrap: Readonly<Record<string, unknown>>;
}

/** Where and how an Envoy runs. */
interface EnvoyPlace {
  /** Name of the network namespace. */
  readonly namespace: string;
  /** A file that stands for `/etc/resolv.conf`; the machine's own unless told. */
  readonly resolvConf?: string;
  /** Worker threads; one unless told. */
  readonly workers?: number;
  /** Its flags, in place of those that suit tests. */
  readonly flags?: readonly string[];
  /** A command that runs it, with its first arguments. */
  readonly wrapper?: readonly string[];
}

type EnvoyOptions = (ServedEnvoy | StaticEnvoy | WholeEnvoy) & EnvoyPlace;

function bootstrap(options: EnvoyOptions, path: string): unknown {
  const admin = { address: { pipe: { path, mode: 0o600 } } };
  if ("resources" in options) return { admin, static_resources: options.resources };
  if ("bootstrap" in options) return { ...options.bootstrap, admin };
  return { admin, ...served(options) };
}

/** The cluster of the proxy's own kind, as Istio's bootstrap has it where the metadata asks for it. */
function selfDiscovery({ metadata }: ServedEnvoy["node"]) {
  if ((metadata as Readonly<Record<string, unknown>>)["ENABLE_SELF_DISCOVERY"] !== "true") return undefined;
  const name = "local_cluster";
  const eds = { eds_config: { ads: {}, resource_api_version: "V3" }, service_name: name };
  return {
    manager: { cluster_manager: { local_cluster_name: name } },
    cluster: { name, type: "EDS", connect_timeout: "1s", eds_cluster_config: eds },
  };
}

const pipe = (path: string): object => ({ pipe: { path } });

function served({ node, ads, sds }: ServedEnvoy): Readonly<Record<string, unknown>> {
  const source = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
  const own = selfDiscovery(node);
  return {
    node,
    ...own?.manager,
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
      cds_config: source,
      lds_config: source,
    },
    static_resources: {
      clusters: [
        ...(own ? [own.cluster] : []),
        grpcCluster("xds-grpc", pipe(ads)),
        ...(sds === undefined ? [] : [grpcCluster("sds-grpc", pipe(sds))]),
      ],
    },
  };
}

function programPath(): string {
  return execFileSync(process.execPath, ["setup/program.ts", "envoy"], { encoding: "utf8" }).trim();
}

/** A command with a name server of its own. */
function withResolver(file: string | undefined, argv: readonly string[]): readonly string[] {
  if (file === undefined) return argv;
  const mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, file, ...argv];
}

/** A real Envoy as the proxy's user in a network namespace; its admin interface is a Unix socket. */
export class NetworkEnvoy implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #log: string[] = [];

  private constructor(options: EnvoyOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), "weft-envoy-"));
    const file = join(this.#folder, "bootstrap.json");
    writeFileSync(file, JSON.stringify(bootstrap(options, this.#admin)));
    chmodSync(this.#folder, 0o777);
    // The program lies in a folder of root's: the capability lets the proxy's user read it, and nothing more.
    const user = [`--reuid=${proxyId}`, `--regid=${proxyId}`, "--clear-groups"];
    const capability = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    const quick = ["--concurrency", String(options.workers ?? 1), "--file-flush-interval-msec", "100", "-l", "warning"];
    const flags = ["-c", file, "--disable-hot-restart", ...(options.flags ?? quick)];
    const argv = [...(options.wrapper ?? []), "setpriv", ...user, ...capability, programPath(), ...flags];
    const [program, ...args] = inside(namespacePath(options.namespace), withResolver(options.resolvConf, argv));
    this.#process = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => this.#log.push(text));
  }

  /** Id of its process. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get #admin(): string {
    return join(this.#folder, "admin.sock");
  }

  /** Starts one and waits until it has its whole configuration. */
  static async start(options: EnvoyOptions): Promise<NetworkEnvoy> {
    const envoy = new NetworkEnvoy(options);
    try {
      const ready = async (): Promise<boolean> => (await envoy.admin("GET", "/ready")).startsWith("LIVE");
      await eventually("Envoy is ready", ready, 15_000 * busy);
      return envoy;
    } catch (fault) {
      const { log } = envoy;
      await envoy[Symbol.asyncDispose]();
      throw new Error(`Envoy did not become ready: ${log.slice(-4000)}`, { cause: fault });
    }
  }

  /** What it wrote: warnings and worse, such as configuration that it refused. */
  get log(): string {
    return this.#log.join("");
  }

  /** Asks the admin interface. */
  admin(method: "GET" | "POST", path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#admin, method, path }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve(text));
      });
      call.on("error", reject).end();
    });
  }

  /** The sum of the counters and gauges with such names. */
  async sumOf(names: RegExp): Promise<number> {
    const text = await this.admin("GET", "/stats?format=json");
    const { stats } = JSON.parse(text) as { stats: { name?: string; value?: number }[] };
    return stats
      .filter(({ name }) => name !== undefined && names.test(name))
      .reduce((sum, { value = 0 }) => sum + value, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise((resolve) => {
        this.#process.once("exit", resolve);
      });
      this.#process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
