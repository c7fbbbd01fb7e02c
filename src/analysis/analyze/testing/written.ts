/** A mistake, beside objects in which nothing is wrong. */
export interface Case {
  readonly code: string;
  /** Told apart from others of the same code. */
  readonly title?: string;
  /** YAML of the objects that have the mistake. */
  readonly bad: string;
  /** The object and field that the message is about: `VirtualService x: spec.hosts[0]`. */
  readonly at: string;
  /** The same without the mistake. */
  readonly good: string;
  /** Whether the mistake can be repaired mechanically. */
  readonly fix?: true;
  /** Other codes that the mistake has by its nature. */
  readonly beside?: readonly string[];
  /** The mesh was read, so that all its Pods are known. */
  readonly live?: true;
  /** Objects of another cluster, in which nothing is wrong by itself. */
  readonly west?: string;
}

/** A short way to write objects of namespace shop. */
function object(apiVersion: string): (kind: string, name: string, spec: string, more?: string) => string {
  return (kind, name, spec, more = "") =>
    `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name}, namespace: shop${more} }\nspec: ${spec}\n`;
}

/** A networking object. */
export const networking = object("networking.istio.io/v1");
/** A security object. */
export const security = object("security.istio.io/v1");
/** An object of Kubernetes' core group. */
export const core = object("v1");
const apps = object("apps/v1");

/** Several objects. */
export function all(...objects: readonly string[]): string {
  return objects.join("---\n");
}

/** A Deployment of Pods with labels, which listen on 8080. */
export function deployment(name: string, labels: string, more = ""): string {
  const template = `{ metadata: { labels: { ${labels} } }, spec: { containers: [{ name: main, image: i, ports: [{ name: web, containerPort: 8080 }]${more} }] } }`;
  return apps("Deployment", name, `{ selector: { matchLabels: { ${labels} } }, template: ${template} }`);
}

/** Objects in which nothing is wrong. */
export const fine = all(
  core("Service", "reviews", "{ selector: { app: reviews }, ports: [{ name: http, port: 80, targetPort: web }] }"),
  deployment("reviews-v1", "app: reviews, version: v1"),
  core("Service", "store", "{ ports: [{ name: http, port: 80 }, { name: tcp-db, port: 3306 }] }"),
  core(
    "Service",
    "edge",
    "{ selector: { istio: edge }, ports: [{ name: http, port: 80 }, { name: https, port: 443 }] }",
  ),
  deployment("edge", "istio: edge"),
  networking(
    "Gateway",
    "edge",
    "{ selector: { istio: edge }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example.com] }] }",
  ),
  networking("DestinationRule", "reviews", "{ host: reviews, subsets: [{ name: v1, labels: { version: v1 } }] }"),
);

/** VirtualService x for reviews. */
export const routes = (http: string, more = ""): string =>
  networking("VirtualService", "x", `{ hosts: [reviews], ${more}http: ${http} }`);
/** A route to reviews. */
export const toReviews = "route: [{ destination: { host: reviews } }]";
/** DestinationRule x for store. */
export const rule = (policy: string): string =>
  networking("DestinationRule", "x", `{ host: store, trafficPolicy: ${policy} }`);
/** A ServiceEntry for api.example.com. */
export const entry = (name: string, spec: string): string =>
  networking("ServiceEntry", name, `{ hosts: [api.example.com], ${spec} }`);
/** A Service. */
export const service = (name: string, ports: string, more = ""): string =>
  core("Service", name, `{ ports: ${ports}${more} }`);
/** Service x with annotations. */
export const annotated = (annotations: string): string =>
  core("Service", "x", "{ ports: [{ name: http, port: 80 }] }", `, annotations: { ${annotations} }`);
/** Pod x with annotations. */
export const podAnnotated = (annotations: string): string =>
  core("Pod", "x", "{ containers: [{ name: main, image: i }] }", `, annotations: { ${annotations} }`);
/** A Sidecar for workloads with labels. */
export const sidecar = (name: string, labels: string): string =>
  networking("Sidecar", name, `{ workloadSelector: { labels: { ${labels} } }, egress: [{ hosts: ["./*"] }] }`);
/** A Telemetry. */
export const telemetry = (name: string, spec: string): string =>
  object("telemetry.istio.io/v1")("Telemetry", name, spec);
/** EnvoyFilter x with one patch. */
export const patch = (applyTo: string, operation: string, more = ""): string =>
  object("networking.istio.io/v1alpha3")(
    "EnvoyFilter",
    "x",
    `{ ${more}configPatches: [{ applyTo: ${applyTo}, match: { context: SIDECAR_OUTBOUND }, patch: { operation: ${operation}, value: { name: y } } }] }`,
  );
const tlsServer = (mode: string): string =>
  `{ port: { number: 443, name: https, protocol: HTTPS }, hosts: [b.example.com], tls: { mode: ${mode}${mode === "SIMPLE" ? ", serverCertificate: /a, privateKey: /b" : ""} } }`;
/** A Gateway for b.example.com with TLS. */
export const tlsGateway = (name: string, mode: string): string =>
  networking("Gateway", name, `{ selector: { istio: edge }, servers: [${tlsServer(mode)}] }`);
/** VirtualService x that matches a claim. */
export const jwtRoutes = networking(
  "VirtualService",
  "x",
  `{ hosts: [shop.example.com], gateways: [edge], http: [{ match: [{ headers: { "@request.auth.claims.group": { exact: a } } }], ${toReviews} }] }`,
);
