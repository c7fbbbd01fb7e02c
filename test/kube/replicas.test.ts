/** Control planes of one mesh side by side: one of them writes what is to be written once, for all of them. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { type Lease, lease } from "#api/kubernetes/lease.ts";
import { type Mesh, mesh } from "#api/weft/mesh.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { typeUrls } from "#proto/encoded.ts";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

test(
  "replicas elect one that writes statuses and gives addresses, and count their proxies together",
  { timeout: 120_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "weft-replicas-"));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const server = stack.use(await startTestServer());
    const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
    for (const name of ["istio-system", "shop"]) await createNamespace(server, "mesh", name);
    await client.of(mesh).create({ metadata: { name: "default" }, spec: {} });
    const replicas = new Map<string, AsyncDisposable>();
    for (const replica of ["a", "b"]) {
      mkdirSync(join(folder, replica));
      replicas.set(
        replica,
        stack.use(startDiscovery(server, join(folder, replica), { replica }, silentLogger, hastyClock(5))),
      );
    }
    for (const [index, replica] of ["a", "b"].entries()) {
      await eventually(
        `replica ${replica} serves`,
        async () => {
          const stream = new DeltaStream({ socketPath: join(folder, replica, "ads.sock") });
          const id = `sidecar~10.0.0.${index + 1}~page-${replica}.shop~shop.svc.cluster.local`;
          stream.ask({ typeUrl: typeUrls.cluster, node: { id, metadata: { NAMESPACE: "shop", CLUSTER_ID: "east" } } });
          const answered = await eventually(
            "it answers",
            () => stream.responses.length > 0 || stream.ended !== undefined,
          );
          if (!answered || stream.ended) return false;
          const { nonce } = stream.responses[0]!;
          stream.ask({ typeUrl: typeUrls.cluster, responseNonce: nonce });
          stack.use(stream);
          return true;
        },
        60_000,
      );
    }
    const ready = async (): Promise<string> => {
      const { status } = await client.of<Mesh>(mesh).get({ name: "default" });
      return status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "";
    };
    const leases = client.of<Lease>(lease);
    const holder = async (): Promise<string> =>
      (await leases.find({ namespace: "istio-system", name: "weft-discovery" }))?.spec.holderIdentity ?? "";
    await eventually(
      "both replicas' proxies are counted",
      async () => (await ready()) === "2 proxies connected, 2 in sync",
      60_000,
    );
    const first = await holder();
    expect(["a", "b"]).toContain(first);

    const makeEntry = async (name: string): Promise<void> => {
      await client.of(serviceEntry).create({
        metadata: { namespace: "shop", name },
        spec: {
          hosts: [`${name}.example.com`],
          ports: [{ name: "tcp", number: 9000, protocol: "TCP" }],
          resolution: "DNS",
        },
      });
      await eventually(
        `${name} has an address`,
        async () => {
          const { status } = (await client.of(serviceEntry).get({ namespace: "shop", name })) as {
            status?: { addresses?: unknown[] };
          };
          return status?.addresses?.length === 1;
        },
        60_000,
      );
    };
    await makeEntry("one");

    await replicas.get(first)![Symbol.asyncDispose]();
    const second = first === "a" ? "b" : "a";
    await eventually("the other replica leads", async () => (await holder()) === second, 60_000);
    await makeEntry("two");
    await eventually(
      "its proxies alone are counted",
      async () => (await ready()).startsWith("1 proxy connected"),
      60_000,
    );
    const own = (await leases.list({ namespace: "istio-system" })).items.map(({ metadata }) => metadata.name);
    expect(own.toSorted()).toEqual(["weft-discovery", `weft-discovery-${second}`]);
  },
);
