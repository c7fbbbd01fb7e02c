/** Kubernetes objects as YAML texts (JSON is YAML), for `WorldSpec.kubernetes`. `@name` stands for a backend's address. */

/** A Pod that stands on the address of a backend. */
export interface PodText {
  readonly name: string;
  readonly namespace?: string;
  /** Name of the backend's Pod. */
  readonly at: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly hostname?: string;
  readonly subdomain?: string;
  /** Ready unless told. */
  readonly ready?: boolean;
  /** Numbers of its ports by their names. */
  readonly ports?: Readonly<Record<string, number>>;
}

/** A Pod. */
export function podText({
  name,
  namespace = "shop",
  at,
  labels = {},
  node,
  ready = true,
  ports = {},
  ...names
}: PodText): string {
  const containerPorts = Object.entries(ports).map(([portName, containerPort]) => ({ name: portName, containerPort }));
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels },
    spec: {
      containers: [{ name: "app", image: "none", ports: containerPorts }],
      ...(node !== undefined && { nodeName: node }),
      ...names,
    },
    status: {
      podIP: `@${at}`,
      phase: "Running",
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    },
  });
}

/** A port of a Service. */
interface PortText {
  readonly name: string;
  readonly port: number;
  readonly protocol?: string;
  readonly appProtocol?: string;
  readonly targetPort?: number | string;
  /** Where the endpoints listen; the HTTP port of backends unless told. */
  readonly to?: number;
}

/** An endpoint of a Service. */
interface EndpointText {
  /** Name of the backend's Pod. */
  readonly at: string;
  /** Name of the Pod that it is; none unless told. */
  readonly pod?: string;
  readonly ready?: boolean;
}

/** A Service with what its endpoints' slice says. */
export interface ServiceText {
  readonly name: string;
  readonly namespace?: string;
  /** `None` for a headless one. */
  readonly address: string;
  readonly ports?: readonly PortText[];
  readonly endpoints: readonly EndpointText[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** More members of its specification. */
  readonly spec?: object;
  readonly status?: object;
}

const plainHttp: PortText = { name: "http", port: 9080 };

/** A Service and the slice of its endpoints. */
export function serviceText(service: ServiceText): string {
  const {
    name,
    namespace = "shop",
    address,
    ports = [plainHttp],
    endpoints,
    labels,
    annotations,
    spec,
    status,
  } = service;
  const object = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, labels: labels ?? {}, annotations: annotations ?? {} },
    spec: { clusterIP: address, ports: ports.map(({ to: _to, ...port }) => port), ...spec },
    ...(status && { status }),
  };
  return `${JSON.stringify(object)}\n---\n${sliceText(name, namespace, ports, endpoints)}`;
}

/** The slice of a Service's endpoints. */
export function sliceText(
  name: string,
  namespace: string,
  ports: readonly PortText[],
  endpoints: readonly EndpointText[],
): string {
  return JSON.stringify({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: ports.map((port) => ({ name: port.name, port: port.to ?? 8080, protocol: port.protocol ?? "TCP" })),
    endpoints: endpoints.map(({ at, pod, ready = true }) => ({
      addresses: [`@${at}`],
      conditions: { ready, serving: ready, terminating: false },
      ...(pod !== undefined && { targetRef: { kind: "Pod", name: pod, namespace } }),
    })),
  });
}

/** A Node that stands somewhere. */
export function nodeText(name: string, region: string, zone: string): string {
  const labels = { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone };
  return JSON.stringify({ apiVersion: "v1", kind: "Node", metadata: { name, labels }, spec: {} });
}
