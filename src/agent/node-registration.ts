import { arch, cpus, hostname, release, totalmem } from "node:os";
import { lease as leaseKind } from "#api/kubernetes/lease.ts";
import type { Lease } from "#api/kubernetes/lease.ts";
import { node as nodeKind } from "#api/kubernetes/node.ts";
import type { Node, NodeStatus } from "#api/kubernetes/node.ts";
import { Backoff } from "#base/backoff.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { bootId } from "#runtime/identity.ts";
import type { AgentOptions } from "./options.ts";

const leaseNamespace = "kube-node-lease";
const leaseSeconds = 40;
const renewMs = 10_000;
/** By this annotation the API server finds the agent, for logs and for requests into Pods. */
const socketAnnotation = "mesh.weft.dev/agent-socket";
const maxPods = 110;

/** What a registration is made from. */
export interface RegistrationOptions {
  readonly agent: AgentOptions;
  /** The agent's own API. */
  readonly socket: string;
}

/** Keeps the node's object in the API: labels, addresses, capacity, conditions, and the lease that tells that it lives. */
export class NodeRegistration {
  readonly #options: RegistrationOptions;
  readonly #nodes: KindClient<Node>;
  readonly #leases: KindClient<Lease>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** What a node that is registered anew gets for its Pods: the range that they have. */
  #podCidr: string | undefined;

  constructor(options: RegistrationOptions, client: Client, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#nodes = client.of<Node>(nodeKind);
    this.#leases = client.of<Lease>(leaseKind);
    this.#clock = clock;
    this.#logger = logger;
    this.#podCidr = options.agent.podCidr;
  }

  /** Registers the node and waits until it has a Pod network: the one in its specification, else the one in the options. */
  async podCidr(signal: AbortSignal): Promise<string> {
    const backoff = new Backoff({ initialMs: 50, maxMs: 1000 });
    for (;;) {
      try {
        const { spec } = await this.#register(signal);
        const cidr = spec.podCIDR ?? this.#options.agent.podCidr;
        if (cidr !== undefined) return cidr;
      } catch (error) {
        signal.throwIfAborted();
        this.#complain("the node could not be registered", error);
      }
      await this.#clock.sleep(backoff.next(), signal);
    }
  }

  /** Keeps the node's status and lease up to date until the signal aborts. */
  async run(hostIp: string, podCidr: string, signal: AbortSignal): Promise<void> {
    this.#podCidr = podCidr;
    const backoff = new Backoff({ initialMs: 100, maxMs: 5000 });
    while (!signal.aborted) {
      let wait = renewMs;
      try {
        const node = await this.#register(signal);
        await this.#writeStatus(node, hostIp, signal);
        await this.#renew(signal);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        this.#complain("the node's heartbeat failed", error);
        wait = backoff.next();
      }
      await this.#clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  /** That the API is away is told once, by those who watch it. */
  #complain(message: string, error: unknown): void {
    const level = codeOf(error) === "Unavailable" ? "debug" : "warn";
    this.#logger[level](message, { error: messageOf(error) });
  }

  /** The node as it is in the API, created or brought up to date. */
  async #register(signal: AbortSignal): Promise<Node> {
    const { agent, socket } = this.#options;
    const name = agent.node;
    const labels = {
      "kubernetes.io/arch": arch() === "x64" ? "amd64" : arch(),
      "kubernetes.io/hostname": name,
      "kubernetes.io/os": "linux",
      "topology.kubernetes.io/region": agent.region,
      "topology.kubernetes.io/zone": agent.zone,
    };
    const annotations = { [socketAnnotation]: socket };
    const found = await this.#nodes.find({ name }, signal);
    if (found === undefined) {
      const range = this.#podCidr;
      const spec = range === undefined ? {} : { podCIDR: range, podCIDRs: [range] };
      try {
        return await this.#nodes.create({ metadata: { name, labels, annotations }, spec }, { signal });
      } catch (error) {
        if (codeOf(error) !== "AlreadyExists") throw error;
        return this.#nodes.get({ name }, signal);
      }
    }
    const { metadata } = found;
    const same =
      equal({ ...metadata.labels, ...labels }, metadata.labels) &&
      equal({ ...metadata.annotations, ...annotations }, metadata.annotations);
    if (same) return found;
    return this.#nodes.patch({ name }, { kind: "merge", body: { metadata: { labels, annotations } } }, { signal });
  }

  /** Writes the status where it differs, or when its heartbeat is old: the lease tells that the node lives. */
  async #writeStatus(node: Node, hostIp: string, signal: AbortSignal): Promise<void> {
    const status = this.#status(node, hostIp);
    if (equal(withoutTimes({ ...node.status, ...status }), withoutTimes(node.status))) return;
    const { name } = node.metadata;
    await this.#nodes.patch({ name }, { kind: "merge", body: { status } }, { subresource: "status", signal });
  }

  #status(node: Node, hostIp: string): NodeStatus {
    const { agent } = this.#options;
    const now = timestamp(this.#clock.now());
    const conditions = [
      {
        type: "MemoryPressure",
        status: "False",
        reason: "HasSufficientMemory",
        message: "the machine has memory left",
      },
      {
        type: "DiskPressure",
        status: "False",
        reason: "HasNoDiskPressure",
        message: "the machine has disk space left",
      },
      { type: "PIDPressure", status: "False", reason: "HasSufficientPID", message: "the machine has process ids left" },
      { type: "Ready", status: "True", reason: "AgentReady", message: "the node's agent runs Pods" },
    ].map((condition) => {
      const known = node.status?.conditions?.find(({ type }) => type === condition.type);
      const since = known?.status === condition.status ? known.lastTransitionTime : undefined;
      return { ...condition, lastHeartbeatTime: now, lastTransitionTime: since ?? now };
    });
    const amounts = { cpu: String(cpus().length), memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: String(maxPods) };
    return {
      addresses: [
        { type: "InternalIP", address: hostIp },
        { type: "Hostname", address: agent.node },
      ],
      capacity: amounts,
      allocatable: amounts,
      conditions,
      nodeInfo: {
        machineID: "",
        systemUUID: "",
        bootID: bootId(),
        kernelVersion: release(),
        osImage: `${hostname()} (embedded)`,
        containerRuntimeVersion: `weft://${agent.version}`,
        kubeletVersion: `v${agent.version}`,
        kubeProxyVersion: "",
        operatingSystem: "linux",
        architecture: arch() === "x64" ? "amd64" : arch(),
      },
    };
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { node: name } = this.#options.agent;
    const renewTime = new Date(this.#clock.now()).toISOString().replace("Z", "000Z");
    const spec = { holderIdentity: name, leaseDurationSeconds: leaseSeconds, renewTime };
    const at = { namespace: leaseNamespace, name };
    try {
      await this.#leases.patch(at, { kind: "merge", body: { spec } }, { signal });
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== "NotFound") throw error;
      await this.#leases.create({ metadata: at, spec }, { signal });
    }
  }
}

/** A status without its heartbeats' times, which differ each time. */
function withoutTimes(status: NodeStatus | undefined): unknown {
  const conditions = (status?.conditions ?? []).map(({ lastHeartbeatTime: _at, ...rest }) => rest);
  return { ...status, conditions };
}
