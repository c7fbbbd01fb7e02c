/** What workloads get for names: the table that the control plane makes, asked over DNS. */
import { Resolver } from "node:dns/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "#base/free-port.ts";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { DnsServer } from "#agent/dns/server.ts";
import { LookupTable } from "#agent/dns/table.ts";
import { Engine } from "#incremental/engine.ts";
import { createModel } from "#model/model.ts";
import { NameTableSchema } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import { serveInside } from "#runtime/namespace-socket.ts";
import { resourcesOf } from "#translate/proxy-resources.ts";
import { createTranslator } from "#translate/translator.ts";
import { podText, serviceText } from "./kubernetes.ts";
import { objectsOf } from "./objects.ts";

/** Backends' names are addresses here. */
const addressed = (yaml: string): string => yaml.replaceAll('"@', '"');

const db = {
  name: "db",
  address: "None",
  ports: [{ name: "tcp", port: 5432 }],
  spec: { publishNotReadyAddresses: true },
};

const east = [
  podText({ name: "db-0", at: "10.1.0.1", subdomain: "db" }),
  podText({ name: "db-1", at: "10.1.0.2", hostname: "primary", subdomain: "db", ready: false }),
  serviceText({
    ...db,
    endpoints: [
      { at: "10.1.0.1", pod: "db-0" },
      { at: "10.1.0.2", pod: "db-1", ready: false },
    ],
  }),
  podText({ name: "away", at: "10.1.0.9", labels: { "topology.istio.io/network": "other" }, subdomain: "cache" }),
  serviceText({
    name: "cache",
    address: "None",
    endpoints: [{ at: "10.1.0.3" }, { at: "10.1.0.4", ready: false }, { at: "10.1.0.9", pod: "away" }],
  }),
  serviceText({ name: "web", address: "10.110.0.1", endpoints: [] }),
  serviceText({ name: "vault", namespace: "bank", address: "10.110.0.2", endpoints: [] }),
  serviceText({
    name: "hidden",
    namespace: "bank",
    address: "10.110.0.3",
    endpoints: [],
    annotations: { "networking.istio.io/exportTo": "." },
  }),
  JSON.stringify({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "nickname" },
    spec: { type: "ExternalName", externalName: "vault.bank.svc.cluster.local" },
  }),
];

const west = [
  podText({ name: "db-0", at: "10.2.0.1", subdomain: "db" }),
  podText({ name: "db-2", at: "10.2.0.2", subdomain: "db" }),
  serviceText({
    ...db,
    endpoints: [
      { at: "10.2.0.1", pod: "db-0" },
      { at: "10.2.0.2", pod: "db-2" },
    ],
  }),
  serviceText({ name: "web", address: "10.120.0.1", endpoints: [] }),
];

const own = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wild }
spec: { hosts: ["*.wild.test"], addresses: [10.130.0.1], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: NONE }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: given }
spec: { hosts: [given.test], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS }
status: { addresses: [{ host: given.test, value: 240.240.0.1 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ranged }
spec: { hosts: [ranged.test], addresses: [10.131.0.0/16, 10.130.0.2, 10.130.0.3], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: NONE }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: strict }
spec: { egress: [{ hosts: [shop/web.shop.svc.cluster.local] }] }`;

const engine = new Engine();
const model = createModel(engine);
const translator = createTranslator(engine, model);
const servers = new AsyncDisposableStack();
const asked: string[] = [];

/** A name server for a workload of a namespace and cluster. */
async function resolverIn(namespace: string, cluster: string): Promise<Resolver> {
  const id = `sidecar~10.9.9.9~caller.${namespace}~${namespace}.svc.cluster.local`;
  const metadata = { NAMESPACE: namespace, CLUSTER_ID: cluster, NETWORK: "main" };
  const node = { id, metadata, locality: { region: "", zone: "", subzone: "" } };
  const [resource] = resourcesOf(translator, node).nameTable.values();
  const names = resource && anyUnpack(fromBinary(AnySchema, resource.any), NameTableSchema);
  if (!names) throw new Error("the workload has no names");
  const port = await freePort();
  const forward = (query: Uint8Array): Promise<undefined> => {
    asked.push(Buffer.from(query).toString("latin1"));
    return Promise.resolve(undefined);
  };
  const server = new DnsServer(await serveInside("/proc/self/ns/net", { host: "127.0.0.1", port }), { forward });
  servers.use(server);
  server.setTable(new LookupTable(names.table, { namespace, clusterDomain: "cluster.local" }));
  const resolver = new Resolver({ timeout: 5000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return resolver;
}

let shop: Resolver;
let far: Resolver;
let strict: Resolver;

beforeAll(async () => {
  engine.change(() => {
    for (const cluster of ["east", "west"]) model.inputs.putCluster(cluster, "main");
    const put = (texts: readonly string[], cluster: string): void => {
      for (const object of objectsOf(addressed(texts.join("\n---\n")))) model.inputs.put(object, cluster);
    };
    put(east, "east");
    put(west, "west");
    put([own], "");
  });
  [shop, far, strict] = await Promise.all([
    resolverIn("shop", "east"),
    resolverIn("shop", "west"),
    resolverIn("strict", "east"),
  ]);
});

afterAll(async () => {
  await servers.disposeAsync();
});

/** The addresses of a name, sorted, or why there are none. */
async function addresses(resolver: Resolver, name: string): Promise<readonly string[] | string> {
  try {
    return (await resolver.resolve4(name)).toSorted();
  } catch (fault) {
    return (fault as { readonly code: string }).code;
  }
}

describe("Services", () => {
  test.each(["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "WEB.Shop"])(
    "have their address by every form of their name: %s",
    async (name) => {
      expect(await addresses(shop, name)).toEqual(["10.110.0.1"]);
    },
  );

  test("have in each cluster the address of that cluster", async () => {
    expect(await addresses(far, "web")).toEqual(["10.120.0.1"]);
  });

  test("of other namespaces have no short name, and none at all where they are not exported", async () => {
    expect(await addresses(shop, "vault.bank")).toEqual(["10.110.0.2"]);
    expect(await addresses(shop, "vault.shop.svc.cluster.local")).toBe("ENOTFOUND");
    expect(await addresses(shop, "hidden.bank.svc.cluster.local")).toBe("ENOTFOUND");
  });

  test("that a Sidecar does not let in have no names", async () => {
    expect(await addresses(strict, "web.shop")).toEqual(["10.110.0.1"]);
    expect(await addresses(strict, "vault.bank.svc.cluster.local")).toBe("ENOTFOUND");
  });

  test("that are other names of services have the addresses of those", async () => {
    expect(await addresses(shop, "nickname")).toEqual(["10.110.0.2"]);
  });
});

describe("headless Services", () => {
  test("have the addresses of their ready endpoints of the caller's network", async () => {
    expect(await addresses(shop, "cache")).toEqual(["10.1.0.3"]);
  });

  test("have those of all clusters, also those that are not ready where the Service says so", async () => {
    expect(await addresses(shop, "db")).toEqual(["10.1.0.1", "10.1.0.2", "10.2.0.1", "10.2.0.2"]);
  });

  test("give Pods names, which mean those of the caller's cluster first", async () => {
    expect(await addresses(shop, "db-0.db")).toEqual(["10.1.0.1"]);
    expect(await addresses(far, "db-0.db.shop.svc.cluster.local")).toEqual(["10.2.0.1"]);
    expect(await addresses(shop, "db-2.db")).toEqual(["10.2.0.2"]);
    expect(await addresses(shop, "primary.db")).toEqual(["10.1.0.2"]);
    expect(await addresses(shop, "away.cache.shop.svc.cluster.local")).toBe("ENOTFOUND");
  });
});

describe("ServiceEntries", () => {
  test("have the addresses that they say, less networks, or that they were given", async () => {
    expect(await addresses(shop, "ranged.test")).toEqual(["10.130.0.2", "10.130.0.3"]);
    expect(await addresses(shop, "given.test")).toEqual(["240.240.0.1"]);
  });

  test("with a wildcard have every name below it", async () => {
    expect(await addresses(shop, "a.wild.test")).toEqual(["10.130.0.1"]);
    expect(await addresses(shop, "a.b.wild.test")).toEqual(["10.130.0.1"]);
  });

  test("are found through the search domain that resolvers try first", async () => {
    expect(await addresses(shop, "given.test.shop.svc.cluster.local")).toEqual(["240.240.0.1"]);
  });
});

describe("questions", () => {
  test("for IPv6 addresses of what has none are answered with none", async () => {
    await expect(shop.resolve6("web")).rejects.toMatchObject({ code: "ENODATA" });
    await expect(shop.resolve6("given.test")).rejects.toMatchObject({ code: "ENODATA" });
  });

  test("for other names and other records go to the host's name servers", async () => {
    asked.length = 0;
    expect(await addresses(shop, "elsewhere.test")).toBe("ESERVFAIL");
    await expect(shop.resolveMx("given.test")).rejects.toMatchObject({ code: "ESERVFAIL" });
    expect(asked).toHaveLength(2);
  });
});
