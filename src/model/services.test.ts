import { describe, expect, it } from "vitest";
import type { MeshInput } from "./mesh.ts";
import { addressesIn } from "./service.ts";
import { modelOf, putYaml } from "./testing/objects.ts";

const reviews = `
cluster: east
kind: Service
metadata: { name: reviews, namespace: shop, creationTimestamp: "2026-01-02T00:00:00Z" }
spec: { clusterIP: 10.0.0.1, selector: { app: reviews }, ports: [{ name: http, port: 9080, targetPort: web }] }
---
cluster: west
kind: Service
metadata: { name: reviews, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z" }
spec: { clusterIP: 10.9.0.1, ports: [{ name: tcp, port: 9080 }, { name: admin, port: 9081, protocol: UDP }] }
`;
const key = "shop/reviews.shop.svc.cluster.local";

describe("services", () => {
  it("of one name in several clusters are one, the oldest deciding", () => {
    const service = modelOf(reviews).services.service.get(key);
    expect(service).toMatchObject({
      host: "reviews.shop.svc.cluster.local",
      resolution: "STATIC",
      registry: "Kubernetes",
    });
    expect(service?.ports.map(({ number, protocol }) => [number, protocol])).toEqual([
      [9080, "TCP"],
      [9081, "UDP"],
    ]);
    expect(service?.selectors).toEqual({ east: { app: "reviews" } });
    expect(service?.origins.map(({ cluster }) => cluster)).toEqual(["west", "east"]);
  });

  it("have an address of each cluster, and the oldest's elsewhere", () => {
    const service = modelOf(reviews).services.service.get(key)!;
    expect(addressesIn(service, "east")).toEqual(["10.0.0.1"]);
    expect(addressesIn(service, "west")).toEqual(["10.9.0.1"]);
    expect(addressesIn(service, "north")).toEqual(["10.9.0.1"]);
  });

  it("go when their last cluster's goes", () => {
    const model = modelOf(reviews);
    model.inputs.remove("Service", { namespace: "shop", name: "reviews" }, "west");
    expect(model.services.service.get(key)?.ports[0]?.protocol).toBe("HTTP");
    model.inputs.removeCluster("east");
    expect(model.services.service.get(key)).toBeUndefined();
    expect(model.services.namespaces.get("")).toEqual([]);
  });

  it("without an address are headless", () => {
    const model = modelOf(`
cluster: east
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, ports: [{ name: tcp, port: 5432 }] }`);
    const service = model.services.service.get("shop/db.shop.svc.cluster.local");
    expect(service).toMatchObject({ resolution: "NONE", addresses: { east: ["0.0.0.0"] } });
  });

  it("may be other names of others, through several of these, but not in a circle", () => {
    const alias = (name: string, of: string) => `
cluster: east
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { type: ExternalName, externalName: ${of}, ports: [] }`;
    const model = modelOf(
      [
        alias("a", "Reviews.shop.svc.cluster.local."),
        alias("b", "a.shop.svc.cluster.local"),
        alias("c", "d.shop.svc.cluster.local"),
        alias("d", "c.shop.svc.cluster.local"),
      ].join("\n---"),
    );
    const { aliasOf, aliases, service } = model.services;
    expect(service.get("shop/a.shop.svc.cluster.local")).toMatchObject({ resolution: "ALIAS", selectors: {} });
    expect(aliasOf.get("b.shop.svc.cluster.local")).toBe("reviews.shop.svc.cluster.local");
    expect(aliasOf.get("c.shop.svc.cluster.local")).toBeUndefined();
    expect(aliases.get("reviews.shop.svc.cluster.local")).toEqual([
      "a.shop.svc.cluster.local",
      "b.shop.svc.cluster.local",
    ]);
    expect(aliases.get("a.shop.svc.cluster.local")).toEqual([]);
    model.inputs.remove("Service", { namespace: "shop", name: "a" }, "east");
    expect(aliases.get("reviews.shop.svc.cluster.local")).toEqual([]);
    expect(aliases.get("a.shop.svc.cluster.local")).toEqual(["b.shop.svc.cluster.local"]);
  });

  it("are exported as the annotation, or the mesh's default, says", () => {
    const model = modelOf(`
cluster: east
kind: Service
metadata: { name: a, namespace: shop, annotations: { networking.istio.io/exportTo: "., bank" } }
spec: { ports: [] }
---
cluster: east
kind: Service
metadata: { name: b, namespace: shop }
spec: { ports: [] }`);
    const exportTo = (name: string) => model.services.service.get(`shop/${name}.shop.svc.cluster.local`)?.exportTo;
    expect(exportTo("a")).toEqual([".", "bank"]);
    expect(exportTo("b")).toEqual(["*"]);
    model.inputs.setMesh({ defaultServiceExportTo: ["."] });
    expect(exportTo("b")).toEqual(["."]);
  });

  it("of ServiceEntries have a key for each host, and merge within a namespace", () => {
    const model = modelOf(`
kind: ServiceEntry
metadata: { name: a, namespace: shop }
spec:
  hosts: [api.example.com, www.example.com]
  addresses: [10.5.0.1]
  resolution: STATIC
  ports: [{ number: 443, name: tls, protocol: TLS }]
---
kind: ServiceEntry
metadata: { name: b, namespace: shop, creationTimestamp: "2026-02-01T00:00:00Z" }
spec:
  hosts: [api.example.com]
  addresses: [10.5.0.2]
  location: MESH_INTERNAL
  resolution: DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]`);
    expect(model.services.keysIn.get("shop")).toEqual(["shop/api.example.com", "shop/www.example.com"]);
    expect(model.services.service.get("shop/api.example.com")).toMatchObject({
      registry: "External",
      external: true,
      resolution: "STATIC",
      defaultAddresses: ["10.5.0.1", "10.5.0.2"],
      ports: [{ number: 443 }, { number: 80 }],
    });
  });

  it("of one host in several namespaces: one's own, else a Kubernetes one, else the oldest", () => {
    const model = modelOf(`
kind: ServiceEntry
metadata: { name: a, namespace: bank, creationTimestamp: "2026-02-01T00:00:00Z" }
spec: { hosts: [api.example.com], ports: [] }
---
kind: ServiceEntry
metadata: { name: a, namespace: shop }
spec: { hosts: [api.example.com, reviews.shop.svc.cluster.local], ports: [] }`);
    const means = (viewer: string, host: string) => model.services.keyForHost.get({ viewer, host });
    expect(means("bank", "api.example.com")).toBe("bank/api.example.com");
    expect(means("other", "api.example.com")).toBe("shop/api.example.com");
    putYaml(model, reviews);
    expect(means("other", "reviews.shop.svc.cluster.local")).toBe(key);
  });
});

describe("serviceEntryVisibility", () => {
  const entry = (name: string, namespace: string, exportTo: string) => `
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace} }
spec: { hosts: [${name}.test], exportTo: [${exportTo}], ports: [{ number: 80, name: http, protocol: HTTP }] }`;
  const namespace = (name: string, labels: string, cluster: string) => `
cluster: ${JSON.stringify(cluster)}
kind: Namespace
metadata: { name: ${name}, labels: { ${labels} } }`;
  const objects = [
    entry("all", "shop", '"*"'),
    entry("named", "shop", "shop, bank"),
    entry("others", "shop", "bank"),
    entry("nobody", "shop", '"~"'),
    entry("hidden", "lab", '"*"'),
    entry("free", "bank", '"*"'),
    namespace("shop", "tier: inner", "east"),
    namespace("lab", "tier: inner", "east"),
    namespace("lab", "tier: secret", ""),
    namespace("bank", "tier: outer", "east"),
  ];
  const policies = [
    { visibility: "NONE", matchingRules: [{ namespaceSelector: { matchLabels: { tier: "secret" } } }] },
    { visibility: "NONE", matchingRules: [{ namespaceSelector: {} }, {}] },
    {
      visibility: "PUBLIC",
      matchingRules: [
        { namespaceSelector: { matchExpressions: [{ key: "tier", operator: "In", values: ["outer", "inner"] }] } },
        { namespaceSelector: { matchLabels: { tier: "outer" } } },
      ],
    },
  ] as const;

  const exportsUnder = (visibility: MeshInput["serviceEntryVisibility"]) => {
    const model = modelOf(objects.join("\n---"));
    model.inputs.setMesh({ ...(visibility && { serviceEntryVisibility: visibility }) });
    return ["shop/all", "shop/named", "shop/others", "shop/nobody", "lab/hidden", "bank/free"].map((key) =>
      model.services.service.get(`${key}.test`)?.exportTo.join(),
    );
  };
  const asWritten = ["*", "shop,bank", "bank", "~", "*", "*"];

  it("takes away what the first policy for the namespace, else the default, does not allow", () => {
    const visibility = { applyToSidecars: true, defaultVisibility: "NAMESPACE", policies } as const;
    expect(exportsUnder(visibility)).toEqual([".", ".", "~", "~", "~", "*"]);
  });

  it("lets everything be where it says nothing of visibility", () => {
    expect(exportsUnder({ applyToSidecars: true })).toEqual(asWritten);
    expect(exportsUnder({ applyToSidecars: true, defaultVisibility: "NONE", policies: [{}] })).toEqual(asWritten);
  });

  it("is not for sidecars unless it says so", () => {
    expect(exportsUnder({ defaultVisibility: "NONE", policies })).toEqual(asWritten);
  });
});
