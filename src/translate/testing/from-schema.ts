import { ownValue } from "#api/record.ts";
import fc from "fast-check";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { keyword } from "#api/schema.ts";
import { Validator } from "#api/validation.ts";

/** A JSON schema as kinds have it. */
interface Node {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly additionalProperties?: Node;
  readonly [keyword.oneOf]?: readonly (readonly string[])[];
}

/** Words that are also the names of what every JavaScript object has. */
const odd = ["constructor", "toString", "__proto__"];
const services = ["a", "b", "a.shop.svc.cluster.local", "b.bank.svc.cluster.local", "api.example.com"];
const hosts = [
  ...services,
  "*.shop.svc.cluster.local",
  "*.example.com",
  "*-x.example.com",
  "API.example.com",
  "10.9.0.1",
];
const gatewayHosts = [
  "*",
  "*.example.com",
  "shop/*",
  "./a.example.com",
  "api.example.com",
  "*/b.example.com",
  "10.9.0.1",
];
const ports = [0, 80, 443, 8080, 5432, 9999];

/** Texts by the name of the field that holds them: few, so that objects meet, and some that are unusual. */
const words: Readonly<Record<string, readonly string[]>> = {
  host: services,
  hosts,
  sniHosts: ["a.example.com", "*.example.com", "API.example.com"],
  "servers.hosts": gatewayHosts,
  "egress.hosts": ["./*", "*/*", "shop/*", "~/*", "*/*.example.com", "shop/a.shop.svc.cluster.local"],
  gateways: ["mesh", "shop/g", "g", "./g"],
  namespace: ["shop", "bank", "constructor"],
  sourceNamespace: ["shop", "constructor"],
  exportTo: ["*", ".", "shop", "constructor"],
  subset: ["", "s1", ...odd],
  protocol: ["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "UDP"],
  addresses: ["10.9.0.1", "10.9.0.0/16", "10.9.0.1/32", "2001:db8::1", "0.0.0.0"],
  address: ["10.8.0.1", "2001:db8::2", "backend.example.org", "unix:///run/x.sock", "api.example.com"],
  bind: ["", "127.0.0.1", "10.0.0.9", "unix:///run/y.sock"],
  destinationSubnets: ["10.9.0.0/16", "10.9.0.1", "2001:db8::/32"],
  regex: [".*", "*", "a|b", "(", ""],
  uri: ["/", "/x", "", "x"],
  prefix: ["/", "/a", "", "a/"],
  authority: ["x.example.com", "", "x.example.com:81"],
  scheme: ["http", "https", ""],
  grpcStatus: ["UNAVAILABLE", "OK", "NONSENSE"],
  retryOn: ["5xx", "503", "5xx,503,999", "gateway-error,,", ""],
  locality: ["eu/eu-a", "eu", "", "eu/eu-a/x/y"],
  from: ["eu/*", "eu", "us/us-a/*", "*"],
  to: ["us", "eu"],
  failoverPriority: ["app", "topology.istio.io/network", "version=x", ...odd],
  network: ["", "main", "constructor"],
  allowMethods: ["GET", "*", ""],
  serverCertificate: ["", "/etc/server.crt"],
  clientCertificate: ["", "/etc/client.crt"],
  privateKey: ["", "/etc/server.key"],
  caCertificates: ["", "/etc/ca.crt"],
  verifyCertificateSpki: ["uPvPzGkSCsJTNfuqTKWXLtbSXmsTDbrtzqL0UYyPoTk=", "a"],
  verifyCertificateHash: ["ab".repeat(32), "ab"],
  cipherSuites: ["AES128-SHA", "!AES256-SHA", "[AES128-SHA|AES256-SHA]", "NULL", "/x", ""],
  selector: ["edge", "edge", "x"],
  httpHeaderName: ["x-user", ":path", ""],
  bytes: ["aGk=", "!", ""],
};

/** Keys of maps by the name of the field that holds the map. */
const keys: Readonly<Record<string, readonly string[]>> = {
  ports: ["http", "tcp", "constructor"],
  headers: ["x-user", ":authority", "@request.auth.claims.group", "@request.auth.claims[", "Host", "constructor"],
  to: ["eu/*", "us/us-a/*", "eu/eu-a/x"],
  set: ["x-a", ":authority", "Host", ":path"],
  labels: ["app", "version", "constructor", "__proto__"],
  selector: ["app", "app", "constructor"],
};

const texts = ["", "a", "b", "s1", "x-a", "/x", "default", ...odd];
const durations = ["1s", "0s", "250ms", "1h", "1.5s"];

function textOf(node: Node, path: readonly string[]): fc.Arbitrary<string> {
  if (node.enum) return fc.constantFrom(...node.enum);
  if (node.format === "duration" || node.format === "positive-duration") return fc.constantFrom(...durations);
  const name = path.at(-1) ?? "";
  return fc.constantFrom(...(ownValue(words, `${path.at(-2)}.${name}`) ?? ownValue(words, name) ?? texts));
}

function numberOf(
  { type, minimum = -2, maximum = 4_294_967_295 }: Node,
  path: readonly string[],
): fc.Arbitrary<number> {
  const name = path.at(-1) ?? "";
  if (name === "number" || name === "port" || name === "targetPort") return fc.constantFrom(...ports);
  const values = [0, 1, 3, 50, 100, 301, 503, minimum, maximum, ...(type === "number" ? [0.1, 33.3333] : [])];
  return fc.constantFrom(...values.filter((value) => value >= minimum && value <= maximum));
}

/** Leaves of each group of fields of which only one may be set the first that is there. */
function onlyOneOf(groups: readonly (readonly string[])[], made: Readonly<Record<string, unknown>>): object {
  const extra = new Set(groups.flatMap((group) => group.filter((name) => Object.hasOwn(made, name)).slice(1)));
  return Object.fromEntries(Object.entries(made).filter(([name]) => !extra.has(name)));
}

function objectOf(node: Node, path: readonly string[]): fc.Arbitrary<unknown> {
  const required = new Set(node.required);
  const fields = Object.entries(node.properties ?? {}).map(([name, field]) => {
    const value = valueOf(field, [...path, name]);
    return [name, required.has(name) ? value : fc.option(value, { nil: undefined, freq: 2 })] as const;
  });
  return fc.record(Object.fromEntries(fields)).map((made) => {
    const present = Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined));
    return onlyOneOf(node[keyword.oneOf] ?? [], present);
  });
}

/** Any value of a schema, though not of every value: texts and numbers are those that a mesh may well hold. */
function valueOf(node: Node, path: readonly string[]): fc.Arbitrary<unknown> {
  const name = path.at(-1) ?? "";
  if (node.items) {
    return fc.array(valueOf(node.items, path), {
      minLength: node.minItems ?? 0,
      maxLength: Math.min(node.maxItems ?? 2, 2),
    });
  }
  if (node.additionalProperties) {
    const key = fc.constantFrom(...(ownValue(keys, name) ?? ["app", "x-user", ...odd]));
    return fc.dictionary(key, valueOf(node.additionalProperties, path), { maxKeys: 2 });
  }
  if (node.properties) return objectOf(node, path);
  if (node.type === "boolean") return fc.boolean();
  if (node.type === "integer" || node.type === "number") return numberOf(node, path);
  return node.type === "object" ? fc.constant({}) : textOf(node, path);
}

/** Takes the field that a path such as `spec.http[0].match[1].uri` leads to out of an object. */
function prune(object: unknown, path: string): void {
  const steps = path.split(/[.[\]]+/).filter((step) => step !== "");
  let at = object as Record<string, unknown>;
  for (const step of steps.slice(0, -1)) {
    const next = ownValue(at, step);
    if (typeof next !== "object" || next === null) break;
    at = next as Record<string, unknown>;
  }
  const last = steps.at(-1) ?? "";
  if (Array.isArray(at)) at.splice(Number(last) || 0, 1);
  else delete at[last];
}

const validator = new Validator();
/** How often what the API refuses is taken out before an object is given up. */
const rounds = 12;

/** The object as the API would store it, less what it would refuse; undefined where nothing acceptable remains. */
function accepted(kind: Kind, submitted: ResourceObject): ResourceObject | undefined {
  const object = structuredClone(submitted);
  for (let round = 0; round < rounds; round++) {
    const admission = validator.admit(kind, object);
    if (admission.errors.length === 0) return { ...admission.object, metadata: object.metadata };
    // From the last one, so that the places of items before it stay as they are.
    for (const { field } of admission.errors.toReversed()) prune(object, round < rounds / 2 ? field : outer(field));
  }
  return undefined;
}

/** The path of the field or item around a field. */
function outer(path: string): string {
  return path.replace(/(?:\.[^.[]*|\[[^\]]*\])$/, "");
}

const metadata = fc.record({
  name: fc.constantFrom("g", "a", "b"),
  namespace: fc.constantFrom("shop", "bank", "istio-system", "constructor"),
  creationTimestamp: fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
});

/** Objects of a kind that the API accepts, of any field that its schema has. */
export function acceptedObjects(kind: Kind): fc.Arbitrary<ResourceObject> {
  const spec = kind.schema.properties["spec"] as Node;
  return fc
    .record({ metadata, spec: valueOf(spec, ["spec"]) })
    .map(({ metadata: meta, spec: made }) =>
      accepted(kind, {
        apiVersion: `${kind.group}/${kind.versions[0].name}`,
        kind: kind.kind,
        metadata: { uid: `${kind.kind}/${meta.namespace}/${meta.name}`, resourceVersion: "1", generation: 1, ...meta },
        spec: made,
      }),
    )
    .filter((object) => object !== undefined);
}
