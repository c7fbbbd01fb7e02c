import { parseAllDocuments } from "yaml";
import { expect, test } from "vitest";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import { type MeshSnapshot, openMesh } from "../snapshot.ts";
import { explainContext } from "./context.ts";
import { explainRequest } from "./explain.ts";
import type { Step } from "./explanation.ts";
import { parseRequest } from "./request.ts";

const services = `
kind: Service
metadata: { name: reviews, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: grpc, port: 81 }] }
---
kind: Service
metadata: { name: ratings, namespace: shop }
spec: { clusterIP: 10.0.0.2, ports: [{ name: http, port: 80 }] }
---
kind: Service
metadata: { name: vault, namespace: bank, annotations: { networking.istio.io/exportTo: . } }
spec: { clusterIP: 10.0.0.3, ports: [{ name: http, port: 80 }] }
---
kind: Pod
metadata: { name: reviews-0, namespace: shop, labels: { security.istio.io/tlsMode: istio } }
status: { podIP: 10.1.0.1 }
---
kind: EndpointSlice
addressType: IPv4
metadata: { name: reviews, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.1.0.1], conditions: { ready: true }, targetRef: { kind: Pod, name: reviews-0 } }]
`;
const mesh = `
kind: Mesh
metadata: { name: books }
spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;
const config = `
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "outboundTrafficPolicy: { mode: REGISTRY_ONLY }" }
`;
const sidecar = `
kind: Sidecar
metadata: { name: default, namespace: shop }
spec: { egress: [{ hosts: ["./reviews.shop.svc.cluster.local"] }] }
`;

function objects(text: string, cluster: string): MeshSnapshot {
  return parseAllDocuments(text).map((document) => ({ object: complete(document.toJS() as ObjectInput), cluster }));
}

function explained(url: string, ...more: readonly string[]) {
  return explainedAs({}, url, ...more);
}

/** @param told what the proxies tell of themselves beside who they are. */
function explainedAs(told: Readonly<Record<string, string>>, url: string, ...more: readonly string[]) {
  const east = complete({ kind: "Cluster", metadata: { name: "east" }, spec: { network: "main" } });
  const snapshot = [
    { object: east, cluster: "" },
    ...objects(services, "east"),
    ...more.flatMap((text) => objects(text, "")),
  ];
  const locality = { region: "", zone: "", subzone: "" };
  const proxies = ["page", "reviews-0"].map((name, at) => ({
    name: `${name}.shop`,
    cluster: "east",
    node: {
      id: `sidecar~10.1.0.${9 - at * 8}~${name}.shop~shop.svc.cluster.local`,
      metadata: { NAMESPACE: "shop", CLUSTER_ID: "east", LABELS: {}, ...told },
      locality,
    },
  }));
  const [proxy] = proxies;
  const request = parseRequest("GET", url, []);
  if (!proxy || typeof request === "string") throw new Error("no such request");
  return explainRequest(explainContext(openMesh(snapshot, { traced: true }), snapshot, proxies, proxy, 0), request);
}

function said({ text, because }: Step | { text: string; because: Step["because"] } = { text: "", because: [] }) {
  return [text, ...because.map(({ ref, field }) => `${ref.kind} ${ref.name} ${field}`)];
}

test("a port that the service does not have is told of, with those that it has", () => {
  const [name] = explained("http://reviews:1234/").steps;
  expect(said(name)).toEqual([
    "reviews is reviews.shop.svc.cluster.local, 10.0.0.1; it has no port 1234, but 80, 81",
    "Service reviews ",
  ]);
});

test("a service that the workload does not see is told of, with what hides it", () => {
  expect(said(explained("http://ratings/", sidecar).steps[0])).toEqual([
    "there is ratings.shop.svc.cluster.local, but the Sidecar does not let it in",
    "Sidecar default spec.egress",
  ]);
  expect(said(explained("http://vault.bank/").steps[0])).toEqual([
    "there is vault.bank.svc.cluster.local, but it is not exported to namespace shop",
  ]);
  expect(said(explained("http://nobody/").steps[0])).toEqual([
    "the mesh's DNS does not know nobody; the node's own may",
  ]);
});

test("what becomes of unknown hosts is put down to the object that says it, whatever its name", () => {
  const answer = (...more: readonly string[]) => said(explained("http://nobody.example.com/", ...more).steps.at(-1));
  expect(answer(mesh)).toEqual([expect.stringContaining("502"), "Mesh books spec.outboundTrafficPolicy"]);
  expect(answer(config)).toEqual([expect.stringContaining("502"), "ConfigMap istio data.mesh"]);
});

test("endpoints are put down to their Pods, and to what the Pods' sidecars do with the connection", () => {
  const [reached] = explained("http://reviews/").destinations;
  expect(reached?.endpoints).toEqual([
    expect.objectContaining({
      address: "10.1.0.1:8080",
      pod: { name: "reviews-0.shop", cluster: "east" },
      inbound: expect.stringContaining("virtualInbound"),
    }),
  ]);
});

test("connections go by mutual TLS where both ends have certificates, and are closed where one must have", () => {
  const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;
  const inbound = (told: Readonly<Record<string, string>>): string | undefined =>
    explainedAs(told, "http://reviews/", strict).destinations[0]?.endpoints[0]?.inbound;
  expect(inbound({ WEFT_SDS: "true" })).toBe("virtualInbound, chain virtualInbound-catchall-http, by TLS");
  expect(inbound({})).toBe("virtualInbound: no chain takes it, the connection is closed");
});

/** What policies of the Pod that is reached decide, each with the fields that it names. */
function decided(url: string, ...more: readonly string[]) {
  const { policies = [], refused } = explained(url, ...more).destinations[0]?.endpoints[0] ?? {};
  return { refused, said: policies.map(said) };
}

function policy(spec: string, annotations = "{}"): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: rule, namespace: shop, annotations: ${annotations} }
spec: ${spec}
`;
}

test("policies of the workload that is reached say what becomes of the request", () => {
  expect(decided("http://reviews/")).toEqual({ refused: undefined, said: [] });
  expect(decided("http://reviews/", policy("{}"))).toEqual({
    refused: true,
    said: [["refused with 403: no rule that allows is met", "AuthorizationPolicy rule "]],
  });
  expect(decided("http://reviews/a", policy("{ rules: [{ to: [{ operation: { paths: [/a] } }] }] }"))).toEqual({
    refused: undefined,
    said: [["allowed", "AuthorizationPolicy rule spec.rules[0]"]],
  });
  expect(decided("http://reviews/", policy("{}", "{ istio.io/dry-run: 'true' }"))).toEqual({
    refused: undefined,
    said: [["would be refused with 403 (dry run)", "AuthorizationPolicy rule "]],
  });
});

test("an external authorizer is named where it is asked, and what is refused because it cannot be", () => {
  const custom = policy(
    "{ action: CUSTOM, provider: { name: guard }, rules: [{ to: [{ operation: { methods: [GET] } }] }] }",
  );
  const provider = `
kind: Mesh
metadata: { name: books }
spec: { extensionProviders: [{ name: guard, envoyExtAuthzHttp: { service: reviews.shop.svc.cluster.local, port: 80 } }] }
`;
  expect(decided("http://reviews/", custom, provider)).toEqual({
    refused: undefined,
    said: [["the external authorizer guard is asked, and may refuse it", "AuthorizationPolicy rule spec.rules[0]"]],
  });
  expect(decided("http://reviews/", custom)).toEqual({
    refused: true,
    said: [["refused with 403: a rule that denies is met", "AuthorizationPolicy rule spec.rules[0]"]],
  });
});

test("what cannot be known is said to be missing, and only where it matters", () => {
  const rewritten = `
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec: { hosts: [reviews], http: [{ rewrite: { uri: /new }, route: [{ destination: { host: reviews } }] }] }
`;
  const rule = (method: string): string =>
    policy(`{ action: DENY, rules: [{ to: [{ operation: { methods: [${method}], paths: [/new] } }] }] }`);
  expect(decided("http://reviews/old", rewritten, rule("GET"))).toEqual({
    refused: undefined,
    said: [
      [
        "refused with 403 where a rule that denies is met, which depends on the path, which the route changes",
        "AuthorizationPolicy rule spec.rules[0]",
      ],
    ],
  });
  expect(decided("http://reviews/old", rewritten, rule("POST"))).toEqual({ refused: undefined, said: [] });
});
