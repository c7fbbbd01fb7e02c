import type { MeshConfigState } from "#api/istio/mesh-config.ts";
import { type Mesh, type MeshAuthority, mesh as meshKind } from "#api/weft/mesh.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { condition, type Readiness, readyCondition } from "./ready.ts";

/** How a control plane's proxies stand, in numbers. */
export interface ProxyCounts {
  readonly connected: number;
  /** Those that have acknowledged the newest of every type. */
  readonly inSync: number;
  /** Those that refuse something. */
  readonly refusing: number;
  /** Those, also such as are not connected any more, that did lately what they should not. */
  readonly misbehaving: number;
  /** By the cluster that they are in. */
  readonly clusters: ReadonlyMap<string, Pick<ProxyCounts, "connected" | "inSync">>;
}

/** What the writer needs. */
export interface MeshStatusOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** The `Mesh` object's name. */
  readonly mesh: string;
  /** Undefined while none are served yet. */
  readonly proxies: () => ProxyCounts | undefined;
  /** How its certificate authority stands; undefined where it is not kept here. */
  readonly authority: () => MeshAuthority | undefined;
  /** What is wrong with Istio's remote secrets, in words. */
  readonly remoteSecrets: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks at the proxies, which are for people. */
const everyMs = 15_000;
/** The same while some are behind. */
const unsettledMs = 2_000;
/** Milliseconds that proxies which come or go together are waited for. */
const settleMs = 1_000;

const starting: Readiness = { ready: false, reason: "Starting", message: "no proxies are served yet" };

function readinessOf({ connected, inSync, refusing, misbehaving }: ProxyCounts): Readiness {
  const proxies = `${connected} ${connected === 1 ? "proxy" : "proxies"} connected, ${inSync} in sync`;
  // A proxy that refuses keeps its last good state, so the mesh goes on: the object to blame tells the rest.
  const refused = refusing === 0 ? "" : `, ${refusing} refusing`;
  const conduct = misbehaving === 0 ? "" : `; ${misbehaving} misbehaving, see kubectl get proxyfindings -A`;
  return { ready: true, reason: "Serving", message: `${proxies}${refused}${conduct}` };
}

/** The conditions that are written here. */
const ownTypes: ReadonlySet<string> = new Set(["Ready", "Accepted", "AuthorityReady", "RemoteSecretsAccepted"]);
/** Problems that are told; the others are counted. */
const mostProblems = 10;

/** How long before a certificate of the authority ends that is told: 30 days. */
const noticeMs = 30 * 86_400_000;

function authorityReadiness({ problem, certificates }: MeshAuthority, now: number): Readiness {
  if (problem !== undefined) return { ready: false, reason: "Unusable", message: problem };
  const ends = certificates.toSorted((one, other) => Date.parse(one.notAfter) - Date.parse(other.notAfter));
  const soon = ends.find(({ notAfter }) => Date.parse(notAfter) - now < noticeMs);
  if (soon === undefined) return { ready: true, reason: "Signing", message: "" };
  const { use, subject, notAfter } = soon;
  const over = Date.parse(notAfter) <= now;
  const message = `the certificate of ${subject} (${use}) ${over ? "ended" : "ends"} at ${notAfter}: rotate the root (weft ca rotate)`;
  return { ready: !over, reason: over ? "Expired" : "ExpiresSoon", message };
}

function secretsReadiness(problems: readonly string[]): Readiness {
  if (problems.length === 0) return { ready: true, reason: "Accepted", message: "" };
  const more = problems.length - mostProblems;
  const message = problems.slice(0, mostProblems).join("\n") + (more > 0 ? `\nand ${more} more` : "");
  return { ready: false, reason: "RemoteSecretRefused", message };
}

function acceptance({ problem, missing }: MeshConfigState): Readiness {
  if (problem !== undefined) {
    const message = `The MeshConfig in Istio's ConfigMap is passed over, and what it said before goes on: ${problem}`;
    return { ready: false, reason: "InvalidMeshConfig", message };
  }
  const message = missing.length === 0 ? "" : `These members of the MeshConfig have no effect: ${missing.join("; ")}`;
  return { ready: true, reason: missing.length === 0 ? "Accepted" : "NotImplemented", message };
}

/** Keeps the status of the `Mesh` object true: its control plane serves, how its proxies stand, and how its settings were taken. */
export class MeshStatusWriter {
  readonly #options: MeshStatusOptions;
  readonly #queue: WorkQueue;
  #config: MeshConfigState = { missing: [] };

  constructor(options: MeshStatusOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      clock: options.clock,
      work: async (name) => this.#write(name),
      failed: (name, error) => {
        const level = codeOf(error) === "Unavailable" ? "debug" : "warn";
        options.logger[level]("cannot write the mesh's status", { mesh: name, error: messageOf(error) });
      },
    });
  }

  /** Istio's ConfigMap was read. */
  took(config: MeshConfigState): void {
    this.#config = config;
    this.changed();
  }

  /** Proxies have come or gone. */
  changed(): void {
    this.#queue.addAfter(this.#options.mesh, settleMs);
  }

  /** Writes now and from then on every so often, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#queue.add(this.#options.mesh);
    await this.#queue.run(signal);
  }

  async #write(name: string): Promise<number> {
    const { client, proxies, authority: authorityNow, remoteSecrets, clock } = this.#options;
    const meshes = client.of<Mesh>(meshKind);
    const object = await meshes.find({ name });
    if (object === undefined) return everyMs;
    const { status, metadata } = object;
    const before = status?.conditions ?? [];
    const [counts, authority] = [proxies(), authorityNow()];
    const problems = remoteSecrets();
    // Most meshes have no remote secrets, and nothing to hear of them.
    const toldOf = problems.length > 0 || before.some(({ type }) => type === "RemoteSecretsAccepted");
    const again = counts !== undefined && counts.inSync === counts.connected ? everyMs : unsettledMs;
    const own = [
      readyCondition(before, counts ? readinessOf(counts) : starting, clock.now()),
      condition("Accepted", before, acceptance(this.#config), clock.now()),
      ...(authority
        ? [condition("AuthorityReady", before, authorityReadiness(authority, clock.now()), clock.now())]
        : []),
      ...(toldOf ? [condition("RemoteSecretsAccepted", before, secretsReadiness(problems), clock.now())] : []),
    ];
    const known = before.filter(({ type }) => ownTypes.has(type));
    const same = equal(known, own) && (authority === undefined || equal(status?.authority, authority));
    if (same && status?.observedGeneration === metadata.generation) return again;
    const conditions = [...before.filter(({ type }) => !ownTypes.has(type)), ...own];
    const told = authority && { authority: { ...authority, problem: authority.problem ?? null } };
    const body = { status: { conditions, observedGeneration: metadata.generation, ...told } };
    await meshes.patch({ name }, { kind: "merge", body }, { subresource: "status" });
    return again;
  }
}
