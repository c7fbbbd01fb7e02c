import { configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { memberGroups } from "#api/member-api.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { timestamp } from "#base/timestamp.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { onlyBlockedBy } from "./blocked.ts";
import { departedConfigMap } from "./departed.ts";

/** What the guard of a member's namespaces needs. */
export interface GuardOptions {
  /** The member's API. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds that a namespace waits for the mesh before it goes without; a minute unless told. */
  readonly patienceMs?: number;
}

/** The finalizer by which a namespace waits for what is in it. Kubernetes' name. */
const finalizer = "kubernetes";

/** An `apiregistration.k8s.io/v1.APIService`, as far as it is read. */
interface ApiService {
  readonly spec: { readonly service?: { readonly name: string } | null };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const groups: ReadonlySet<string> = new Set(memberGroups);

/**
 * Runs inside of a member and lets its namespaces go while the mesh's control plane is away. Kubernetes keeps a namespace that is
 * being deleted for as long as some API cannot be asked for objects in it; where that is the mesh's alone, the guard notes the
 * namespace for the mesh and then does what Kubernetes' namespace controller would.
 */
export class NamespaceGuard {
  readonly #options: GuardOptions;
  readonly #queue: WorkQueue;

  constructor(options: GuardOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#queue = new WorkQueue({
      clock,
      work: (name) => this.#look(name),
      failed: (name, error) => {
        const fields = { namespace: name, error: messageOf(error) };
        if (codeOf(error) === "Conflict") logger.debug("the namespace was changed meanwhile; looking again", fields);
        else logger.warn("a namespace cannot be let go; trying again", fields);
      },
    });
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    const informer = new Informer({ client: client.of(namespaceKind), clock, logger });
    using _following = informer.onChange(({ after }) => {
      if (after?.metadata.deletionTimestamp !== undefined) this.#queue.add(after.metadata.name);
    });
    await Promise.all([informer.run(signal), this.#queue.run(signal)]);
  }

  /** Lets one namespace go if only the mesh keeps it, and has for long enough; else tells when to look again. */
  async #look(name: string): Promise<number | void> {
    const { client, clock, logger, patienceMs = 60_000 } = this.#options;
    const found = await client.of(namespaceKind).find({ name });
    const since = found?.metadata.deletionTimestamp;
    if (found === undefined || since === undefined) return undefined;
    const left = Date.parse(since) + patienceMs - clock.now();
    if (left > 0) return left;
    const blocking = onlyBlockedBy(found);
    // Its next change comes when its controller has looked again.
    if (blocking === undefined || !blocking.every((name) => groups.has(name.split("/")[0] ?? ""))) return undefined;
    if (!(await this.#areAway(blocking))) return patienceMs;
    await this.#note(name);
    await this.#finalize(found);
    logger.warn("a namespace went while the mesh was away; what the mesh has in it goes when it is back", {
      namespace: name,
    });
    return undefined;
  }

  /** Whether the API server finds these APIs away, and they are the mesh's. */
  async #areAway(apis: readonly string[]): Promise<boolean> {
    for (const api of apis) {
      const [group, version] = api.split("/");
      const path = `/apis/apiregistration.k8s.io/v1/apiservices/${version ?? ""}.${group ?? ""}`;
      const { spec, status } = await this.#options.client.json<ApiService>({ method: "GET", path });
      const available = status?.conditions?.find(({ type }) => type === "Available")?.status;
      if (spec.service?.name.startsWith("weft-api-") !== true || available !== "False") return false;
    }
    return true;
  }

  async #note(name: string): Promise<void> {
    const { client, clock } = this.#options;
    const maps = client.of(configMap);
    const data = { [name]: timestamp(clock.now()) };
    try {
      await maps.patch(departedConfigMap, { kind: "merge", body: { data } });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
      await maps.create({ metadata: departedConfigMap, data });
    }
  }

  async #finalize(object: ResourceObject): Promise<void> {
    const { finalizers = [] } = object["spec"] as { readonly finalizers?: readonly string[] };
    const body = { ...object, spec: { finalizers: finalizers.filter((one) => one !== finalizer) } };
    const path = `/api/v1/namespaces/${encodeURIComponent(object.metadata.name)}/finalize`;
    await this.#options.client.bytes({ method: "PUT", path, body });
  }
}
