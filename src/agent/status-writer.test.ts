import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { PodStatus } from "#api/kubernetes/pod-status.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { ObjectMeta } from "#api/meta.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { type PodReport, StatusWriter } from "./status-writer.ts";
import { podOf } from "./testing/pods.ts";

const owned: (() => unknown)[] = [];
afterEach(() => {
  for (const end of owned.splice(0).toReversed()) end();
});

/** An API that answers each request with the next of these; the bodies that it was sent. */
async function serveApi(answers: readonly { readonly status: number; readonly body: object }[]) {
  const root = mkdtempSync(join(tmpdir(), "weft-api-"));
  const bodies: { readonly status?: PodStatus; readonly metadata: Partial<ObjectMeta> }[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = (await json(request)) as (typeof bodies)[number];
    const { status, body } = answers[bodies.length] ?? { status: 500, body: {} };
    bodies.push(sent);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(join(root, "api.sock"));
  await once(server, "listening");
  const connection = new Connection({ url: `unix://${join(root, "api.sock")}` }, { clock });
  owned.push(
    () => rmSync(root, { recursive: true, force: true }),
    () => server.close(),
    () => connection[Symbol.dispose](),
  );
  return { client: new Client(connection), bodies };
}

function startWriter(client: Client, source: () => PodReport): StatusWriter {
  const writer = new StatusWriter(client, { status: source }, clock, logger);
  const end = new AbortController();
  void writer.run(end.signal);
  owned.push(() => end.abort());
  return writer;
}

const conflict = {
  status: 409,
  body: { kind: "Status", status: "Failure", reason: "Conflict", message: "the object has been modified", code: 409 },
};

it("a status that met a conflict is written again without being asked: a Pod that has ended has no later turn", async () => {
  const pod = podOf();
  const { uid } = pod.metadata;
  const status: PodStatus = { phase: "Succeeded" };
  const { client, bodies } = await serveApi([conflict, { status: 200, body: { ...pod, status } }]);
  startWriter(client, () => ({ pod, status })).changed(uid);
  await expect.poll(() => bodies.map((body) => body.status), { timeout: 60_000 }).toEqual([status, status]);
});

it("what another writer made of a status is put right as soon as it is seen", async () => {
  const versioned = (resourceVersion: string, phase: string): Pod => ({
    ...podOf({ resourceVersion }),
    status: { phase },
  });
  const status: PodStatus = { phase: "Running" };
  const { client, bodies } = await serveApi([
    { status: 200, body: versioned("5", "Running") },
    { status: 200, body: versioned("12", "Running") },
  ]);
  let seen = podOf();
  const writer = startWriter(client, () => ({ pod: seen, status }));
  const { uid } = seen.metadata;
  writer.changed(uid);
  await expect.poll(() => bodies.length, { timeout: 60_000 }).toBe(1);
  seen = versioned("11", "Unknown");
  writer.changed(uid);
  await expect.poll(() => bodies.length, { timeout: 60_000 }).toBe(2);
  expect(bodies.map((body) => body.status)).toEqual([status, status]);
});

it("labels that a Pod lacks are there before its status is", async () => {
  const pod = podOf();
  const labels = { "security.istio.io/tlsMode": "istio" };
  const labelled = podOf({ resourceVersion: "5", labels: { ...pod.metadata.labels, ...labels } });
  const status: PodStatus = { phase: "Running" };
  const { client, bodies } = await serveApi([
    { status: 503, body: { kind: "Status", status: "Failure", reason: "ServiceUnavailable", message: "", code: 503 } },
    { status: 200, body: labelled },
    { status: 200, body: { ...labelled, status } },
  ]);
  const writer = startWriter(client, () => ({ pod, status, labels }));
  writer.changed(pod.metadata.uid);
  await expect.poll(() => bodies.length, { timeout: 60_000 }).toBe(3);
  expect(bodies.map((body) => [body.metadata.labels, body.status])).toEqual([
    [labels, undefined],
    [labels, undefined],
    [undefined, status],
  ]);
  writer.changed(pod.metadata.uid);
  await new Promise((resolve) => {
    setTimeout(resolve, 100);
  });
  expect(bodies).toHaveLength(3);
});
