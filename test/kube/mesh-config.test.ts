import { expect, test } from "vitest";
import { configMap } from "#api/kubernetes/config-map.ts";
import { mesh } from "#api/weft/mesh.ts";
import type { Mesh } from "#api/weft/mesh.ts";
import type { ResourceObject } from "#api/meta.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { createModel } from "#model/model.ts";
import { only } from "#model/services.ts";
import { Intake } from "#sources/intake.ts";
import { followMesh } from "#sources/mesh.ts";
import { MeshStatusWriter } from "#status/mesh.ts";
import { eventually } from "../support/eventually.ts";

const name = { namespace: "istio-system", name: "istio" };

test("Istio's ConfigMap is followed live, the Mesh object goes before it, and bad text changes nothing", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestServer());
  const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  await createNamespace(server, "mesh", "istio-system");
  const engine = new Engine();
  const model = createModel(engine);
  const said: unknown[] = [];
  const logger: Logger = { ...silentLogger, error: (_message, fields) => void said.push(fields) };
  const stop = new AbortController();
  const proxies = () => ({ connected: 0, inSync: 0, refusing: 0, misbehaving: 0, clusters: new Map() });
  const status = new MeshStatusWriter({
    client,
    mesh: "default",
    proxies,
    remoteSecrets: () => [],
    authority: () => undefined,
    clock: systemClock,
    logger,
  });
  const took: MeshStatusWriter["took"] = (state) => status.took(state);
  const intake = stack.use(new Intake({ engine, clock: systemClock, logger }));
  const source = followMesh(client, model, "default", { intake, clock: systemClock, logger, took }, stop.signal);
  const writing = status.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await Promise.all([source.done, writing]);
  });
  const accepted = async (words: RegExp): Promise<unknown> =>
    eventually(`the Mesh says ${words}`, async () => {
      const object = await client.of<Mesh>(mesh).find({ name: "default" });
      const condition = object?.status?.conditions?.find(({ type }) => type === "Accepted");
      return words.test(`${condition?.status} ${condition?.reason} ${condition?.message}`);
    });
  await source.synced;
  const becomes = async (mode: string, timeout: string): Promise<unknown> =>
    eventually(`${mode} and ${timeout}`, () => {
      const settings = model.services.mesh.get(only);
      return settings.outboundTrafficPolicy.mode === mode && settings.connectTimeout === timeout;
    });
  const maps = client.of<ResourceObject & { readonly data: Readonly<Record<string, string>> }>(configMap);
  const write = async (text: string): Promise<unknown> =>
    maps.patch(name, { kind: "merge", body: { data: { mesh: text } } });

  await becomes("ALLOW_ANY", "10s");
  await maps.create({
    metadata: name,
    data: { mesh: "outboundTrafficPolicy: { mode: REGISTRY_ONLY }\nconnectTimeout: 2s" },
  });
  await becomes("REGISTRY_ONLY", "2s");
  await client.of<Mesh>(mesh).create({
    metadata: { name: "default" },
    spec: { trustDomain: "cluster.local", connectTimeout: "4s" },
  });
  await becomes("REGISTRY_ONLY", "4s");
  await write("connectTimeout: soon");
  await eventually("what is wrong was said", () => said.length > 0);
  expect(said).toEqual([
    { configMap: "istio-system/istio", problem: expect.stringMatching(/^connectTimeout: /) as string },
  ]);
  await becomes("REGISTRY_ONLY", "4s");
  await accepted(/^False InvalidMeshConfig .*connectTimeout: /);
  await write("outboundTrafficPolicy: { mode: ALLOW_ANY }\ningressClass: own");
  await accepted(/^True NotImplemented .*ingressClass /);
  await becomes("ALLOW_ANY", "4s");
  await write("outboundTrafficPolicy: { mode: REGISTRY_ONLY }");
  await becomes("REGISTRY_ONLY", "4s");
  await maps.delete(name);
  await becomes("ALLOW_ANY", "4s");
});
