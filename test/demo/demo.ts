import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");
const weftScript = join(root, "weft");

/** Where a running demonstration is. */
export interface DemoInfo {
  readonly gateway: string;
  readonly kubeconfigs: { readonly mesh: string; readonly east: string; readonly west: string };
  readonly namespace: string;
  readonly outsideNamespace: string;
  readonly pid: number;
}

/** What the page answers, as far as tests read it. */
export interface Page {
  readonly reviews: {
    readonly version?: string;
    readonly pod?: string;
    readonly cluster?: string;
    readonly error?: string;
    readonly status?: number;
  };
  readonly details: { readonly error?: string; readonly status?: number; readonly pod?: string };
  readonly ratings: { readonly error?: string } | null;
}

/** A demonstration of the test's own: another name and other ports than a user's. */
export class Demo implements AsyncDisposable {
  readonly name: string;
  readonly info: DemoInfo;

  private constructor(name: string, info: DemoInfo) {
    this.name = name;
    this.info = info;
  }

  /** Starts one in the background and returns when it is ready. */
  static async start(name: string, gatewayPort: number, apiPort: number, ...more: readonly string[]): Promise<Demo> {
    const ports = ["--gateway-port", String(gatewayPort), "--api-port", String(apiPort)];
    await run(weftScript, ["demo", "--name", name, "--detach", "--load", "0", ...ports, ...more]);
    const { stdout } = await run(weftScript, ["demo", "info", "--name", name, "-o", "json"]);
    return new Demo(name, JSON.parse(stdout) as DemoInfo);
  }

  /** Runs kubectl through an endpoint. */
  async kubectl(endpoint: "mesh" | "east" | "west", args: readonly string[], input = ""): Promise<string> {
    const child = run(kubectlPath(), ["--kubeconfig", this.info.kubeconfigs[endpoint], ...args], {
      maxBuffer: 64 << 20,
    });
    child.child.stdin?.end(input);
    return (await child).stdout;
  }

  /** Applies YAML through an endpoint. */
  async apply(endpoint: "mesh" | "east" | "west", yaml: string): Promise<void> {
    await this.kubectl(endpoint, ["apply", "-f", "-"], yaml);
  }

  /** Runs `weft` against the mesh's API. */
  async weft(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(weftScript, [...args, "--kubeconfig", this.info.kubeconfigs.mesh], {
      maxBuffer: 64 << 20,
    });
    return stdout;
  }

  /** Asks the page once. What it calls it gives up after ten seconds, and says so. */
  async page(): Promise<Page> {
    const response = await fetch(`${this.info.gateway}/api/page`, { signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(`the page answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Page;
  }

  /** Asks the page many times, some at once; results in the order of their arrival. */
  async pages(count: number, atOnce = 10): Promise<readonly Page[]> {
    const results: Page[] = [];
    let left = count;
    const worker = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        results.push(await this.page());
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return results;
  }

  /** Process ids of a container of all Pods of a workload, as the node's agent has them on disk. */
  pids(node: string, workload: string, container: string): readonly number[] {
    const pods = `/var/lib/weft/${this.name}/agents/${node}/pods`;
    return readdirSync(pods).flatMap((uid) => {
      const { pod } = JSON.parse(readFileSync(join(pods, uid, "pod.json"), "utf8")) as {
        readonly pod: { readonly metadata: { readonly name: string } };
      };
      if (!pod.metadata.name.startsWith(`${workload}-`)) return [];
      const attempts = readdirSync(join(pods, uid, "containers", container)).map(Number);
      const last = String(Math.max(...attempts));
      const fields = readFileSync(join(pods, uid, "containers", container, last, "pid"), "utf8").split(" ");
      return [Number(fields[2])];
    });
  }

  /** Ends and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Demo.stop(this.name);
  }

  /** Ends and removes one, in whatever state it is. */
  static async stop(name: string): Promise<void> {
    await run(weftScript, ["demo", "--stop", "--name", name]);
  }
}

let kubectlFile: string | undefined;

/** The pinned kubectl. */
function kubectlPath(): string {
  kubectlFile ??= execFileSync(process.execPath, [join(root, "setup", "program.ts"), "kubectl"], {
    encoding: "utf8",
  }).trim();
  return kubectlFile;
}

/** What an instance could leave behind, as lines to be compared. */
export function traces(name: string): {
  readonly namespaces: readonly string[];
  readonly processes: readonly string[];
  readonly folders: readonly string[];
} {
  const namespaces = existsSync("/run/netns")
    ? readdirSync("/run/netns").filter((one) => one.startsWith(`weft-${name}-`))
    : [];
  const processes = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return line.includes(`/weft/${name}/`) || line.includes(`--instance ${name} `) ? [`${pid} ${line}`] : [];
      } catch {
        return [];
      }
    });
  const folders = [`/run/weft/${name}`, `/var/lib/weft/${name}`].filter(existsSync);
  return { namespaces, processes, folders };
}
