import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { Service } from "#api/kubernetes/service.ts";
import type { ResourceObject, StringMap } from "#api/meta.ts";
import { labelsMatch } from "#model/labels.ts";
import type { PlacedObject } from "../snapshot.ts";

type Template = Deployment["spec"]["template"];
type Container = NonNullable<NonNullable<Template["spec"]>["containers"]>[number];

/** A Pod that an object of a file would make, or is. */
interface FilePod {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: StringMap;
  readonly containers: readonly Container[];
  /** The Node, from which the Pod has its locality; empty where it is not said. */
  readonly nodeName: string;
  /** The Deployment's, which makes the Pod; absent for a Pod itself. */
  readonly owner?: ResourceObject;
}

function filePod({ object, cluster }: PlacedObject): readonly FilePod[] {
  const { namespace = "", name, labels = {} } = object.metadata;
  if (object.kind === "Pod") {
    const spec = object["spec"] as Template["spec"];
    const { nodeName = "" } = object["spec"] as { readonly nodeName?: string };
    return [{ cluster, namespace, name, labels, containers: spec?.containers ?? [], nodeName }];
  }
  if (object.kind !== "Deployment") return [];
  const { template, replicas } = object["spec"] as Deployment["spec"];
  if (replicas === 0) return [];
  const containers = template.spec?.containers ?? [];
  return [
    { cluster, namespace, name, labels: template.metadata?.labels ?? {}, containers, nodeName: "", owner: object },
  ];
}

/** An address of its own for each Pod, of the range that is kept for measurements (RFC 2544). */
function addressOf(index: number): string {
  return `198.18.${Math.floor(index / 250) % 256}.${(index % 250) + 1}`;
}

function head(namespace: string, name: string): ResourceObject["metadata"] {
  return { name, namespace, uid: "", resourceVersion: "0", generation: 1, creationTimestamp: "" };
}

function podObject(
  { cluster, namespace, name, labels, containers, nodeName, owner }: FilePod,
  index: number,
): PlacedObject {
  const owners = owner && {
    ownerReferences: [{ apiVersion: owner.apiVersion, kind: owner.kind, name, uid: "", controller: true }],
  };
  const metadata = { ...head(namespace, name), labels, ...owners };
  const status = { phase: "Running", podIP: addressOf(index) };
  return { cluster, object: { apiVersion: "v1", kind: "Pod", metadata, spec: { containers, nodeName }, status } };
}

function portNumber(target: number | string, { containers }: FilePod): number | undefined {
  if (typeof target === "number") return target;
  return containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === target)?.containerPort;
}

/** The endpoints that a Service would have of the Pods: one slice for each, since their named ports may differ. */
function slices(service: ResourceObject, cluster: string, pods: readonly FilePod[]): readonly PlacedObject[] {
  const { namespace = "", name } = service.metadata;
  const { selector = {}, ports = [] } = service["spec"] as Service["spec"];
  if (Object.keys(selector).length === 0) return [];
  return pods.flatMap((pod, index) => {
    const isOther = pod.cluster !== cluster || pod.namespace !== namespace;
    if (isOther || !labelsMatch(selector, pod.labels)) return [];
    const served = ports.flatMap(({ name: portName = "", port, targetPort }) => {
      const number = portNumber(targetPort ?? port, pod);
      return number === undefined ? [] : [{ name: portName, port: number }];
    });
    const metadata = {
      ...head(namespace, `${name}-${pod.name}`),
      labels: { "kubernetes.io/service-name": name },
    };
    const targetRef = { kind: "Pod", name: pod.name };
    const endpoints = [{ addresses: [addressOf(index)], nodeName: pod.nodeName, targetRef }];
    const object = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata, addressType: "IPv4" };
    return [{ cluster, object: { ...object, ports: served, endpoints } }];
  });
}

/**
 * The Pods that the Deployments of files would make, one each, and the endpoints that Services would have of them.
 * @param objects all objects, those of the files among them.
 */
export function fileWorkloads(
  files: readonly PlacedObject[],
  objects: readonly PlacedObject[],
): readonly PlacedObject[] {
  const pods = files.flatMap(filePod);
  if (pods.length === 0) return [];
  const services = objects.filter(({ object }) => object.kind === "Service");
  return [...pods.map(podObject), ...services.flatMap(({ object, cluster }) => slices(object, cluster, pods))];
}
