import {
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { Container } from "#api/kubernetes/container.ts";
import { parseDuration } from "#base/duration.ts";
import type { ProcessSpec } from "#runtime/process.ts";
import { type Bootstrap, bootstrap, type BootstrapOptions, proxyPorts } from "./bootstrap.ts";
import type { RestartRules } from "./container-runner.ts";
import { logBytes, proxyContainer, proxyGroup, proxyUser } from "./layout.ts";
import type { PodSite } from "./pod-site.ts";
import { proxyArguments } from "./proxy-arguments.ts";

/** A proxy that ended comes back at once, and also one that keeps ending is tried again soon. */
export const proxyRules: RestartRules = {
  again: () => true,
  delay: (failures) => (failures === 0 ? 0 : Math.min(250 * 2 ** (failures - 1), 10_000)),
  forgetMs: 60_000,
};

/** A proxy is ready when it has its listeners and clusters: then Envoy's `/ready` answers 200. */
export const proxyReadiness: NonNullable<Container["readinessProbe"]> = {
  httpGet: { path: "/healthz/ready", port: proxyPorts.status, scheme: "HTTP" },
  timeoutSeconds: 3,
  periodSeconds: 2,
  successThreshold: 1,
  failureThreshold: 4,
};

/** The container that stands for a sidecar, which no Pod's specification has. */
export const sidecarContainer: Container = {
  name: proxyContainer,
  image: "auto",
  resources: {},
  readinessProbe: proxyReadiness,
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
};

/**
 * Keeps a program where it stays when its origin is removed, such as a cache of downloads.
 * @returns the copy's path, of which there is one for each build of the program.
 */
export function keptProgram(program: string, folder: string): string {
  const { size, mtimeMs } = statSync(program);
  const kept = join(folder, `${size}-${Math.floor(mtimeMs)}`);
  if (existsSync(kept)) return kept;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = `${kept}.${process.pid}`;
  try {
    linkSync(program, draft);
  } catch {
    // Another file system, or one without links.
    copyFileSync(program, draft);
  }
  renameSync(draft, kept);
  return kept;
}

/** What a proxy is started with. */
export interface ProxyStart {
  readonly folder: string;
  readonly notify: string;
  /** Where the Pod's processes are. */
  readonly site: PodSite;
  /** The proxy's own folder. */
  readonly proxyFolder: string;
  /** Path of the program. */
  readonly program: string;
  /** How it is started. */
  readonly config: MeshProxyConfig;
  /** Its configuration, if not one without patches. */
  readonly bootstrap: object;
  readonly baseId: number;
  /** How many processes before it have handed over to each other. */
  readonly epoch: number;
  readonly concurrency: number;
}

/** The names of what belongs to one of the processes that hand over to each other, in the proxy's folder. */
function namesOf(epoch: number): { readonly bootstrap: string; readonly program: string } {
  const end = epoch === 0 ? "" : `.${epoch}`;
  return { bootstrap: `bootstrap${end}.json`, program: `envoy${end}` };
}

/** Forgets the files of a process that has ended. */
export function removeProxyFiles(proxyFolder: string, epoch: number): void {
  for (const name of Object.values(namesOf(epoch))) rmSync(join(proxyFolder, name), { force: true });
}

/** Seconds after which the process before ends, however many connections it has: a third more than it tells them to go. */
export function parentSeconds({ drainDuration = "45s" }: MeshProxyConfig): number {
  const seconds = Math.ceil(parseDuration(drainDuration) / 1000);
  return Math.max(Math.ceil((seconds * 4) / 3), seconds + 2);
}

/** All that a proxy sees of the instance's sockets: its own folder in their place. */
const seenAt = "/run/weft";

/** The name of the xDS socket in the proxy's folder. */
export const xdsSocketName = "xds.sock";

/** A proxy's bootstrap, as it sees its folder. */
export function proxyBootstrap(options: Omit<BootstrapOptions, "xdsSocket">): Bootstrap {
  return bootstrap({ ...options, xdsSocket: join(seenAt, xdsSocketName) });
}

/** Writes a proxy's files and says how it is started. Hot restart stays possible: nothing else of the machine has its base id. */
export function proxyProcess(start: ProxyStart): ProcessSpec {
  const { proxyFolder, program, site, config: settings } = start;
  const { proxyMetadata = {} } = settings;
  mkdirSync(proxyFolder, { recursive: true, mode: 0o700 });
  const user = proxyUser(start.baseId);
  chownSync(proxyFolder, user, proxyGroup);
  const names = namesOf(start.epoch);
  const config = join(proxyFolder, names.bootstrap);
  writeFileSync(config, JSON.stringify(start.bootstrap, undefined, 1), { mode: 0o600 });
  chownSync(config, user, proxyGroup);
  // The program's own place may be closed to the proxy's user; this name is where it is mounted.
  const place = join(proxyFolder, names.program);
  rmSync(place, { force: true });
  writeFileSync(place, "", { mode: 0o755 });
  const words = proxyArguments({
    config: settings,
    bootstrap: join(seenAt, names.bootstrap),
    concurrency: start.concurrency,
    more: {
      "--base-id": start.baseId,
      "--restart-epoch": start.epoch,
      "--parent-shutdown-time-s": parentSeconds(settings),
    },
  });
  return {
    folder: start.folder,
    notify: start.notify,
    argv: [join(seenAt, names.program), ...words, "--allow-unknown-static-fields"],
    env: proxyMetadata,
    cwd: "/",
    uid: user,
    gid: proxyGroup,
    ...site,
    mounts: [
      ...site.mounts,
      { source: proxyFolder, target: seenAt },
      { source: program, target: join(seenAt, names.program) },
    ],
    logBytes,
  };
}
