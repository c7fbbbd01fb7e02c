import type { ResourceObject } from "#api/meta.ts";

/**
 * Objects of member clusters as they are kept: with what the model, the identities of their Pods and the statuses of their proxies
 * are made of, and nothing else. Of a Pod that is a tenth; a cluster has many.
 */

type Body = Readonly<Record<string, unknown>>;

function record(value: unknown): Body {
  return typeof value === "object" && value !== null ? (value as Body) : {};
}

function list(value: unknown): readonly Body[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function picked(body: Body, members: readonly string[]): Body {
  return Object.fromEntries(members.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])));
}

/** Metadata with those annotations only whose names begin so. */
function metadataOf({ metadata }: ResourceObject, annotations: readonly string[]): ResourceObject["metadata"] {
  const { annotations: all = {}, ...rest } = metadata;
  const kept = Object.entries(all).filter(([name]) => annotations.some((prefix) => name.startsWith(prefix)));
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

/** Annotations that say something to the mesh. */
const ofMesh = ["networking.istio.io/", "sidecar.istio.io/", "traffic.istio.io/", "mesh.weft.dev/"];

function typed(object: ResourceObject): Pick<ResourceObject, "apiVersion" | "kind"> {
  return { apiVersion: object.apiVersion, kind: object.kind };
}

function containerPorts(containers: unknown): readonly Body[] {
  return list(containers).flatMap((each) =>
    Array.isArray(each["ports"]) ? [picked(each, ["name", "ports", "restartPolicy"])] : [],
  );
}

/** A Pod. */
export function trimmedPod(object: ResourceObject): ResourceObject {
  const spec = record(object["spec"]);
  const status = record(object["status"]);
  const conditions = list(status["conditions"]).map((each) => picked(each, ["type", "status", "reason", "message"]));
  return {
    ...typed(object),
    metadata: metadataOf(object, ofMesh),
    spec: {
      ...picked(spec, ["nodeName", "serviceAccountName", "hostname", "subdomain"]),
      containers: containerPorts(spec["containers"]),
      initContainers: containerPorts(spec["initContainers"]),
    },
    status: { ...picked(status, ["phase", "podIP"]), conditions },
  };
}

/** A Node: where it stands, the Pod addresses that it has, and the version of its kubelet. */
export function trimmedNode(object: ResourceObject): ResourceObject {
  const info = picked(record(record(object["status"])["nodeInfo"]), ["kubeletVersion"]);
  return {
    ...typed(object),
    metadata: metadataOf(object, []),
    spec: picked(record(object["spec"]), ["podCIDR", "podCIDRs"]),
    status: { nodeInfo: info },
  };
}

/** A Service. */
export function trimmedService(object: ResourceObject): ResourceObject {
  const { spec, status } = object as ResourceObject & { readonly spec?: unknown; readonly status?: unknown };
  const loadBalancer = picked(record(status), ["loadBalancer"]);
  return { ...typed(object), metadata: metadataOf(object, ofMesh), spec: record(spec), status: loadBalancer };
}

/** A Namespace. */
export function trimmedNamespace(object: ResourceObject): ResourceObject {
  return { ...typed(object), metadata: metadataOf(object, ofMesh) };
}

/** An EndpointSlice, which says how it came about in an annotation that changes each time. */
export function trimmedSlice(object: ResourceObject): ResourceObject {
  return { ...object, metadata: metadataOf(object, []) };
}
