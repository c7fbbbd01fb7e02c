import { expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { revisionsData, revisionsName, revisionsNamespace } from "#api/weft/revisions.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { RevisionTablePublisher } from "#controllers/revisions/table-publisher.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";

test("a member is told which revision of a managed mesh serves whom, by each of them, and nothing of what is over", async () => {
  await using stack = new AsyncDisposableStack();
  const open = async (): Promise<Client> => {
    const server = stack.use(await startTestServer());
    await createNamespace(server, "mesh", revisionsNamespace);
    return new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock })));
  };
  const [mesh, member] = [await open(), await open()];
  const place = { namespace: revisionsNamespace, name: revisionsName };
  const addresses = { "0-1-0": "10.0.0.1:20001", "0-2-0": "10.0.0.1:20002" };
  const table = { stable: "0-1-0", canary: "0-2-0", percentage: 20, addresses };
  await mesh.of<ConfigMap>(configMap).create({ metadata: place, data: revisionsData(table) });
  const stop = new AbortController();
  const running = ["0-1-0", "0-2-0"].map(async () => {
    const publisher = new RevisionTablePublisher({ client: mesh, clock, logger });
    await Promise.all([publisher.run(stop.signal), publisher.follow("east", member, stop.signal)]);
  });
  stack.defer(async () => {
    stop.abort();
    await Promise.all(running);
  });
  const told = async (): Promise<unknown> => (await member.of<ConfigMap>(configMap).find(place))?.data;
  const tells = async (what: string, data: object): Promise<void> => {
    await eventually(what, async () => {
      expect(await told()).toEqual(data);
      return true;
    });
  };
  await tells("the member is told of the canary", revisionsData(table));
  const over = revisionsData({ stable: "0-2-0", percentage: 0, addresses: { "0-2-0": addresses["0-2-0"] } });
  const body = { data: { ...over, canary: null } };
  await mesh.of<ConfigMap>(configMap).patch(place, { kind: "merge", body });
  await tells("the member is told that it is over", over);
});
