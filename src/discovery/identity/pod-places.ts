import {
  capturedCondition,
  certificateCondition,
  connectionsOutside,
  hijackCondition,
} from "#api/kubernetes/pod-status.ts";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { type ProxyTrust, readTrust, trustCondition } from "#api/kubernetes/proxy-trust.ts";
import type { ResourceObject, StringMap } from "#api/meta.ts";
import type { PodDirectory, PodRecord } from "#identity/impersonation.ts";
import type { ServiceAccountName } from "#identity/caller.ts";
import type { Audience } from "#sources/feed.ts";

/** A Pod that has not ended. */
export interface PodPlace extends PodRecord {
  readonly labels: StringMap;
  /** How the certificate of its proxy stands, as its node's agent says. */
  readonly certificate?: AgentWord;
  /** Which of its connections are older than its sidecar and go past it, in words; absent where there are none. */
  readonly outside?: string;
  /** By what connections are led to its proxy: its state is the way. */
  readonly hijack?: AgentWord;
  /** What its proxy holds, as the agent says; `pending` while it has not acknowledged all that it was sent. */
  readonly trust?: ProxyTrust | "pending";
  /** What the Pod says of its proxy's container, where that is one. */
  readonly container?: ContainerWord;
  /** Whether it has a proxy that speaks the mesh's TLS, as its agent or Istio's injection says. */
  readonly meshTls: boolean;
  /** When it was made, in milliseconds since the epoch. */
  readonly created: number;
}

/** What a Pod, and on it the agent of its node, says of its proxy. */
export type SidecarReport = Partial<Pick<PodPlace, "labels" | "certificate" | "outside" | "hijack" | "container">>;

/** How often a container was started again, and how it ended last. */
export interface ContainerWord {
  readonly restarts: number;
  readonly lastExit?: { readonly reason: string; readonly at: string };
}

/** The name of a proxy's container, as in Istio. */
const proxyContainer = "istio-proxy";

function containerOf({ status }: Pod): ContainerWord | undefined {
  const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  const found = all.find(({ name }) => name === proxyContainer);
  if (!found) return undefined;
  const { terminated } = found.lastState ?? {};
  const exit = terminated && {
    reason: `${terminated.reason ?? "ended"}, code ${terminated.exitCode}`,
    at: terminated.finishedAt ?? "",
  };
  return { restarts: found.restartCount, ...(exit && { lastExit: exit }) };
}

/** What a node's agent tells of a proxy in a condition. */
export interface AgentWord {
  /** One word: of a certificate `Valid`, or why it is not. */
  readonly state: string;
  /** For people: of a certificate its serial number, its end, why it is not renewed. */
  readonly message: string;
}

function toldOf({ status }: Pod, condition: string): AgentWord | undefined {
  const found = status?.conditions?.find(({ type }) => type === condition);
  return found && { state: found.reason ?? found.status, message: found.message ?? "" };
}

function outsideOf({ status }: Pod): string | undefined {
  const found = status?.conditions?.find(({ type }) => type === capturedCondition);
  return found?.reason === connectionsOutside ? (found.message ?? "") : undefined;
}

function trustOf({ status }: Pod): ProxyTrust | "pending" | undefined {
  const found = status?.conditions?.find(({ type }) => type === trustCondition);
  return found && ((found.status === "True" && readTrust(found.message ?? "")) || "pending");
}

/** The label and the annotation by which Istio marks Pods with a proxy. */
function speaksMeshTls({ metadata: { labels = {}, annotations = {} } }: Pod): boolean {
  return labels["security.istio.io/tlsMode"] === "istio" || annotations["sidecar.istio.io/status"] !== undefined;
}

function placeOf(pod: Pod): PodPlace | undefined {
  const { metadata, spec, status } = pod;
  if (status?.phase === "Failed" || status?.phase === "Succeeded") return undefined;
  const { uid, labels = {} } = metadata;
  const { serviceAccountName: serviceAccount = "default", nodeName: node = "" } = spec;
  const [certificate, trust, outside] = [toldOf(pod, certificateCondition), trustOf(pod), outsideOf(pod)];
  const hijack = toldOf(pod, hijackCondition);
  const container = containerOf(pod);
  const [meshTls, created] = [speaksMeshTls(pod), Date.parse(metadata.creationTimestamp)];
  return {
    uid,
    labels,
    serviceAccount,
    node,
    meshTls,
    created,
    ...(certificate && { certificate }),
    ...(outside !== undefined && { outside }),
    ...(hijack && { hijack }),
    ...(container && { container }),
    ...(trust && { trust }),
  };
}

/** The Pods of all clusters, by what callers prove and claim. Told of objects as they are stored. */
export class PodPlaces implements PodDirectory {
  /** By cluster, by `namespace/name`. */
  readonly #clusters = new Map<string, Map<string, PodPlace>>();
  /** How many Pods of an account are on a node, by `cluster/node/namespace/account`. */
  readonly #counts = new Map<string, number>();

  /** Follows the Pods of one cluster. */
  audience(cluster: string): Audience {
    return {
      seen: (object) => {
        if (object.kind === podKind.kind) this.#put(cluster, object, placeOf(object as Pod));
      },
      gone: (object) => {
        if (object.kind === podKind.kind) this.#put(cluster, object, undefined);
      },
    };
  }

  /** Forgets a cluster that has left. */
  forget(cluster: string): void {
    for (const [key, place] of this.#clusters.get(cluster) ?? []) {
      this.#count(cluster, key.slice(0, key.indexOf("/")), place, -1);
    }
    this.#clusters.delete(cluster);
  }

  pod(cluster: string, namespace: string, name: string): PodPlace | undefined {
    return this.#clusters.get(cluster)?.get(`${namespace}/${name}`);
  }

  /** All of them, by `CLUSTER/NAMESPACE/POD`. */
  *all(): Generator<readonly [string, PodPlace]> {
    for (const [cluster, places] of this.#clusters)
      for (const [key, place] of places) yield [`${cluster}/${key}`, place];
  }

  runsOn(cluster: string, node: string, { namespace, name }: ServiceAccountName): boolean {
    return this.#counts.has(`${cluster}/${node}/${namespace}/${name}`);
  }

  #put(cluster: string, { metadata }: ResourceObject, place: PodPlace | undefined): void {
    const { namespace = "", name } = metadata;
    const key = `${namespace}/${name}`;
    const places = this.#clusters.get(cluster) ?? new Map<string, PodPlace>();
    this.#clusters.set(cluster, places);
    const before = places.get(key);
    if (before) this.#count(cluster, namespace, before, -1);
    if (place) {
      places.set(key, place);
      this.#count(cluster, namespace, place, 1);
    } else places.delete(key);
  }

  #count(cluster: string, namespace: string, { node, serviceAccount }: PodPlace, by: number): void {
    if (node === "") return;
    const key = `${cluster}/${node}/${namespace}/${serviceAccount}`;
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}
