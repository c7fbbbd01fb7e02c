/** What removed revisions leave in the mesh's API, and what others keep. */
import { expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { answer, testServer } from "#kube/testing/http.ts";
import { forgetRemovedRevisions, installedLabels } from "./removed.ts";

const path = "/api/v1/namespaces/istio-system/configmaps";

/** An API with these ConfigMaps, which tells what was deleted. */
async function apiOf(maps: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const items = Object.entries(maps).map(([name, labels]) => ({
    metadata: { namespace: "istio-system", name, uid: `uid-${name}`, resourceVersion: "7", labels },
  }));
  return testServer(({ method, url }, response) => {
    const wanted = (url.searchParams.get("labelSelector") ?? "").split(",").map((each) => each.split("="));
    const found = items.filter(({ metadata: { labels } }) =>
      wanted.every(([key = "", value]) => (value === undefined ? key in labels : labels[key] === value)),
    );
    answer(response, 200, method === "GET" ? { metadata: { resourceVersion: "9" }, items: found } : {});
  });
}

async function forgotten(installed: readonly string[], told: readonly string[]): Promise<readonly unknown[]> {
  const install = { "mesh.weft.dev/install": "stand-alone" };
  const nameOf = (name: string, revision: string): string => (revision === "default" ? name : `${name}-${revision}`);
  await using own = await apiOf({
    ...Object.fromEntries(
      installed.map((each) => [nameOf("weft-mesh-objects", each), { ...install, "istio.io/rev": each }]),
    ),
    // Of a revision, and no sign that it is installed.
    "weft-revision-old": { ...install, "istio.io/rev": "old" },
  });
  await using mesh = await apiOf({
    ...Object.fromEntries(told.map((each) => [`weft-control-plane-${each}`, installedLabels("one", each)])),
    "weft-control-plane-elsewhere": installedLabels("two", "elsewhere"),
    "weft-control-plane-by-hand": { "istio.io/rev": "by-hand" },
  });
  using ownConnection = new Connection({ url: own.url }, { clock: systemClock });
  using meshConnection = new Connection({ url: mesh.url }, { clock: systemClock });
  const clients = { own: new Client(ownConnection), mesh: new Client(meshConnection) };
  const names = await forgetRemovedRevisions({ ...clients, cluster: "one", revision: "new" });
  const deletions = mesh.requests.filter(({ method }) => method === "DELETE");
  expect(deletions.map(({ url }) => url.pathname)).toEqual(names.map((name) => `${path}/${name}`));
  return deletions.map(({ url, body }) => [url.pathname.slice(path.length + 1), body]);
}

test("what a revision that is installed no more has is removed, unless somebody has written it since", async () => {
  const preconditions = { uid: "uid-weft-control-plane-old", resourceVersion: "7" };
  expect(await forgotten(["new", "default"], ["new", "default", "old"])).toEqual([
    ["weft-control-plane-old", expect.objectContaining({ preconditions })],
  ]);
});

test("nothing is removed by a revision that is not installed itself: the cluster is being cleared, or it is another", async () => {
  expect(await forgotten([], ["new", "old"])).toEqual([]);
  expect(await forgotten(["default"], ["new", "old"])).toEqual([]);
});
