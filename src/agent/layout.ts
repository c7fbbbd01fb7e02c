import { join } from "node:path";
import { shortId } from "#runtime/names.ts";

/** Istio's user and group of proxies, by which the rules of capture know them. */
const istioProxy = 1337;
/** The group that proxies run as. */
export const proxyGroup = istioProxy;
/** The user of what the agent does in proxies' place. */
export const proxyUid = istioProxy;

/** The first of the users that proxies run as; few give so high numbers to anybody. */
const firstProxyUser = 1_337_000_000;

/** The user that a proxy runs as: nobody else on the machine, so that none reads another's socket, files or memory. */
export function proxyUser(baseId: number): number {
  return firstProxyUser + baseId;
}

/** The container name under which a Pod's proxy is known, as in Istio. */
export const proxyContainer = "istio-proxy";

/** Size in bytes at which a container's log is put aside; at most twice that is kept. */
export const logBytes = 5_000_000;

/** Where all agents of the machine keep which base ids of Envoys are taken. */
export const baseIdFolder = "/run/weft/base-ids";

/** Where an agent keeps what belongs to one Pod. */
export interface PodLayout {
  readonly folder: string;
  /** What is known of the Pod. */
  readonly record: string;
  /** Touched whenever a process of it starts or ends; named by the Pod's UID. */
  readonly changes: string;
  /** Files that its processes see in place of the host's. */
  readonly files: string;
  /** The folder of one start of a container. */
  readonly attempt: (container: string, attempt: number) => string;
  readonly container: (container: string) => string;
  /** The state of the forwarder of a port of the host. */
  readonly forwarder: (hostPort: number) => string;
  /** The proxy's own folder, of its own user: its bootstrap, its socket. All that it sees of `/run/weft`. */
  readonly proxy: string;
}

/** Where an agent keeps its things. */
export class AgentLayout {
  readonly #stateDir: string;
  readonly #runDir: string;
  readonly #node: string;

  constructor(at: { readonly stateDir: string; readonly runDir: string; readonly node: string }) {
    this.#stateDir = at.stateDir;
    this.#runDir = at.runDir;
    this.#node = at.node;
  }

  /** What the node is: its Pod network. */
  get node(): string {
    return join(this.#stateDir, "node.json");
  }

  get pods(): string {
    return join(this.#stateDir, "pods");
  }

  /** The authorities that the mesh has published, for a later agent. */
  get roots(): string {
    return join(this.#stateDir, "roots.pem");
  }

  /** The agent's token for the control plane, where it asks for one itself. */
  get token(): string {
    return join(this.#runDir, `node-${this.#node}.token`);
  }

  /** What the node's name server is told: a file for each Pod. */
  get names(): string {
    return join(this.#stateDir, "names");
  }

  /** The name server's own state and log. */
  get nameServer(): string {
    return join(this.#stateDir, "name-server");
  }

  /** Copies of the programs that must outlive their origin. */
  get programs(): string {
    return join(this.#stateDir, "programs");
  }

  /** Holds a file for each Pod that is touched whenever a process of it starts or ends. */
  get changes(): string {
    return join(this.#stateDir, "changes");
  }

  /** The agent's own API. */
  get socket(): string {
    return join(this.#runDir, `node-${this.#node}.sock`);
  }

  /** Where one Pod's things are. */
  pod(uid: string): PodLayout {
    const folder = join(this.pods, uid);
    const container = (name: string): string => join(folder, "containers", name);
    return {
      folder,
      record: join(folder, "pod.json"),
      changes: join(this.changes, uid),
      files: join(folder, "files"),
      container,
      attempt: (name, attempt) => join(container(name), String(attempt)),
      forwarder: (hostPort) => join(folder, "forwarders", String(hostPort)),
      proxy: join(this.#runDir, "proxies", shortId(uid)),
    };
  }
}
