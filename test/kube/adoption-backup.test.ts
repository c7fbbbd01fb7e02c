/** What a cluster keeps of itself when the mesh takes its objects over. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { type Backup, BackupPlace } from "#controllers/adoption/backup.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";

const root = "istio-system";

/** An object that does not get smaller by packing. */
function large(name: string): ResourceObject {
  const metadata = { name, namespace: "shop" } as ResourceObject["metadata"];
  const spec = { text: randomBytes(400_000).toString("base64") };
  return { apiVersion: "networking.istio.io/v1", kind: "EnvoyFilter", metadata, spec };
}

test("a backup of many parts is read as it was written, and not when a part is missing or changed", async () => {
  await using server = await startTestServer();
  using connection = new Connection({ url: server.url("east") }, { clock: systemClock });
  const client = new Client(connection);
  await client.of(namespaceKind).create({ metadata: { name: root } });
  const place = new BackupPlace(client);
  await expect(place.read()).rejects.toMatchObject({ code: "NotFound" });
  const objects = Array.from({ length: 4 }, (_, at) => large(`o-${at}`));
  const backup: Backup = { cluster: "east", time: "2026-01-01T00:00:00Z", definitions: [], objects, replaced: [] };
  await place.write(backup);
  expect(await place.read()).toEqual(backup);
  expect(await place.exists()).toBe(true);
  const maps = client.of<ConfigMap>(configMap);
  const part = { namespace: root, name: "weft-adopted-1" };
  expect((await maps.list({ namespace: root })).items.length).toBeGreaterThan(2);
  const { data } = await maps.get(part);
  await maps.patch(part, { kind: "merge", body: { data: { part: `${data?.["part"]?.slice(1)}A` } } });
  await expect(place.read()).rejects.toMatchObject({ code: "FailedPrecondition" });
  await maps.delete(part);
  await expect(place.read()).rejects.toThrow("is not whole");
  await place.remove();
  expect(await place.exists()).toBe(false);
});

test("a backup whose writing was cut off is none, and is written anew", async () => {
  await using server = await startTestServer();
  using connection = new Connection({ url: server.url("east") }, { clock: systemClock });
  const client = new Client(connection);
  await client.of(namespaceKind).create({ metadata: { name: root } });
  const place = new BackupPlace(client);
  const backup: Backup = {
    cluster: "east",
    time: "2026-01-01T00:00:00Z",
    definitions: [],
    objects: [large("a"), large("b")],
    replaced: [],
  };
  const name = "weft-adopted-0";
  await client
    .of<ConfigMap>(configMap)
    .create({ metadata: { namespace: root, name, labels: { "mesh.weft.dev/adopted": "true" } }, data: { part: "x" } });
  expect(await place.exists()).toBe(false);
  await place.write(backup);
  expect(await place.exists()).toBe(true);
  expect(await place.read()).toEqual(backup);
});
