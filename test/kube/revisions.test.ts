import { expect, test } from "vitest";
import { serviceEntry } from "#api/istio/service-entry.ts";
import type { ResourceObject } from "#api/meta.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { createModel } from "#model/model.ts";
import { eventually } from "../support/eventually.ts";
import { Intake } from "#sources/intake.ts";
import { followMesh } from "#sources/mesh.ts";

const logger = silentLogger;

test("Istio's objects that istio.io/rev binds to another revision are not there, also once they are bound", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestServer());
  await createNamespace(server, "mesh", "shop");
  const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  const entries = client.of(serviceEntry);
  const write = async (name: string, labels: Readonly<Record<string, string>>): Promise<unknown> =>
    entries.create({ metadata: { namespace: "shop", name, labels }, spec: { hosts: [`${name}.example`] } });
  await write("any", {});
  await write("mine", { "istio.io/rev": "canary" });
  await write("others", { "istio.io/rev": "default" });
  const engine = new Engine();
  const intake = stack.use(new Intake({ engine, clock: systemClock, logger }));
  const known = new Set<string>();
  const about = (act: (name: string) => void) => (object: ResourceObject) =>
    object.kind === "ServiceEntry" && act(object.metadata.name);
  const audience = { seen: about((name) => known.add(name)), gone: about((name) => known.delete(name)) };
  const stop = new AbortController();
  const context = { intake, clock: systemClock, logger, audience, revision: "canary" };
  const source = followMesh(client, createModel(engine), "default", context, stop.signal);
  stack.defer(async () => {
    stop.abort();
    await source.done;
  });
  await source.synced;
  expect([...known].toSorted()).toEqual(["any", "mine"]);
  const bind = async (name: string, revision: string): Promise<unknown> => {
    const body = { metadata: { labels: { "istio.io/rev": revision } } };
    return entries.patch({ namespace: "shop", name }, { kind: "merge", body });
  };
  await bind("any", "default");
  await bind("others", "canary");
  await eventually("who is bound otherwise comes and goes", () => !known.has("any") && known.has("others"));
  expect([...known].toSorted()).toEqual(["mine", "others"]);
});
