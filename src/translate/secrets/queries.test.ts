import { describe, expect, it } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { complete, putYaml } from "#model/testing/objects.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { NodeInfo } from "../proxy-class.ts";
import { classResources } from "../proxy-resources.ts";
import { Follower } from "../testing/follower.ts";
import { meshOf, resourceJson, type TestMesh } from "../testing/mesh.ts";

const authority = createAuthority("authority");

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Puts a Secret with a certificate of its own into a mesh. */
function put({ model, engine }: TestMesh, name: string, namespace = "edge", cluster = "east"): void {
  const { certificate, key } = authority.issue("a.test");
  const data = { "tls.crt": base64(certificate), "tls.key": base64(key), "ca.crt": base64(authority.certificate) };
  engine.change(() => model.inputs.put(complete({ kind: "Secret", metadata: { name, namespace }, data }), cluster));
}

function node(id: string, labels: Readonly<Record<string, string>> = {}, cluster = "east"): NodeInfo {
  const [, , name = ""] = id.split("~");
  const metadata = { NAMESPACE: name.split(".")[1], CLUSTER_ID: cluster, LABELS: labels };
  return { id, metadata, locality: { region: "", zone: "", subzone: "" } };
}

const edge = node("router~10.0.0.1~a.edge~edge.svc", { istio: "ingress" });

const text = `
proxy: { id: router~10.0.0.1~a.edge~edge.svc }
clusters: [{ name: east, network: main }, { name: west, network: main }]
---
cluster: east
objects:
  - { kind: Service, metadata: { name: page, namespace: shop }, spec: { clusterIP: 10.110.0.1, ports: [{ name: http, port: 80 }] } }
---
objects:
  - kind: Gateway
    metadata: { name: edge, namespace: edge }
    spec:
      selector: { istio: ingress }
      servers:
        - { port: { number: 443, name: a, protocol: HTTPS }, hosts: [a.test], tls: { mode: MUTUAL, credentialName: a } }
        - { port: { number: 443, name: b, protocol: HTTPS }, hosts: [b.test], tls: { mode: SIMPLE, credentialName: "kubernetes://shop/b" } }
        - { port: { number: 443, name: c, protocol: HTTPS }, hosts: [c.test], tls: { mode: SIMPLE, credentialName: "kubernetes-gateway://edge/c" } }
  - kind: Gateway
    metadata: { name: lent, namespace: shop }
    spec:
      selector: { istio: ingress }
      servers: [{ port: { number: 444, name: d, protocol: HTTPS }, hosts: [d.test], tls: { mode: SIMPLE, credentialName: "kubernetes-gateway://edge/d" } }]
  - kind: DestinationRule
    metadata: { name: page, namespace: shop }
    spec: { host: page, workloadSelector: { matchLabels: { app: caller } }, trafficPolicy: { tls: { mode: MUTUAL, credentialName: client } } }`;

/** A mesh with every Secret that somebody may want, of both namespaces. */
function mesh(): TestMesh {
  const made = meshOf(text);
  for (const name of ["a", "b", "client", "other"])
    for (const namespace of ["edge", "shop"]) put(made, name, namespace);
  for (const name of ["c", "d"]) put(made, name, "edge", "");
  return made;
}

function secretsOf({ translator }: TestMesh, proxy: NodeInfo): readonly string[] {
  return [...classResources(translator, translator.classOf(proxy)).secret.keys()];
}

describe("secrets for proxies", () => {
  it("are those of their own namespace that their configuration names", () => {
    const made = mesh();
    expect(secretsOf(made, edge)).toEqual(["kubernetes-gateway://edge/c", "kubernetes://a", "kubernetes://a-cacert"]);
    expect(secretsOf(made, node("router~10.0.0.2~b.bank~bank.svc", { istio: "ingress" }))).toEqual([]);
    expect(secretsOf(made, node("router~10.0.0.2~b.edge~edge.svc", { istio: "other" }))).toEqual([]);
    const client = ["kubernetes://client", "kubernetes://client-cacert"];
    expect(secretsOf(made, node("sidecar~10.0.0.3~c.shop~shop.svc", { app: "caller" }))).toEqual(client);
    expect(secretsOf(made, node("sidecar~10.0.0.3~c.shop~shop.svc", { app: "other" }))).toEqual([]);
    expect(secretsOf(made, node("sidecar~10.0.0.3~c.edge~edge.svc", { app: "caller" }))).toEqual([]);
  });

  it("are nothing else, however it is asked for", () => {
    const { translator } = mesh();
    const scopes = translator.scopes.get(translator.classOf(edge))[typeUrls.secret];
    const names = ["other", "edge/other", "shop/a", "b", "client"].map((name) => `kubernetes://${name}`);
    const asked = [
      ...names,
      "kubernetes-gateway://edge/d",
      "kubernetes-gateway://edge/a",
      "configmap://edge/a",
      "default",
    ];
    const given = (name: string): boolean =>
      scopes.some((scope) => translator.resource.get({ scope, name }) !== undefined);
    expect(asked.filter(given)).toEqual([]);
    expect(given("kubernetes://a")).toBe(true);
  });

  it("are another namespace's where that grants them, to Gateways of the proxies' own", () => {
    const made = mesh();
    put(made, "far", "shop", "");
    const far = "kubernetes-gateway://shop/far";
    const server = `{ port: { number: 445, name: e, protocol: HTTPS }, hosts: [e.test], tls: { mode: SIMPLE, credentialName: "${far}" } }`;
    const gateway = (name: string, namespace: string): string =>
      `{ kind: Gateway, metadata: { name: ${name}, namespace: ${namespace} }, spec: { selector: { istio: ingress }, servers: [${server}] } }`;
    putYaml(made.model, gateway("far", "bank"));
    const grant = (to: string): string =>
      `{ kind: ReferenceGrant, metadata: { name: edge, namespace: shop }, spec: { from: [{ group: gateway.networking.k8s.io, kind: Gateway, namespace: edge }], to: [{ group: "", kind: Secret, name: ${to} }] } }`;
    putYaml(made.model, grant("far"));
    // A Gateway of a third namespace does not ask for its own proxies.
    expect(secretsOf(made, edge)).not.toContain(far);
    putYaml(made.model, gateway("far", "edge"));
    expect(secretsOf(made, edge)).toContain(far);
    expect(secretsOf(made, { ...edge, withoutSecrets: true })).toContain(far);
    putYaml(made.model, grant("other"));
    expect(secretsOf(made, edge)).not.toContain(far);
  });

  it("are authorities alone, and what a Gateway of the Gateway API vouches for, where the account may not read Secrets", () => {
    const made = mesh();
    const barred = { withoutSecrets: true } as const;
    expect(secretsOf(made, { ...edge, ...barred })).toEqual(["kubernetes-gateway://edge/c", "kubernetes://a-cacert"]);
    const caller = node("sidecar~10.0.0.3~c.shop~shop.svc", { app: "caller" });
    expect(secretsOf(made, { ...caller, ...barred })).toEqual(["kubernetes://client-cacert"]);
    const reads = [edge, caller, node("sidecar~10.0.0.3~c.shop~shop.svc", { app: "other" })];
    expect(reads.map((each) => made.translator.readsSecrets(each))).toEqual([true, true, false]);
    expect(made.translator.readsSecrets({ ...edge, id: "odd" })).toBe(false);
  });

  it("are those of the proxy's cluster, else those of the mesh", () => {
    const made = mesh();
    const west = node(edge.id, { istio: "ingress" }, "west");
    expect(secretsOf(made, west)).toEqual(["kubernetes-gateway://edge/c"]);
    put(made, "a", "edge", "");
    expect(secretsOf(made, west)).toEqual(["kubernetes-gateway://edge/c", "kubernetes://a", "kubernetes://a-cacert"]);
    const version = (proxy: NodeInfo) =>
      classResources(made.translator, made.translator.classOf(proxy)).secret.get("kubernetes://a")?.version;
    expect(version(edge)).not.toBe(version(west));
  });

  it("hold what Envoy needs", () => {
    const made = mesh();
    const { secret } = classResources(made.translator, made.translator.classOf(edge));
    const json = [...secret.values()].map(resourceJson);
    expect(json.map((each) => Object.keys(each).toSorted())).toEqual([
      ["@type", "name", "tlsCertificate"],
      ["@type", "name", "tlsCertificate"],
      ["@type", "name", "validationContext"],
    ]);
  });

  it("say who asked for them", () => {
    const { translator } = mesh();
    const origins = translator.origins(edge, typeUrls.secret, "kubernetes://a");
    expect(origins.map(({ kind, name }) => `${kind} ${name}`)).toEqual(["Gateway edge"]);
  });

  it("cost one message each when they change, whoever else there is", () => {
    const made = mesh();
    const follower = new Follower(made.engine, made.translator);
    const sidecars = Array.from({ length: 20 }, (_, at) =>
      node(`sidecar~10.0.1.${at}~s.shop~shop.svc`, { app: `${at}` }),
    );
    follower.follow([edge, ...sidecars].map((each) => made.translator.classOf(each)));
    const counts = (): Map<string, number> => new Map(made.engine.computations);
    const before = counts();
    put(made, "a");
    follower.refresh();
    const ran = [...counts()].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
    // Of the Secret the certificate and its authorities are one each; the authorities came out the same.
    expect(new Map(ran.filter(([, count]) => count > 0))).toEqual(
      new Map([
        ["credential", 2],
        ["resource", 1],
        ["secret", 1],
      ]),
    );
    const after = counts();
    put(made, "other");
    follower.refresh();
    expect([...counts()].filter(([name, count]) => count !== after.get(name))).toEqual([]);
  });
});
