import { describe, expect, it } from "vitest";
import { everyone } from "./client.ts";
import { bucketViewer } from "./clients.ts";
import { modelOf } from "./testing/objects.ts";

function service(name: string, namespace: string): string {
  return `
---
cluster: east
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { clusterIP: 10.0.0.1, selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }`;
}

function sidecar(name: string, namespace: string, spec: string, created = "2026-01-01T00:00:00Z"): string {
  return `
---
kind: Sidecar
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: ${spec}`;
}

const mesh = service("a", "shop") + service("b", "shop") + service("c", "bank");

function seen(text: string, namespace: string, labels = {}): readonly string[] {
  const { clients } = modelOf(text);
  return clients.services.get(clients.sidecarClient({ namespace, labels })).map((key) => key.split(".")[0] ?? "");
}

describe("what a proxy sees", () => {
  it("is everything, and the same client for all namespaces, where nothing is special", () => {
    const { clients } = modelOf(mesh);
    expect(clients.sidecarClient({ namespace: "shop", labels: {} })).toEqual({ namespace: everyone, sidecar: "" });
    expect(clients.gatewayClient({ namespace: "bank", labels: {} })).toEqual({ namespace: everyone, sidecar: "" });
    expect(seen(mesh, "other")).toEqual(["bank/c", "shop/a", "shop/b"]);
  });

  it("is what its Sidecar lets in", () => {
    expect(seen(mesh + sidecar("s", "shop", `{ egress: [{ hosts: ["./*"] }] }`), "shop")).toEqual(["shop/a", "shop/b"]);
    const some = sidecar("s", "shop", `{ egress: [{ hosts: ["bank/*", "*/a.shop.svc.cluster.local"] }] }`);
    expect(seen(mesh + some, "shop")).toEqual(["bank/c", "shop/a"]);
    expect(seen(mesh + sidecar("s", "shop", `{ egress: [{ hosts: ["~/*"] }] }`), "shop")).toEqual([]);
    const except = (hosts: string) => seen(mesh + sidecar("s", "shop", `{ egress: [{ hosts: [${hosts}] }] }`), "shop");
    expect(except(`"*/*", "~bank/*"`)).toEqual(["shop/a", "shop/b"]);
    expect(except(`"*/*", "~./a.shop.svc.cluster.local"`)).toEqual(["bank/c", "shop/b"]);
    expect(except(`"*/*", "~/*.shop.svc.cluster.local"`)).toEqual(["bank/c"]);
    expect(except(`"~bank/*"`)).toEqual([]);
    // An exception is its listener's own.
    const two = `{ egress: [{ port: { number: 80 }, hosts: ["bank/*", "~bank/*"] }, { hosts: ["bank/*"] }] }`;
    expect(seen(mesh + sidecar("s", "shop", two), "shop")).toEqual(["bank/c"]);
    expect(
      seen(mesh + sidecar("s", "shop", "{ outboundTrafficPolicy: { mode: REGISTRY_ONLY } }"), "shop"),
    ).toHaveLength(3);
  });

  it("holds where VirtualServices that it lets in send requests to", () => {
    const text = `${mesh}${sidecar("s", "shop", `{ egress: [{ hosts: ["./*"] }] }`)}
---
kind: VirtualService
metadata: { name: a, namespace: shop }
spec: { hosts: [a], http: [{ route: [{ destination: { host: c.bank.svc.cluster.local } }] }] }`;
    expect(seen(text, "shop")).toEqual(["bank/c", "shop/a", "shop/b"]);
  });

  it("is by the Sidecar that selects it, else its namespace's, else the root namespace's", () => {
    const sidecars =
      sidecar("default", "shop", `{ egress: [{ hosts: ["./*"] }] }`) +
      sidecar("chosen", "shop", `{ workloadSelector: { labels: { app: x } }, egress: [{ hosts: ["bank/*"] }] }`) +
      sidecar("root", "istio-system", `{ egress: [{ hosts: ["./*"] }] }`);
    expect(seen(mesh + sidecars, "shop", { app: "x" })).toEqual(["bank/c"]);
    expect(seen(mesh + sidecars, "shop", { app: "y" })).toEqual(["shop/a", "shop/b"]);
    expect(seen(mesh + sidecars, "bank")).toEqual(["bank/c"]);
    // Two defaults: the older one.
    const two = sidecar("b", "shop", `{ egress: [{ hosts: ["bank/*"] }] }`, "2026-02-01T00:00:00Z");
    expect(seen(mesh + sidecars + two, "shop")).toEqual(["shop/a", "shop/b"]);
  });

  it("holds what is exported to its namespace only", () => {
    const text = `${mesh}
---
kind: ServiceEntry
metadata: { name: secret, namespace: bank }
spec: { hosts: [secret.example.com], exportTo: [shop], ports: [] }`;
    expect(seen(text, "shop")).toContain("bank/secret");
    expect(seen(text, "bank")).not.toContain("bank/secret");
    const { clients } = modelOf(text);
    // Only the bucket of the namespace that exports it is the shop's own.
    expect(
      clients.buckets
        .get(clients.gatewayClient({ namespace: "shop", labels: {} }))
        .map(({ namespace, viewer }) => [namespace, viewer]),
    ).toEqual([
      ["bank", "shop"],
      ["shop", everyone],
    ]);
  });
});

it("DestinationRules of the root namespace hold for a namespace that they are exported to by its name", () => {
  const { clients, rules } = modelOf(`${mesh}
---
kind: DestinationRule
metadata: { name: all, namespace: istio-system }
spec: { host: "*.cluster.local", exportTo: [shop], trafficPolicy: {} }`);
  const rulesOf = (namespace: string): readonly string[] => {
    const client = clients.sidecarClient({ namespace, labels: {} });
    return clients.buckets
      .get(client)
      .flatMap((bucket) =>
        rules.ruleKeys({ viewer: bucketViewer(bucket), service: clients.servicesIn.get(bucket)[0]! }),
      );
  };
  expect(rulesOf("shop")).toEqual(["istio-system/all", "istio-system/all"]);
  expect(rulesOf("bank")).toEqual([]);
});

it("DestinationRules hold for ServiceEntries that go by the name of a service in another namespace", () => {
  const { clients, rules } = modelOf(`
kind: ServiceEntry
metadata: { name: e, namespace: bank }
spec: { hosts: [a.shop.svc.cluster.local], ports: [{ number: 80, name: http, protocol: HTTP }] }
---
kind: DestinationRule
metadata: { name: chosen, namespace: other }
spec: { host: a.shop.svc.cluster.local, workloadSelector: { matchLabels: { app: x } } }
---
kind: DestinationRule
metadata: { name: own, namespace: third }
spec: { host: "*.shop.svc.cluster.local" }`);
  const rulesOf = (namespace: string) => {
    const client = clients.sidecarClient({ namespace, labels: { app: "x" } });
    const [bucket = { namespace: "", viewer: "", hosts: [] }] = clients.buckets.get(client);
    return rules.ruleKeys({ viewer: bucketViewer(bucket), service: "bank/a.shop.svc.cluster.local" });
  };
  expect(rulesOf("other")).toEqual(["other/chosen"]);
  expect(rulesOf("third")).toEqual(["third/own"]);
  expect(rulesOf("fourth")).toEqual([]);
});
