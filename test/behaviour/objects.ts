import { parseAllDocuments } from "yaml";
import { kindOfObject } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { podPorts } from "./backends.ts";

/** A port of a service, by the name of the Pods' port behind it. */
export interface PortSpec {
  readonly name: string;
  readonly port: number;
  readonly to: keyof typeof podPorts;
  /** TCP unless told. */
  readonly protocol?: "UDP";
}

/** A service with Pods: what a user's Service and Deployments come to. */
export interface ServiceSpec {
  readonly name: string;
  readonly namespace?: string;
  /** How many Pods have each value of the label `version`; one of `v1` unless told. */
  readonly pods?: Readonly<Record<string, number>>;
  /** Where Pods of a version are, as `region.zone`; nowhere unless told. */
  readonly localities?: Readonly<Record<string, string>>;
  /** `http` on 9080 unless told. */
  readonly ports?: readonly PortSpec[];
  /** Without an address of its own. */
  readonly headless?: boolean;
  /** Names of proxies whose workloads serve it, in place of Pods. */
  readonly servedBy?: readonly string[];
  /** The host that it is another name of, in place of Pods and an address. */
  readonly externalName?: string;
}

/** A Pod of a service. */
export interface PodSpec {
  readonly name: string;
  readonly address: string;
  readonly version: string;
}

/** A service with the addresses that it was given. */
export interface PlacedService {
  readonly spec: ServiceSpec;
  readonly namespace: string;
  readonly host: string;
  /** Its virtual address; `None` for a headless one. */
  readonly address: string;
  readonly pods: readonly PodSpec[];
}

/** Pods of this version have addresses at which nobody is. */
export const absent = "absent";

/** When everything was made unless a test says otherwise. */
const created = "2026-01-01T00:00:00Z";

const httpPort: PortSpec = { name: "http", port: 9080, to: "http" };

/**
 * Gives services and their Pods addresses: services in 10.110.0.0/16, Pods in 10.10.1.0/24 and after.
 * @param proxies addresses of workloads with proxies, by their names.
 */
export function place(specs: readonly ServiceSpec[], proxies: ReadonlyMap<string, string>): readonly PlacedService[] {
  const pods = { next: 0 };
  const address = (): string => {
    pods.next += 1;
    return `10.10.${1 + Math.floor(pods.next / 250)}.${pods.next % 250}`;
  };
  return specs.map((spec, at) => {
    const { name, namespace = "shop", headless = false, externalName } = spec;
    const versions = externalName === undefined ? (spec.pods ?? { v1: 1 }) : {};
    return {
      spec,
      namespace,
      host: `${name}.${namespace}.svc.cluster.local`,
      address: headless ? "None" : `10.110.${Math.floor(at / 250)}.${(at % 250) + 1}`,
      pods: spec.servedBy
        ? spec.servedBy.map((proxy) => ({ name: proxy, address: proxies.get(proxy) ?? "", version: "v1" }))
        : Object.entries(versions).flatMap(([version, count]) =>
            Array.from({ length: count }, (_, index) => ({
              name: `${name}-${version}-${index}`,
              address: address(),
              version,
            })),
          ),
    };
  });
}

function meta(name: string, namespace: string, labels: Readonly<Record<string, string>> = {}) {
  return {
    name,
    namespace,
    uid: `${namespace}/${name}`,
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: created,
    labels,
  };
}

/** The Kubernetes objects of a service: itself, its Pods, and its EndpointSlice. */
export function serviceObjects({ spec, namespace, address, pods }: PlacedService): readonly ResourceObject[] {
  const { name, ports = [httpPort], externalName } = spec;
  const alias = { type: "ExternalName", externalName };
  const service: ResourceObject = {
    apiVersion: "v1",
    kind: "Service",
    metadata: meta(name, namespace),
    spec: {
      ...(externalName === undefined ? { clusterIP: address, clusterIPs: [address], selector: { app: name } } : alias),
      ports: ports.map((port) => ({
        name: port.name,
        port: port.port,
        protocol: port.protocol ?? "TCP",
        targetPort: podPorts[port.to],
      })),
    },
  };
  const slice: ResourceObject = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: meta(`${name}-1`, namespace, { "kubernetes.io/service-name": name }),
    addressType: "IPv4",
    ports: ports.map((port) => ({ name: port.name, port: podPorts[port.to], protocol: port.protocol ?? "TCP" })),
    endpoints: pods.map((pod) => ({
      addresses: [pod.address],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: "Pod", name: pod.name, namespace },
    })),
  };
  const podObjects = (spec.servedBy ? [] : pods).map((pod) =>
    podObject(pod.name, namespace, pod.address, {
      app: name,
      version: pod.version,
      ...(spec.localities && { "istio-locality": spec.localities[pod.version] ?? "" }),
    }),
  );
  return [service, slice, ...podObjects];
}

/** A Pod that is ready. */
export function podObject(
  name: string,
  namespace: string,
  address: string,
  labels: Readonly<Record<string, string>>,
  serviceAccountName = "default",
): ResourceObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: meta(name, namespace, labels),
    spec: { containers: [], serviceAccountName },
    status: { podIP: address, phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  };
}

/** A member cluster. */
export function clusterObject(name: string): ResourceObject {
  const spec = { server: `unix:///nowhere/${name}.sock` };
  return { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Cluster", metadata: meta(name, ""), spec };
}

/** The mesh's own object. */
export function meshObject(spec: object): ResourceObject {
  return { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Mesh", metadata: meta("default", ""), spec };
}

const validator = new Validator();

/** An object as the API would take it. */
function admitted(submitted: unknown, at: number): ResourceObject {
  const head = submitted as { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } };
  const kind = kindOfObject(head);
  if (!kind) throw new Error(`there is no kind ${head.apiVersion} ${head.kind}`);
  const { namespace = "shop" } = head.metadata;
  // Written one after the other, a second apart.
  const creationTimestamp = new Date(Date.parse(created) + at * 1000).toISOString().replace(".000Z", "Z");
  const place = kind.namespaced ? { namespace } : {};
  const { object, unknown, errors } = validator.admit(kind, { ...head, metadata: { ...head.metadata, ...place } });
  if (unknown.length > 0 || errors.length > 0) {
    const problems = [
      ...unknown.map((path) => `unknown field ${path}`),
      ...errors.map((each) => `${each.field}: ${each.message}`),
    ];
    throw new Error(`${head.kind} ${head.metadata.name} is refused: ${problems.join("; ")}`);
  }
  // The control plane's own controllers write it; here the text does.
  const { status } = submitted as { readonly status?: object };
  return {
    ...object,
    ...(status && { status }),
    metadata: { ...meta(head.metadata.name, place.namespace ?? ""), ...object.metadata, creationTimestamp },
  };
}

/**
 * The objects of a YAML text, checked as the API would check them, in the namespace `shop` unless they name another. Each
 * is younger than the one before.
 */
export function objectsOf(yaml: string): readonly ResourceObject[] {
  return parseAllDocuments(yaml)
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null && value !== undefined)
    .map(admitted);
}
