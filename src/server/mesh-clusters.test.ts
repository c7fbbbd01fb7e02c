import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import type { ResourceObject } from "#api/meta.ts";
import { openSqliteStore } from "#store/sqlite.ts";
import { meshClusters } from "./mesh-clusters.ts";

/** An API of a cluster that has the namespace `shop` alone. */
async function cluster(socket: string): Promise<AsyncDisposable> {
  const api = createServer((request, response) => {
    const found = request.url === "/api/v1/namespaces/shop";
    const body = found ? { metadata: { name: "shop" } } : { kind: "Status", reason: "NotFound", code: 404 };
    response.writeHead(found ? 200 : 404, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => api.listen(socket, resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      api.closeAllConnections();
      await new Promise((resolve) => api.close(resolve));
    },
  };
}

test("the clusters of a mesh are those told of, joined by a Cluster, and joined by a remote secret", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-mesh-clusters-"));
  using cleanup = new DisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "store.db");
  await using store = await openSqliteStore({ path, clock: systemClock, logger: silentLogger });
  const put = async (resource: string, namespace: string, metadata: object, more: object): Promise<void> => {
    const { name } = metadata as { readonly name: string };
    const object = { apiVersion: "v1", kind: "X", metadata, ...more } as unknown as ResourceObject;
    await store.put({ partition: "mesh", resource, namespace, name }, object, { kind: "absent" });
  };
  const url = (name: string): string => `unix://${join(folder, name)}`;
  const clusters = "clusters.mesh.weft.dev";
  await put(clusters, "", { name: "joined" }, { spec: { server: url("joined") } });
  const kubeconfigSecret = { namespace: "istio-system", name: "not-there" };
  await put(clusters, "", { name: "joining" }, { spec: { kubeconfigSecret } });
  const labels = { "istio/multiCluster": "true" };
  await put(
    "secrets",
    "istio-system",
    { name: "remote", namespace: "istio-system", labels },
    { data: { remote: "bm9uZQ==" } },
  );
  await put("secrets", "istio-system", { name: "other" }, { data: { other: "" } });
  await using _joined = await cluster(join(folder, "joined"));
  await using _told = await cluster(join(folder, "told"));
  const told = [{ name: "told", server: { url: url("told") } }];
  const found = await meshClusters({ store, told, clock: systemClock });
  const states = await Promise.all(
    found.map(async (each) => {
      const states = ["shop", "bank"].map(async (name) => each.namespace(name).catch((error: Error) => error.message));
      return [each.name, ...(await Promise.all(states))];
    }),
  );
  expect(states).toEqual([
    ["told", "active", "absent"],
    ["joined", "active", "absent"],
    ["joining", "it is not known how joining is reached", "it is not known how joining is reached"],
    ["remote", expect.stringContaining("istio-system/remote"), expect.stringContaining("istio-system/remote")],
  ]);
});
