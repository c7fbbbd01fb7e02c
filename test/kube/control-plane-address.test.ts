import { expect, test } from "vitest";
import { configMap } from "#api/kubernetes/config-map.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock as clock } from "#base/clock.ts";
import { injectionOf } from "#cli/cluster/injection.ts";
import { publishControlPlane, readControlPlanes } from "#controllers/reach/published.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";

test("a join is told by the mesh how each revision of the control plane is reached, or what is missing", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestServer());
  await createNamespace(server, "mesh", "istio-system");
  const mesh = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock })));
  const injected = { cluster: "east", network: "main" };
  const asks = { controlPlane: true };

  expect(await injectionOf(injected, asks, mesh)).toEqual({
    lack: expect.stringContaining("start weft discovery with --tls-address") as unknown,
  });
  await publishControlPlane(mesh, { revision: "default", hosts: [], xds: 15_012, webhooks: 15_017 });
  expect(await injectionOf(injected, asks, mesh)).toEqual({
    lack: expect.stringContaining("--members-host to weft discovery") as unknown,
  });
  const given = await injectionOf(injected, { ...asks, controlPlaneHost: ["10.0.0.9"] }, mesh);
  expect(given).toMatchObject({ to: "10.0.0.9:15012", revisions: ["default"] });
  expect(await injectionOf(injected, { ...asks, controlPlane: false }, mesh)).toBeUndefined();

  const first = { revision: "default", hosts: ["10.0.0.5", "10.0.0.6"], xds: 15_012 };
  const second = { revision: "1-1", hosts: ["10.0.0.5"], xds: 31_012, webhooks: 31_017 };
  await publishControlPlane(mesh, first);
  await publishControlPlane(mesh, second);
  // Somebody else's ConfigMaps, and what cannot be read, say nothing.
  await mesh.of(configMap).create({
    metadata: {
      namespace: "istio-system",
      name: "weft-control-plane-odd",
      labels: { "mesh.weft.dev/control-plane-address": "true" },
    },
    data: { revision: "odd", xds: "no port" },
  });
  expect(new Set(await readControlPlanes(mesh))).toEqual(new Set([first, second]));
  const injection = await injectionOf(injected, asks, mesh);
  if (!injection || !("objects" in injection)) throw new Error("nothing has Pods injected");
  expect(injection.revisions).toEqual(["1-1"]);
  expect(injection.objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted()).toEqual([
    "EndpointSlice istiod-1-1-ipv4",
    "EndpointSlice istiod-ipv4",
    "MutatingWebhookConfiguration istio-sidecar-injector-1-1",
    "Service istiod",
    "Service istiod-1-1",
  ]);
  const webhooks = injection.objects.find(({ kind }) => kind === "MutatingWebhookConfiguration");
  expect(webhooks).toMatchObject({
    metadata: { labels: { "istio.io/rev": "1-1", "app.kubernetes.io/component": "control-plane" } },
    webhooks: expect.arrayContaining([
      expect.objectContaining({
        clientConfig: {
          service: { namespace: "istio-system", name: "istiod-1-1", port: 443, path: "/inject/cluster/east/net/main" },
        },
      }),
    ]) as unknown,
  });
});
