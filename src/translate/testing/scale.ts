import type { NodeInfo } from "../proxy-class.ts";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import { emptyMesh, type TestMesh } from "./mesh.ts";

/** How large a mesh is. */
export interface Scale {
  readonly services: number;
  readonly namespaces: number;
  /** Namespaces whose proxies see only their own namespace: the first so many. */
  readonly sidecars: number;
}

/** `ns-0`, `ns-1`, ... */
function namespaceOf(index: number, { namespaces }: Pick<Scale, "namespaces">): string {
  return `ns-${index % namespaces}`;
}

function address(base: number, index: number): string {
  return `10.${base}.${Math.floor(index / 250)}.${(index % 250) + 1}`;
}

/** A service with two endpoints; `generation` changes the endpoints' addresses. */
export function serviceObjects(index: number, scale: Scale, generation = 0): readonly ObjectInput[] {
  const namespace = namespaceOf(index, scale);
  const name = `svc-${index}`;
  return [
    {
      kind: "Service",
      metadata: { name, namespace },
      spec: { clusterIP: address(100, index), selector: { app: name }, ports: [{ name: "http", port: 80 }] },
    },
    {
      kind: "EndpointSlice",
      metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 80 }],
      endpoints: [address(20 + generation, index), address(60 + generation, index)].map((each) => ({
        addresses: [each],
        conditions: { ready: true },
      })),
    },
  ];
}

/** A rule for one service, whose content tells generations apart. */
export function virtualService(index: number, scale: Scale, generation: number): ObjectInput {
  const host = `svc-${index}`;
  return {
    kind: "VirtualService",
    metadata: { name: host, namespace: namespaceOf(index, scale) },
    spec: { hosts: [host], http: [{ timeout: `${generation + 1}s`, route: [{ destination: { host } }] }] },
  };
}

/** A rule for one service, whose content tells generations apart. */
export function destinationRule(index: number, scale: Scale, generation: number): ObjectInput {
  const host = `svc-${index}`;
  return {
    kind: "DestinationRule",
    metadata: { name: host, namespace: namespaceOf(index, scale) },
    spec: { host, trafficPolicy: { connectionPool: { tcp: { maxConnections: generation + 1 } } } },
  };
}

/** A policy for the workload of one service. */
export function authorizationPolicy(index: number, scale: Scale, path: string): ObjectInput {
  const selector = { matchLabels: { app: `svc-${index}` } };
  return {
    kind: "AuthorizationPolicy",
    metadata: { name: `svc-${index}`, namespace: namespaceOf(index, scale) },
    spec: { selector, action: "DENY", rules: [{ to: [{ operation: { paths: [path] } }] }] },
  };
}

/** Patches one service's cluster for the proxies of one namespace; its content tells generations apart. */
export function envoyFilter(index: number, scale: Scale, generation: number): ObjectInput {
  const service = `svc-${index}.${namespaceOf(index, scale)}.svc.cluster.local`;
  const patch = { operation: "MERGE", value: { connect_timeout: `${generation + 1}s` } };
  return {
    kind: "EnvoyFilter",
    metadata: { name: "timeout", namespace: namespaceOf(index, scale) },
    spec: {
      configPatches: [{ applyTo: "CLUSTER", match: { context: "SIDECAR_OUTBOUND", cluster: { service } }, patch }],
    },
  };
}

function sidecar(namespace: string): ObjectInput {
  return { kind: "Sidecar", metadata: { name: "default", namespace }, spec: { egress: [{ hosts: ["./*"] }] } };
}

/** Puts an object of the one cluster, or of the mesh. */
export function put({ model }: Pick<TestMesh, "model">, object: ObjectInput): void {
  const inCluster = object.kind === "Service" || object.kind === "EndpointSlice";
  model.inputs.put(complete(object), inCluster ? "main" : "");
}

/** A mesh of HTTP services. */
export function scaleMesh(scale: Scale): TestMesh {
  const mesh = emptyMesh();
  mesh.engine.change(() => {
    mesh.model.inputs.putCluster("main", "main");
    for (let index = 0; index < scale.services; index += 1) {
      for (const object of serviceObjects(index, scale)) put(mesh, object);
    }
    for (let index = 0; index < scale.sidecars; index += 1) put(mesh, sidecar(`ns-${index}`));
  });
  return mesh;
}

/** The proxy of some workload, which serves the service of the same number, if there is one. */
export function scaleNode(index: number, scale: Scale): NodeInfo {
  const namespace = namespaceOf(index, scale);
  return {
    id: `sidecar~${address(20, index)}~svc-${index}-0.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace, CLUSTER_ID: "main", LABELS: { app: `svc-${index}` } },
    locality: { region: "", zone: "", subzone: "" },
  };
}
