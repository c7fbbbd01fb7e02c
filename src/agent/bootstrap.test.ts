import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bootstrap } from "./bootstrap.ts";
import { workloadOf } from "#api/kubernetes/workload.ts";
import { proxyNode } from "./node-metadata.ts";
import { containerOf, podOf } from "./testing/pods.ts";

const agent = {
  cluster: "east",
  node: "east-1",
  region: "east",
  zone: "east-1",
  network: "",
  clusterDomain: "cluster.local",
  meshId: "cluster.local",
  envoy: { program: "/unused", concurrency: 2 },
};

const sidecar = proxyNode({ pod: podOf(), role: "sidecar", address: "10.10.0.5", agent });
const gatewayPod = podOf(
  { name: "ingress-abc", namespace: "istio-system", labels: { istio: "ingressgateway" }, ownerReferences: [] },
  { containers: [containerOf({ name: "istio-proxy", image: "auto" })] },
);
const gateway = proxyNode({ pod: gatewayPod, role: "gateway", address: "10.10.0.6", agent });

const folder = mkdtempSync(join(tmpdir(), "weft-bootstrap-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Compares with a file of `testdata`; with `WEFT_GOLDEN=write` in the environment it is written first. */
function golden(file: string, value: unknown): void {
  const path = join(import.meta.dirname, "testdata", file);
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  if (process.env["WEFT_GOLDEN"] === "write") writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, "utf8"));
}

/** What a part of a bootstrap must have for this test to say something. */
interface OwnListener {
  readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } };
  readonly filter_chains: readonly {
    readonly filters: readonly {
      readonly typed_config: {
        readonly route_config: {
          readonly virtual_hosts: readonly {
            readonly routes: readonly { readonly match: object; readonly route: { readonly prefix_rewrite: string } }[];
          }[];
        };
      };
    }[];
  }[];
}

it.each([
  ["sidecar", sidecar],
  ["gateway", gateway],
])("a %s shows others its health and its metrics, and its administration to its own Pod alone", (_role, node) => {
  const { admin, static_resources: own } = bootstrap({ node, xdsSocket: "/run/xds.sock" }) as unknown as {
    readonly admin: Pick<OwnListener, "address">;
    readonly static_resources: { readonly listeners: readonly OwnListener[] };
  };
  expect(admin.address.socket_address).toEqual({ address: "127.0.0.1", port_value: 15_000 });
  const [metrics, ready] = ["/stats/prometheus", "/healthz/ready => /ready"];
  const shown = own.listeners.map(({ address, filter_chains: chains }) => {
    const filters = chains.flatMap((chain) => chain.filters);
    const hosts = filters.flatMap(({ typed_config: config }) => config.route_config.virtual_hosts);
    const routes = hosts.flatMap((host) => host.routes);
    const paths = routes.map(({ match, route }) => [Object.values(match)[0], route.prefix_rewrite] as const);
    return [address.socket_address.port_value, paths.map(([from, to]) => (from === to ? to : `${from} => ${to}`))];
  });
  expect(shown).toEqual([
    [15_090, [metrics]],
    [15_021, [ready]],
    [15_020, [metrics, ready]],
  ]);
});

describe("a proxy's bootstrap (golden)", () => {
  it("of a sidecar is as written down, and a real Envoy takes it", () => {
    const made = bootstrap({ node: sidecar, xdsSocket: "/run/weft/xds.sock" });
    golden("sidecar-bootstrap.json", made);
    const file = join(folder, "sidecar.json");
    writeFileSync(file, JSON.stringify(made));
    const envoy = execFileSync(process.execPath, ["setup/program.ts", "envoy"], { encoding: "utf8" }).trim();
    const out = execFileSync(envoy, ["--mode", "validate", "-c", file, "--disable-hot-restart", "-l", "warning"], {
      encoding: "utf8",
    });
    expect(out).toContain("OK");
  });

  it("of a gateway differs in its node alone", () => {
    const made = bootstrap({ node: gateway, xdsSocket: "/run/weft/xds.sock" });
    golden("gateway-node.json", gateway);
    expect(made).toEqual({ ...bootstrap({ node: sidecar, xdsSocket: "/run/weft/xds.sock" }), node: gateway });
  });
});

describe("a proxy whose agent serves secrets", () => {
  const identity = { ca: "", trustDomain: "cluster.local", ttlMs: 1 };
  const node = proxyNode({ pod: podOf(), role: "sidecar", address: "10.10.0.5", agent: { ...agent, identity } });

  it("says so, and has the cluster by which configuration asks for them", () => {
    expect(node.metadata["WEFT_SDS"]).toBe("true");
    const { static_resources: made } = bootstrap({ node, xdsSocket: "/run/weft/xds.sock" }) as unknown as {
      readonly static_resources: { readonly clusters: readonly { readonly name: string }[] };
    };
    const found = made.clusters.find(({ name }) => name === "sds-grpc");
    expect(JSON.stringify(found)).toContain('"pipe":{"path":"/run/weft/xds.sock"}');
    expect(sidecar.metadata).not.toHaveProperty("WEFT_SDS");
    expect(JSON.stringify(bootstrap({ node: sidecar, xdsSocket: "" }))).not.toContain("sds-grpc");
  });
});

function ownedBy(kind: string, name: string) {
  return podOf({ ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: "u", controller: true }] });
}

describe("what a proxy says of itself", () => {
  it("is what Istio's agent says", () => {
    expect(sidecar.id).toBe("sidecar~10.10.0.5~reviews-v1-5f9c7-x2k4p.shop~shop.svc.cluster.local");
    expect(sidecar.cluster).toBe("reviews.shop");
    expect(sidecar.metadata).toMatchObject({
      CLUSTER_ID: "east",
      NAMESPACE: "shop",
      INSTANCE_IPS: "10.10.0.5",
      WORKLOAD_NAME: "reviews-v1",
      OWNER: "kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews-v1",
      SERVICE_ACCOUNT: "reviews",
      POD_PORTS: '[{"name":"http","containerPort":9080,"protocol":"TCP"}]',
    });
    expect(sidecar.metadata["LABELS"]).toMatchObject({
      app: "reviews",
      "service.istio.io/canonical-name": "reviews",
      "service.istio.io/canonical-revision": "v1",
    });
    expect(gateway.id).toBe("router~10.10.0.6~ingress-abc.istio-system~istio-system.svc.cluster.local");
    expect(gateway.metadata["OWNER"]).toBe("kubernetes://apis/v1/namespaces/istio-system/pods/ingress-abc");
  });

  it("names the workload that owns the Pod", () => {
    expect(workloadOf(ownedBy("StatefulSet", "db").metadata)).toMatchObject({ kind: "StatefulSet", name: "db" });
    expect(workloadOf(ownedBy("ReplicaSet", "lonely").metadata)).toMatchObject({ kind: "ReplicaSet", name: "lonely" });
    expect(workloadOf(podOf({ ownerReferences: [] }).metadata)).toMatchObject({
      kind: "Pod",
      name: "reviews-v1-5f9c7-x2k4p",
    });
  });
});
