import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { authorityVersion } from "#api/kubernetes/proxy-trust.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";

/** Istio's names of the ConfigMaps of roots and of lists of revoked certificates, their keys, and the label by which Istio marks them. */
const name = "istio-ca-root-cert";
const key = "root-cert.pem";
const listsName = "istio-ca-crl";
const listsKey = "ca-crl.pem";
const label = { "istio.io/config": "true" };

/** Namespaces in which Istio writes nothing. */
const ignored: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"]);

/** Milliseconds that roots of a later authority are left alone by who has not heard of it. */
const laterMs = 30_000;

/** The roots that are published. */
export interface TrustBundle {
  /** All of them as PEM. */
  readonly roots: string;
  /** Lists of revoked certificates as PEM; empty where nothing is revoked. */
  readonly revoked: string;
  /** The version of the authority that they are of. */
  readonly version: string;
}

/** What the publisher needs. */
export interface PublisherOptions {
  /** The trusted roots; undefined while they are not known. */
  readonly bundle: () => TrustBundle | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps the mesh's trusted roots in a ConfigMap of every namespace, where agents and gateways read them. */
export class TrustBundlePublisher {
  readonly #options: PublisherOptions;
  /** Those who look through all namespaces of a cluster again. */
  readonly #clusters = new Set<() => void>();
  /** Later roots that were left alone once, by their UID and version. */
  readonly #later = new Set<string>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Tells that there are other roots. */
  changed(): void {
    for (const look of this.#clusters) look();
  }

  /** Keeps the ConfigMaps of one cluster until the signal aborts. */
  async follow(cluster: string, client: Client, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const logger = this.#options.logger.with({ cluster });
    const namespaces = new Informer({ client: client.of(namespaceKind), clock, logger });
    const named = (called: string): Informer<ConfigMap> => {
      const selection = { fieldSelector: `metadata.name=${called}` };
      return new Informer<ConfigMap>({ client: client.of<ConfigMap>(configMap), selection, clock, logger });
    };
    const [maps, lists] = [named(name), named(listsName)];
    const queue = new WorkQueue({
      clock,
      work: async (namespace) => {
        if (namespaces.get({ name: namespace })?.metadata.deletionTimestamp === undefined) {
          await this.#settleLists(client, namespace, lists.get({ namespace, name: listsName }));
          return this.#settle(client, namespace, maps.get({ namespace, name }));
        }
        return undefined;
      },
      failed: (namespace, error) => {
        // Both are settled by what the informers tell next.
        if (codeOf(error) === "NotFound" || codeOf(error) === "Conflict") return;
        logger.warn("the mesh's roots cannot be written", { namespace, error: messageOf(error) });
      },
    });
    const look = (): void => {
      for (const { metadata } of namespaces.list()) if (!ignored.has(metadata.name)) queue.add(metadata.name);
    };
    namespaces.onChange(({ after }) => after && !ignored.has(after.metadata.name) && queue.add(after.metadata.name));
    for (const informer of [maps, lists]) {
      informer.onChange(({ before, after }) => {
        const { namespace = "" } = (after ?? before)?.metadata ?? {};
        if (namespaces.get({ name: namespace }) && !ignored.has(namespace)) queue.add(namespace);
      });
    }
    this.#clusters.add(look);
    const informers = [namespaces, maps, lists];
    const runs = informers.map(async (each) => each.run(signal));
    await Promise.race([Promise.all(informers.map(async (each) => each.synced)), ...runs]);
    await Promise.all([...runs, queue.run(signal)]);
    this.#clusters.delete(look);
  }

  async #settle(client: Client, namespace: string, found: ConfigMap | undefined): Promise<number | undefined> {
    const bundle = this.#options.bundle();
    if (!bundle) return undefined;
    const { roots, revoked, version } = bundle;
    // Lists stand beside the roots too, so that agents hear of both at once: without its list a new root is worth nothing.
    const data = { [key]: roots, ...(revoked !== "" && { [listsKey]: revoked }) };
    const annotations = { [authorityVersion]: version };
    const same = found?.data?.[key] === roots && (found.data[listsKey] ?? "") === revoked;
    if (same && found.metadata.annotations?.[authorityVersion] === version) return undefined;
    if (found && this.#isLater(found, version)) return laterMs;
    const maps = client.of<ConfigMap>(configMap);
    if (!found) await maps.create({ metadata: { namespace, name, labels: label, annotations }, data });
    else
      await maps.patch(
        { namespace, name },
        { kind: "merge", body: { metadata: { labels: label, annotations }, data: { [listsKey]: null, ...data } } },
      );
    return undefined;
  }

  /** The lists for Istio's own agents, which mount them where they are there. */
  async #settleLists(client: Client, namespace: string, found: ConfigMap | undefined): Promise<void> {
    const { revoked = "", version = "" } = this.#options.bundle() ?? {};
    if (version === "" || (found?.data?.[listsKey] ?? "") === revoked) return;
    // Who looks at the roots looks again.
    if (found && this.#isLater(found, version)) return;
    const maps = client.of<ConfigMap>(configMap);
    const place = { namespace, name: listsName };
    // Envoy takes no empty list.
    const data = { [listsKey]: revoked === "" ? null : revoked };
    const metadata = { labels: label, annotations: { [authorityVersion]: version } };
    if (found) await maps.patch(place, { kind: "merge", body: { metadata, data } });
    else await maps.create({ metadata: { ...place, ...metadata }, data: { [listsKey]: revoked } });
  }

  /**
   * Whether roots are those of a later authority than this replica knows: another has heard of it first. For a while only, since
   * versions begin anew where the API is set up again.
   */
  #isLater({ metadata: { uid, resourceVersion, annotations } }: ConfigMap, version: string): boolean {
    const known = `${uid}/${resourceVersion}`;
    if (Number(annotations?.[authorityVersion] ?? 0) <= Number(version) || this.#later.delete(known)) return false;
    this.#later.add(known);
    return true;
  }
}
