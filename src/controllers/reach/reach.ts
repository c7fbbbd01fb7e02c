import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import { service } from "#api/kubernetes/service.ts";
import type { ResourceObject } from "#api/meta.ts";
import { injectionLabel, revisionLabel, tagLabel } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { memberNamespace } from "#api/member-api.ts";
import type { MemberObject } from "../aggregation/objects.ts";
import { OwnedObjects, removed } from "../aggregation/owned-objects.ts";
import { mutatingKind, validatingKind } from "../install/resources.ts";
import { reachLabels } from "./objects.ts";

const webhookKinds = [mutatingKind, validatingKind] as const;

/** Milliseconds between looks. */
const lookMs = 200;

interface Webhook {
  readonly name: string;
  readonly clientConfig: { readonly caBundle?: string };
}

/** A `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`, as far as it is read. */
interface Webhooks extends ResourceObject {
  readonly webhooks?: readonly Webhook[];
}

/** Webhooks as they are to be, with the authority that the control plane has written into those that are there. */
function withAuthority(wanted: MemberObject, found: Webhooks | undefined): MemberObject {
  const known = new Map(found?.webhooks?.map(({ name, clientConfig }) => [name, clientConfig.caBundle]));
  const webhooks = (wanted["webhooks"] as readonly Webhook[]).map((each) => {
    const caBundle = known.get(each.name);
    return { ...each, clientConfig: { ...each.clientConfig, ...(caBundle !== undefined && { caBundle }) } };
  });
  return { ...wanted, webhooks };
}

const injectLabel = "sidecar.istio.io/inject";
/** What injected Pods have, Istio's annotation. */
const injectedAnnotation = "sidecar.istio.io/status";

/** Words of an API server that has asked the control plane: it refused the Pod by the webhook's word, or afterwards. */
const refusals = /admission webhook "|violates PodSecurity|exceeded quota/;

/** A Pod that is never made: the cluster is asked what would become of it. */
function trialOf(revision: string): ResourceObject {
  const name = "weft-injection-trial";
  const securityContext = {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    runAsUser: 65_532,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  };
  return {
    metadata: { namespace: memberNamespace, name, labels: { [revisionLabel]: revision, [injectLabel]: "true" } },
    spec: { automountServiceAccountToken: false, containers: [{ name: "trial", image: "none", securityContext }] },
  } as unknown as ResourceObject;
}

/** How long is waited, and who is told of what. */
interface Patience {
  readonly limitMs: number;
  readonly told: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What a member has so that its Pods are injected and reach the mesh's control plane. Everything may be done again. */
export class Reach {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #objects: OwnedObjects;

  /** @param client the member's API, as an administrator of it. */
  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    const kinds = [...webhookKinds, endpointSlice, service];
    this.#objects = new OwnedObjects(client, { labels: reachLabels, kinds });
  }

  /**
   * Makes objects in their order, or changes what is there to them; Pods are injected meanwhile as before.
   * @throws WeftError `FailedPrecondition` where something of the name is not ours.
   */
  async make(objects: readonly MemberObject[]): Promise<void> {
    const found = await this.#webhooks();
    const wanted = objects.map((object) => {
      if (!webhookKinds.some(({ kind }) => kind === object.kind)) return object;
      return withAuthority(object, found.get(`${object.kind}/${object.metadata.name}`));
    });
    await this.#objects.make(wanted);
    await this.#objects.prune(objects);
  }

  /** The first of these objects in whose place there is somebody else's. */
  async foreign(objects: readonly MemberObject[]): Promise<MemberObject | undefined> {
    return this.#objects.foreign(objects);
  }

  /**
   * Waits until the control plane has written its authority into the webhooks, and the cluster's API server asks it by them.
   * @throws WeftError `DeadlineExceeded` with what keeps it from that.
   */
  async becomesAsked(revisions: readonly string[], { limitMs, told, signal }: Patience): Promise<void> {
    const until = this.#clock.monotonic() + limitMs;
    for (let last = ""; ;) {
      const trouble = (await this.#unknowing(signal)) ?? (await this.#unasked(revisions, signal));
      if (trouble === undefined) return;
      if (trouble !== last) told(trouble);
      last = trouble;
      if (this.#clock.monotonic() > until) {
        throw new WeftError(
          "DeadlineExceeded",
          `no Pod of the cluster would be injected after ${limitMs / 1000} s (${trouble}): see to it that its API server reaches the control plane's webhooks, and say by --control-plane-host how; --no-control-plane lets it join without`,
        );
      }
      await this.#clock.sleep(lookMs, signal);
    }
  }

  /** Removes all of it, and the revision tags that stand for revisions of the mesh. */
  async remove(): Promise<void> {
    const labelSelector = `app.kubernetes.io/managed-by=weft,${tagLabel}`;
    const { items } = await this.#client.of(mutatingKind).list({ labelSelector });
    for (const { metadata } of items)
      await removed(this.#client, mutatingKind, { name: { name: metadata.name }, uid: metadata.uid });
    await this.#objects.remove();
  }

  /** Those that are there, by KIND/NAME. */
  async #webhooks(signal?: AbortSignal): Promise<ReadonlyMap<string, Webhooks>> {
    const lists = webhookKinds.map(async (kind) =>
      (await this.#objects.list<Webhooks>(kind, signal)).map(
        (each) => [`${kind.kind}/${each.metadata.name}`, each] as const,
      ),
    );
    return new Map((await Promise.all(lists)).flat());
  }

  /** Which webhooks do not know the mesh's authority. */
  async #unknowing(signal: AbortSignal): Promise<string | undefined> {
    const found = [...(await this.#webhooks(signal)).values()];
    const bare = found.find(({ webhooks = [] }) => webhooks.some(({ clientConfig }) => !clientConfig.caBundle));
    return bare && `the control plane has not written its authority into ${bare.metadata.name}`;
  }

  /** Why the API server does not ask the control plane about Pods of a revision. */
  async #unasked(revisions: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    const { metadata } = await this.#client.of(namespaceKind).get({ name: memberNamespace }, signal);
    // What the namespace says goes before what a Pod says: it cannot be tried there.
    const { labels = {} } = metadata;
    if (labels[revisionLabel] !== undefined || labels[injectionLabel] !== undefined) return undefined;
    for (const revision of revisions) {
      try {
        const { metadata: made } = await this.#client.of(podKind).create(trialOf(revision), { dryRun: true, signal });
        if (made.annotations?.[injectedAnnotation] === undefined)
          return `no webhook of revision ${revision} is asked yet`;
      } catch (error) {
        signal.throwIfAborted();
        if (!refusals.test(messageOf(error))) return messageOf(error);
      }
    }
    return undefined;
  }
}
