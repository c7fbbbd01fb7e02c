/** The control plane keeps the objects of members the same whose `Cluster` says so, and no longer. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { configMap } from "#api/kubernetes/config-map.ts";
import { type Lease, lease } from "#api/kubernetes/lease.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { eventually } from "../support/eventually.ts";
import { Worlds, authority, root } from "./crd-sync-world.ts";
import { startDiscovery } from "./discovery.ts";

const name = "serviceentries.networking.istio.io";
const definition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name, uid: "first", resourceVersion: "1" },
  spec: { versions: [{ name: "v1", served: true }] },
  status: { conditions: [{ type: "Established", status: "True" }] },
};

test(
  "a member is kept the same while its Cluster says so, in one control plane of two",
  { timeout: 120_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "weft-crd-sync-"));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const { mesh, member } = await Worlds.start(stack);
    for (const world of [mesh, member]) await world.makeNamespace("shop");
    // Behind its front it is a cluster, with Nodes and Pods.
    member.front.target = member.server.url("east");
    await createNamespace(member.server, "east", "shop");
    member.front.own.set(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`, definition);
    const { url, token } = member.front;
    const server = { url, token, ca: authority.certificate };
    const kubeconfig = join(folder, "east");
    writeFileSync(kubeconfig, formatKubeconfig([{ name: "e", cluster: "e", user: "e", namespace: "default", server }]));
    const clusters = mesh.client.of<Cluster>(clusterKind);
    await clusters.create({ metadata: { name: "east" }, spec: { server: url } });
    await mesh.make("a", "one");
    for (const replica of ["a", "b"]) {
      const own = mkdtempSync(join(folder, "replica-"));
      stack.use(startDiscovery(mesh.server, own, { replica, clusterApis: new Map([["east", kubeconfig]]) }));
    }
    await eventually(
      "east is read",
      async () => {
        const { status } = await clusters.get({ name: "east" });
        return status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True");
      },
      60_000,
    );
    expect(await member.words()).toEqual({});
    expect(await mesh.client.of<Lease>(lease).find({ namespace: root, name: "weft-crd-sync" })).toBeUndefined();
    const say = async (istioObjects: "Synced" | "None"): Promise<void> => {
      await clusters.patch({ name: "east" }, { kind: "merge", body: { spec: { istioObjects } } });
    };
    await say("Synced");
    await member.become({ "shop/a": "one" });
    await member.make("b", "two");
    await mesh.become({ "shop/a": "one", "shop/b": "two" });
    const remembered = async (): Promise<number> => {
      const { items } = await mesh.client.of(configMap).list({ namespace: root });
      return items.filter(({ metadata }) => metadata.name.startsWith("weft-sync-east-")).length;
    };
    expect(await remembered()).toBeGreaterThan(0);
    await say("None");
    await eventually("what was agreed on is forgotten", async () => (await remembered()) === 0);
    await member.entries.delete({ namespace: "shop", name: "a" });
    await say("Synced");
    await member.become({ "shop/a": "one", "shop/b": "two" });
  },
);
