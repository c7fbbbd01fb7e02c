import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { kindOfObject } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { untranslatedKinds } from "#api/untranslated.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

const folders = ["src/api/istio/testdata/examples", "src/api/gateway-api/testdata/examples"];

/** The examples of the kinds that are not translated. */
const examples = folders
  .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
  .flatMap((file) => parseAllDocuments(readFileSync(file, "utf8")))
  .map((document) => document.toJS() as ResourceObject)
  .filter((object) => untranslatedKinds.includes(kindOfObject(object)!));

interface Said {
  readonly conditions?: readonly { readonly reason: string }[];
}

/** The conditions of an object's status, those for its parents and ancestors included. */
function conditionsOf(object: ResourceObject): readonly { readonly reason: string }[] {
  const status = (object["status"] ?? {}) as Said & { parents?: readonly Said[]; ancestors?: readonly Said[] };
  const all = [status, ...(status.parents ?? []), ...(status.ancestors ?? [])];
  return all.flatMap(({ conditions = [] }) => conditions);
}

test("objects of kinds that are not translated yet say so in their status", { timeout: 60_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "weft-untranslated-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const server = stack.use(await startTestServer());
  const connection = stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock }));
  const client = new Client(connection);
  for (const name of new Set(examples.flatMap(({ metadata }) => metadata.namespace ?? []))) {
    await createNamespace(server, "mesh", name);
  }
  stack.use(startDiscovery(server, directory));
  expect(new Set(examples.map(kindOfObject)).size).toBe(untranslatedKinds.length);
  for (const object of examples) {
    const kind = kindOfObject(object)!;
    const collection = client.of(kind);
    await collection.create(object);
    if (!kind.status) continue;
    const conditions = await eventually(`${object.kind} ${object.metadata.name} says it`, async () => {
      const found = conditionsOf(await collection.get(object.metadata));
      return found.some(({ reason }) => reason === "NotImplemented") && found;
    });
    expect(conditions).toContainEqual(
      expect.objectContaining({
        type: "Accepted",
        reason: "NotImplemented",
        message: expect.stringContaining(`of the kind ${object.kind} are stored`) as string,
      }),
    );
  }
});
