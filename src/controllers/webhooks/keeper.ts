import { gateway } from "#api/istio/gateway.ts";
import type { ResourceObject } from "#api/meta.ts";
import { failsOpen } from "#api/weft/webhooks.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";

/** Kubernetes' `MutatingWebhookConfiguration` and `ValidatingWebhookConfiguration`, as far as they are kept here. */
interface WebhookConfiguration extends ResourceObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig: { readonly caBundle?: string };
    readonly failurePolicy?: string;
  }[];
}

function kindOf(kind: string, plural: string): KindRef {
  return { group: "admissionregistration.k8s.io", kind, plural, namespaced: false, versions: [{ name: "v1" }] };
}

const mutating = kindOf("MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
const validating = kindOf("ValidatingWebhookConfiguration", "validatingwebhookconfigurations");

function keyOf(kind: KindRef, { metadata }: ResourceObject): string {
  return `${kind.plural}/${metadata.name}`;
}

/** Ends of the names of webhooks that are the control plane's; others of a configuration are somebody else's. */
const injectors = "sidecar-injector.istio.io";
const validators = "validation.istio.io";

/** By which a configuration tells that it is Weft's, whatever its webhooks say. */
const managedByWeft = { label: "app.kubernetes.io/managed-by", value: "weft" } as const;

/** The certificates of a list of them in PEM, each without its line breaks. */
function certificatesOf(pem: string): readonly string[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g)].map(([, body = ""]) =>
    body.replaceAll(/\s/g, ""),
  );
}

/** Milliseconds between looks whether the webhook is asked. */
const lookMs = 5000;

/** What keeping webhooks needs. */
export interface WebhookKeeperOptions {
  /** The revision of the control plane. Its webhooks, those of its tags too, have it in the label `istio.io/rev`. */
  readonly revision: string;
  /** The namespace of the object by which it is found out whether the webhook is asked; none is made. */
  readonly rootNamespace: string;
  /** The authorities that the control plane's certificate leads to, in PEM; undefined while they are not known. */
  readonly roots: () => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps the mesh's authorities in the webhooks of clusters that lead to this control plane, so that their API servers know it. Has a
 * cluster refuse what could not be checked only once it has been seen to ask.
 */
export class WebhookKeeper {
  readonly #options: WebhookKeeperOptions;
  readonly #clusters = new Set<() => void>();
  /** Configurations of others that were told of. */
  readonly #told = new WeakSet<WebhookConfiguration>();

  constructor(options: WebhookKeeperOptions) {
    this.#options = options;
  }

  /** Tells that there are other authorities. */
  changed(): void {
    for (const look of this.#clusters) look();
  }

  /** Keeps the webhooks of one cluster until the signal aborts. */
  async follow(cluster: string, client: Client, signal: AbortSignal): Promise<void> {
    const { clock, revision } = this.#options;
    const logger = this.#options.logger.with({ cluster });
    const kept = [mutating, validating].map((kind) => {
      const selection = { labelSelector: `istio.io/rev=${revision}` };
      const informer = new Informer({ client: client.of<WebhookConfiguration>(kind), selection, clock, logger });
      const settle = async (found: WebhookConfiguration): Promise<number | undefined> => {
        if (!this.#isOurs(found, kind === mutating ? injectors : validators)) {
          this.#tellOnce(found, kind, logger);
          return undefined;
        }
        return kind === mutating ? this.#settleInjector(client, found) : this.#settleValidator(client, found);
      };
      return { kind, informer, settle };
    });
    const queue = new WorkQueue({
      clock,
      work: async (key) => {
        const [plural, name = ""] = key.split("/");
        const one = kept.find(({ kind }) => kind.plural === plural);
        const found = one?.informer.get({ name });
        return found && one?.settle(found);
      },
      failed: (key, error) => {
        // Settled by what the informer tells next.
        if (codeOf(error) === "NotFound" || codeOf(error) === "Conflict") return;
        logger.warn("a webhook does not get the mesh's authorities", { webhook: key, error: messageOf(error) });
      },
    });
    const look = (): void => {
      for (const { kind, informer } of kept) for (const found of informer.list()) queue.add(keyOf(kind, found));
    };
    for (const { kind, informer } of kept) {
      informer.onChange(({ after }) => {
        if (after) queue.add(keyOf(kind, after));
      });
    }
    this.#clusters.add(look);
    await Promise.all([...kept.map(async ({ informer }) => informer.run(signal)), queue.run(signal)]);
    this.#clusters.delete(look);
  }

  /**
   * Whether a configuration leads to this mesh. Another control plane of Istio's in the cluster has configurations of the same names and
   * labels, and keeps its own authority there: so one with an authority that is none of this mesh's is somebody else's, unless it says
   * that it is Weft's.
   */
  #isOurs({ metadata, webhooks = [] }: WebhookConfiguration, suffix: string): boolean {
    if (metadata.labels?.[managedByWeft.label] === managedByWeft.value) return true;
    const roots = this.#options.roots();
    // Nothing is written while they are not known.
    if (roots === undefined) return true;
    const known = new Set(certificatesOf(roots));
    const own = webhooks.filter(({ name }) => name.endsWith(suffix));
    return own.every(({ clientConfig: { caBundle = "" } }) => {
      return (
        caBundle === "" || certificatesOf(Buffer.from(caBundle, "base64").toString()).some((one) => known.has(one))
      );
    });
  }

  #tellOnce(found: WebhookConfiguration, kind: KindRef, logger: Logger): void {
    if (this.#told.has(found)) return;
    this.#told.add(found);
    const { label, value } = managedByWeft;
    const fix = `where it is to lead here, empty its caBundle or give it the label ${label}=${value}`;
    logger.warn(`a webhook of this revision has an authority that is not this mesh's, and is left alone: ${fix}`, {
      webhook: keyOf(kind, found),
    });
  }

  async #settleInjector(client: Client, found: WebhookConfiguration): Promise<undefined> {
    await this.#settle(client, mutating, found, injectors);
    return undefined;
  }

  async #settleValidator(client: Client, found: WebhookConfiguration): Promise<number | undefined> {
    await this.#settle(client, validating, found, validators);
    if (found.metadata.annotations?.[failsOpen.annotation] === failsOpen.value) return undefined;
    const open = (found.webhooks ?? []).some(
      ({ name, failurePolicy }) => name.endsWith(validators) && failurePolicy === "Ignore",
    );
    if (!open) return undefined;
    if (!(await this.#isAsked(client))) return lookMs;
    await this.#settle(client, validating, found, validators, { failurePolicy: "Fail" });
    return undefined;
  }

  /** Writes the authorities into each webhook of the control plane's, and what more is told. */
  async #settle(client: Client, kind: KindRef, found: WebhookConfiguration, suffix: string, more = {}): Promise<void> {
    const roots = this.#options.roots();
    if (roots === undefined) return;
    const caBundle = Buffer.from(roots).toString("base64");
    const own = (found.webhooks ?? []).filter(({ name }) => name.endsWith(suffix));
    const others = own.filter(({ clientConfig }) => clientConfig.caBundle !== caBundle);
    const changed = Object.keys(more).length > 0 ? own : others;
    if (changed.length === 0) return;
    const webhooks = changed.map(({ name }) => ({ name, clientConfig: { caBundle }, ...more }));
    const { name, resourceVersion } = found.metadata;
    // Another who writes at the same time is not undone: with an old version the patch is refused.
    const metadata = Object.keys(more).length > 0 ? {} : { metadata: { resourceVersion } };
    await client.of(kind).patch({ name }, { kind: "strategic", body: { ...metadata, webhooks } });
  }

  /** Whether the cluster has the control plane check objects: it refuses one that cannot be valid, and would not store it anyway. */
  async #isAsked(client: Client): Promise<boolean> {
    const metadata = { namespace: this.#options.rootNamespace, name: "istiod-ready-probe" };
    try {
      await client.of(gateway).create({ metadata, spec: {} }, { dryRun: true });
      return false;
    } catch (error) {
      return messageOf(error).includes(validators);
    }
  }
}
