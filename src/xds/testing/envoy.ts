import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#base/free-port.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import { grpcCluster } from "./grpc-cluster.ts";

/** The path of a pinned Envoy, fetched first where needed. */
function envoyProgram(version: string): string {
  return execFileSync(process.execPath, ["setup/program.ts", "envoy", version], { encoding: "utf8" }).trim();
}

/** Waits until a check gives something. */
export async function eventually<V>(what: string, check: () => V | undefined | Promise<V | undefined>): Promise<V> {
  const until = Date.now() + 60_000;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (fault) {
      last = fault;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  throw new Error(`never came true: ${what}`, { cause: last });
}

/** How a test's Envoy gets its configuration. */
export interface EnvoyOptions {
  readonly version: string;
  readonly variant: "delta" | "sotw";
  readonly id: string;
  readonly ads: ListenAddress;
  /** The node's metadata; that it is of the namespace shop unless given. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

function bootstrap(options: EnvoyOptions, adminPort: number): unknown {
  const { ads, metadata = { NAMESPACE: "shop" } } = options;
  const address =
    "socketPath" in ads
      ? { pipe: { path: ads.socketPath } }
      : { socket_address: { address: ads.host, port_value: ads.port } };
  return {
    node: { id: options.id, cluster: "test", metadata, locality: { region: "r" } },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: adminPort } } },
    dynamic_resources: {
      ads_config: {
        api_type: options.variant === "delta" ? "DELTA_GRPC" : "GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
      },
      cds_config: { ads: {}, resource_api_version: "V3" },
      lds_config: { ads: {}, resource_api_version: "V3" },
    },
    static_resources: {
      clusters: [grpcCluster("xds", address)],
    },
  };
}

/** A real Envoy on this machine's loopback. */
export class TestEnvoy implements AsyncDisposable {
  readonly adminPort: number;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #log: string[] = [];

  private constructor(program: string, options: EnvoyOptions, adminPort: number) {
    this.adminPort = adminPort;
    this.#folder = mkdtempSync(join(tmpdir(), "weft-xds-envoy-"));
    const file = join(this.#folder, "bootstrap.json");
    writeFileSync(file, JSON.stringify(bootstrap(options, adminPort)));
    this.#process = spawn(
      program,
      ["-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "info", "--drain-time-s", "1"],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => this.#log.push(text));
  }

  /** Starts one and waits for its admin interface. */
  static async start(options: EnvoyOptions): Promise<TestEnvoy> {
    const envoy = new TestEnvoy(envoyProgram(options.version), options, await freePort());
    try {
      await eventually("the admin interface answers", async () => (await envoy.admin("/server_info")) !== "");
      return envoy;
    } catch (fault) {
      const log = envoy.log.slice(-4000);
      await envoy[Symbol.asyncDispose]();
      throw new Error(`Envoy did not start: ${log}`, { cause: fault });
    }
  }

  /** What it wrote. */
  get log(): string {
    return this.#log.join("");
  }

  /** Asks the admin interface. */
  async admin(path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}${path}`);
    return await response.text();
  }

  /** Asks the admin interface for JSON. */
  async adminJson<V>(path: string): Promise<V> {
    return JSON.parse(await this.admin(path)) as V;
  }

  /** One counter or gauge. */
  async stat(name: string): Promise<number> {
    const text = await this.admin(`/stats?filter=^${name.replaceAll(/[.|]/g, String.raw`\$&`)}$`);
    return Number(text.split(": ")[1] ?? Number.NaN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => {
      this.#process.once("exit", resolve);
    });
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
