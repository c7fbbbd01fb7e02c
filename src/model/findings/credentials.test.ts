import { describe, expect, it } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { messageType } from "#api/message-types.ts";
import type { Model } from "../model.ts";
import { complete, modelOf } from "../testing/objects.ts";

const authority = createAuthority("authority");
const day = 86_400_000;
const from = new Date("2026-03-01T00:00:00Z");
const until = new Date(from.getTime() + day);
const good = authority.issueFor({ names: ["a.test"], from, until });
const other = authority.issue("b.test");

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function put(model: Model, name: string, data: Readonly<Record<string, string>>, cluster = "east"): void {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]));
  model.inputs.put(complete({ kind: "Secret", metadata: { name, namespace: "edge" }, data: encoded }), cluster);
}

const pods = `
cluster: east
kind: Pod
metadata: { name: a, namespace: edge, labels: { istio: ingress } }
status: { podIP: 10.1.0.1 }
---
cluster: east
kind: Pod
metadata: { name: b, namespace: shop, labels: { app: caller } }
status: { podIP: 10.1.0.2 }
---
cluster: east
kind: Service
metadata: { name: page, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }] }
---
kind: Gateway
metadata: { name: g, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 443, name: a, protocol: HTTPS }, hosts: [a.test], tls: { mode: SIMPLE, credentialName: a } }
    - { port: { number: 443, name: b, protocol: HTTPS }, hosts: [b.test], tls: { mode: MUTUAL, credentialName: a, caCertCredentialName: "configmap://edge/ca" } }
---
kind: DestinationRule
metadata: { name: d, namespace: shop }
spec:
  host: page
  trafficPolicy: { tls: { mode: SIMPLE, credentialName: a } }
  subsets: [{ name: v1, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: MUTUAL, credentialName: b } }] } }]`;

/** Fields and messages of what is wrong with the Gateway, by the codes of Istio's messages. */
function problems(model: Model, kind = "Gateway", name = "g", namespace = "edge"): readonly string[] {
  const found = model.findings.get({ kind, namespace, name });
  const wanted = new Set(["MissingCredential", "InvalidCredential", "EndingCredential", "ForbiddenCredential"]);
  return found
    .filter(({ code }) => wanted.has(code))
    .map((each) => `${messageType(each).code} ${each.field}: ${each.message}`);
}

const keeps = "proxies that have had a good one keep it, others have none";
const missing = (at: string): string =>
  `IST0101 ${at}: There is no Secret edge/a in cluster east, which a means; ${keeps}. Create it with tls.crt and tls.key, or correct the name.`;
const missingAuthorities = `IST0101 spec.servers[1].tls.caCertCredentialName: There is no ConfigMap edge/ca in the mesh, which configmap://edge/ca means; ${keeps}. Create it with ca.crt, or correct the name.`;

describe("credentials of a Gateway", () => {
  it("that are missing", () => {
    expect(problems(modelOf(pods))).toEqual([
      missing("spec.servers[0].tls.credentialName"),
      missing("spec.servers[1].tls.credentialName"),
      missingAuthorities,
    ]);
  });

  it.each([
    [{}, "Secret edge/a (east) has no tls.crt and tls.key, nor cert and key; it has nothing"],
    [
      { password: "x", "tls.crt": "x", user: "x", more: "x" },
      "Secret edge/a (east) has no tls.crt and tls.key, nor cert and key; it has more, password, tls.crt, 1 more",
    ],
    [
      { "tls.crt": good.certificate, "tls.key": other.key },
      "Secret edge/a (east) cannot be used: tls.key is not the key of the certificate",
    ],
    [{ cert: "nothing", key: other.key }, "Secret edge/a (east) cannot be used: cert has no certificate in PEM"],
  ])("that cannot be used: %o", (data, why) => {
    const model = modelOf(pods);
    put(model, "a", data);
    expect(problems(model)[0]).toBe(`IST0161 spec.servers[0].tls.credentialName: ${why}; ${keeps}.`);
  });

  it("whose time is not now, once the time is known", () => {
    const model = modelOf(pods);
    put(model, "a", { "tls.crt": good.certificate, "tls.key": good.key });
    const first = (): string | undefined => problems(model).find((each) => each.includes("servers[0]"));
    const seen = [undefined, -1, 0, (2 * day) / 3 - 1, (2 * day) / 3, day].map((after) => {
      if (after !== undefined) model.inputs.setTime(from.getTime() + after);
      return first()?.replace(/^.*?: /, "");
    });
    const says = (what: string): string => `The certificate of Secret edge/a ${what}; callers refuse it. Renew it.`;
    const ends = new Date(from.getTime() + day).toISOString();
    const ending = `The certificate of Secret edge/a ends at ${ends}; callers refuse it then. Renew it.`;
    expect(seen).toEqual([undefined, says("is not valid yet"), undefined, undefined, ending, says("has expired")]);
  });

  it("that are the mesh's where the cluster has none", () => {
    const model = modelOf(pods);
    put(model, "a", { "tls.crt": good.certificate, "tls.key": good.key }, "");
    expect(problems(model)).toEqual([missingAuthorities]);
  });

  it("of a namespace that its proxies may not read", () => {
    const model = modelOf(
      pods.replace(
        "mode: SIMPLE, credentialName: a } }\n",
        'mode: SIMPLE, credentialName: "kubernetes://shop/a" } }\n',
      ),
    );
    expect(problems(model)[0]).toBe(
      "IST0101 spec.servers[0].tls.credentialName: Proxies of namespace edge may not read Secret shop/a: Secrets are for their own namespace. Put it there, and write credentialName: a.",
    );
  });

  it("that its proxies' service accounts may not read", () => {
    const model = modelOf(
      `${pods}\n---\ncluster: east\nkind: Pod\nmetadata: { name: c, namespace: edge, labels: { istio: ingress } }\nspec: { serviceAccountName: site }`,
    );
    put(model, "a", { "tls.crt": good.certificate, "tls.key": good.key });
    put(model, "ca", { "ca.crt": authority.certificate });
    expect([...model.credentials.accounts.get("").keys()]).toEqual(["east/edge/default", "east/edge/site"]);
    expect(problems(model)).toEqual([missingAuthorities]);
    const shown = (): readonly string[] => model.gatewayCredentials.get("edge/g").map(({ field }) => field);
    expect(shown()).toEqual(["spec.servers[0].tls.credentialName", "spec.servers[1].tls.credentialName"]);
    model.inputs.setSecretRefusal("east/edge/site", true);
    const says = (who: string, whose: string): string =>
      `${who} may not list Secrets of ${whose} namespace in cluster east, so that proxies are not served Secret edge/a; ${keeps}. Bind a Role there that allows to list secrets.`;
    const told = (): string | undefined => problems(model)[0]?.replace(/^.*?: /, "");
    expect(told()).toBe(says("Service account edge/site", "its"));
    expect(shown()).toHaveLength(2);
    model.inputs.setSecretRefusal("east/edge/default", true);
    expect(told()).toBe(says("Service accounts edge/default, edge/site", "their"));
    expect(shown()).toEqual([]);
    model.inputs.setSecretRefusal("east/edge/site", false);
    model.inputs.setSecretRefusal("east/edge/default", false);
    expect(problems(model)).toEqual([missingAuthorities]);
  });

  it("never say what a key is", () => {
    const model = modelOf(pods);
    put(model, "a", { "tls.crt": good.certificate, "tls.key": "do not tell" });
    expect(JSON.stringify(model.findings.get({ kind: "Gateway", namespace: "edge", name: "g" }))).not.toContain(
      "do not",
    );
  });
});

describe("credentials of a DestinationRule", () => {
  const ofRule = (model: Model): readonly string[] =>
    problems(model, "DestinationRule", "d", "shop").map((each) => each.replace(/:.*/, ""));

  it("that are missing where gateways are", () => {
    const model = modelOf(pods);
    const second = "IST0101 spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.credentialName";
    expect(ofRule(model)).toEqual(["IST0101 spec.trafficPolicy.tls.credentialName", second]);
    put(model, "a", { "ca.crt": authority.certificate });
    expect(ofRule(model)).toEqual([second]);
    put(model, "b", { cert: "x", key: "x", cacert: authority.certificate });
    expect(ofRule(model)).toEqual([second.replace("IST0101", "InvalidCredential")]);
  });

  it("that no gateway may read, where it asks for keys", () => {
    const model = modelOf(pods);
    put(model, "a", { "ca.crt": authority.certificate });
    put(model, "b", { cert: good.certificate, key: good.key, cacert: authority.certificate });
    expect(ofRule(model)).toEqual([]);
    model.inputs.setSecretRefusal("east/edge/default", true);
    expect(ofRule(model)).toEqual([
      "ForbiddenCredential spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.credentialName",
    ]);
  });

  it("that are missing where the workloads are that it selects", () => {
    const model = modelOf(
      pods.replace("  host: page\n", "  host: page\n  workloadSelector: { matchLabels: { app: caller } }\n"),
    );
    put(model, "a", { "ca.crt": authority.certificate });
    const [first] = problems(model, "DestinationRule", "d", "shop");
    expect(first).toContain("There is no Secret shop/a in cluster east");
  });
});
