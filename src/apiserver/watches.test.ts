import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { configMap, created, createNamespace } from "./testing/objects.ts";
import { startTestServer, type Json, type Lines, type TestServer } from "./testing/server.ts";

/** The machine's clock, whose store intervals also run when the test says so. */
function steppedClock(): { clock: Clock; tick: () => void } {
  const actions = new Set<() => void>();
  const every: Clock["every"] = (_ms, action) => {
    actions.add(action);
    return { [Symbol.dispose]: () => actions.delete(action) };
  };
  return {
    clock: { ...systemClock, every },
    tick() {
      for (const action of actions) action();
    },
  };
}

const { clock, tick } = steppedClock();
const maps = "/api/v1/namespaces/a/configmaps";
const merge = { "Content-Type": "application/merge-patch+json" };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ clock });
  await createNamespace(server, "east", "a");
  await created(server, "east", maps, configMap("first", {}, { labels: { on: "yes" } }));
});
afterAll(() => server[Symbol.asyncDispose]());

async function read(lines: Lines, count: number): Promise<string[]> {
  const events: string[] = [];
  while (events.length < count) events.push(brief(await lines.next()));
  return events;
}

function brief(event: Json): string {
  if (event === undefined) return "end";
  const { type, object } = event;
  return type === "ERROR" ? `ERROR ${object.code}` : `${type} ${object.metadata.name ?? ""}`.trim();
}

function label(name: string, value: string | null): Promise<Json> {
  return server.ask("east", `${maps}/${name}`, {
    method: "PATCH",
    headers: merge,
    body: JSON.stringify({ metadata: { labels: { on: value } } }),
  });
}

describe("watches", () => {
  test("without a version begin with what there is, then follow", async () => {
    using lines = await server.watch("east", `${maps}?watch=1`);
    expect(lines.status).toBe(200);
    expect(await read(lines, 1)).toEqual(["ADDED first"]);
    await created(server, "east", maps, configMap("second"));
    await server.ask("east", `${maps}/second`, { method: "DELETE" });
    const [added, removed] = [await lines.next(), await lines.next()];
    expect([brief(added), brief(removed)]).toEqual(["ADDED second", "DELETED second"]);
    expect(Number(removed.object.metadata.resourceVersion)).toBe(Number(added.object.metadata.resourceVersion) + 1);
  });

  test("from a version see what came after it", async () => {
    const { resourceVersion } = (await server.ask("east", maps)).json.metadata;
    await created(server, "east", maps, configMap("after"));
    using lines = await server.watch("east", `${maps}?watch=1&resourceVersion=${resourceVersion}`);
    expect(await read(lines, 1)).toEqual(["ADDED after"]);
  });

  test("with a selector see objects come and go as they begin and cease to match", async () => {
    await created(server, "east", maps, configMap("shifting"));
    using lines = await server.watch("east", `${maps}?watch=1&labelSelector=on%3Dyes`);
    expect(await read(lines, 1)).toEqual(["ADDED first"]);
    await label("shifting", "yes");
    await label("shifting", "no");
    await label("shifting", "yes");
    await server.ask("east", `${maps}/shifting`, { method: "DELETE" });
    expect(await read(lines, 4)).toEqual(["ADDED shifting", "DELETED shifting", "ADDED shifting", "DELETED shifting"]);
  });

  test("of one object see only that", async () => {
    using lines = await server.watch("east", `${maps}/first?watch=1`);
    expect(await read(lines, 1)).toEqual(["ADDED first"]);
    await created(server, "east", maps, configMap("other"));
    await label("first", "still");
    expect(await read(lines, 1)).toEqual(["MODIFIED first"]);
    await label("first", "yes");
  });

  test("tell when all there was is sent, and bookmarks after it", async () => {
    const query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    using lines = await server.watch("east", `${maps}?${query}&fieldSelector=metadata.name%3Dfirst`);
    expect(await read(lines, 1)).toEqual(["ADDED first"]);
    const end = await lines.next();
    expect(end).toMatchObject({
      type: "BOOKMARK",
      object: { kind: "ConfigMap", metadata: { annotations: { "k8s.io/initial-events-end": "true" } } },
    });
    await created(server, "east", "/api/v1/namespaces", { metadata: { name: "elsewhere" } });
    tick();
    const later = await lines.next();
    expect(later.object.metadata.annotations).toBeUndefined();
    expect(Number(later.object.metadata.resourceVersion)).toBeGreaterThan(Number(end.object.metadata.resourceVersion));
  });

  test("that did not ask for bookmarks get none", async () => {
    const { resourceVersion } = (await server.ask("east", maps)).json.metadata;
    using lines = await server.watch("east", `${maps}?watch=1&resourceVersion=${resourceVersion}`);
    tick();
    await label("first", "maybe");
    expect(await read(lines, 1)).toEqual(["MODIFIED first"]);
    await label("first", "yes");
  });

  test("of a forgotten past get an ERROR event of 410", async () => {
    await label("first", "once more");
    await label("first", "yes");
    await server.store.compact(await server.store.revision());
    using lines = await server.watch("east", `${maps}?watch=1&resourceVersion=2`);
    const event = await lines.next();
    expect(event).toMatchObject({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } });
    expect(brief(await lines.next())).toBe("end");
  });

  test("end after the time that was asked for", async () => {
    using lines = await server.watch("east", `${maps}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone`);
    expect(brief(await lines.next())).toBe("end");
  });

  test("that may last longer than a timer can are not ended at once", async () => {
    using lines = await server.watch(
      "east",
      `${maps}?watch=1&timeoutSeconds=99999999999&fieldSelector=metadata.name%3Dfirst`,
    );
    expect(await read(lines, 1)).toEqual(["ADDED first"]);
    await label("first", "later");
    expect(await read(lines, 1)).toEqual(["MODIFIED first"]);
    await label("first", "yes");
  });

  test("of all there is are refused while that is older than the client wants it", async () => {
    const query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999";
    const { status, json } = await server.ask("east", `${maps}?${query}`);
    expect([status, json.details.causes[0].reason]).toEqual([504, "ResourceVersionTooLarge"]);
  });

  test("can be tables, whose columns come once", async () => {
    const accept = { Accept: "application/json;as=Table;v=v1;g=meta.k8s.io" };
    using lines = await server.watch("east", `${maps}?watch=1&fieldSelector=metadata.name%3Dfirst`, accept);
    const first = await lines.next();
    expect([first.type, first.object.kind, first.object.rows[0].cells[0]]).toEqual(["ADDED", "Table", "first"]);
    expect(first.object.columnDefinitions).toHaveLength(3);
    await label("first", "changed");
    const second = await lines.next();
    expect([second.type, second.object.columnDefinitions]).toEqual(["MODIFIED", []]);
    await label("first", "yes");
  });

  test("of the mesh's kinds see what is written through any endpoint", async () => {
    const path = "/apis/networking.istio.io/v1/namespaces/a/sidecars";
    using lines = await server.watch("west", "/apis/networking.istio.io/v1beta1/sidecars?watch=1");
    await created(server, "east", path, { metadata: { name: "s" }, spec: { egress: [{ hosts: ["./*"] }] } });
    const event = await lines.next();
    expect([brief(event), event.object.apiVersion]).toEqual(["ADDED s", "networking.istio.io/v1beta1"]);
  });
});

test("a reader that does not read is not buffered for: it gets 410 when what it missed is forgotten", async () => {
  await using own = await startTestServer();
  await created(own, "east", "/api/v1/namespaces/default/configmaps", configMap("large"));
  const { resourceVersion } = (await own.ask("east", "/api/v1/configmaps")).json.metadata;
  const url = `${own.url("east")}/api/v1/configmaps?watch=1&resourceVersion=${resourceVersion}`;
  const [response] = (await once(httpRequest(url, { agent: false }).end(), "response")) as [IncomingMessage];
  response.pause();
  // Far more than the sockets' buffers take.
  const changes = 60;
  for (let change = 0; change < changes; change += 1) {
    const body = JSON.stringify({ data: { text: String(change % 10).repeat(500_000) } });
    const path = "/api/v1/namespaces/default/configmaps/large";
    expect((await own.ask("east", path, { method: "PATCH", headers: merge, body })).status).toBe(200);
  }
  await own.store.compact(await own.store.revision());
  const types: string[] = [];
  for await (const line of createInterface({ input: response })) types.push(brief(JSON.parse(line)));
  expect(types.length).toBeLessThan(changes);
  expect(types.at(-1)).toBe("ERROR 410");
});

test("when the server stops, watches end, and requests on the way are answered", async () => {
  await using own = await startTestServer();
  using lines = await own.watch("east", "/api/v1/configmaps?watch=1");
  const body = JSON.stringify(configMap("late"));
  const url = `${own.url("east")}/api/v1/namespaces/default/configmaps`;
  const headers = { "Content-Type": "application/json", "Content-Length": body.length };
  const request = httpRequest(url, { method: "POST", headers, agent: false });
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  request.write(body.slice(0, 10));
  // The watch's first byte came after the request's: the server has begun both.
  await own.ask("east", "/readyz");
  const stopped = own.restart();
  expect(brief(await lines.next())).toBe("end");
  request.end(body.slice(10));
  const [response] = await answered;
  response.resume();
  expect([response.statusCode, response.headers.connection]).toEqual([201, "close"]);
  await stopped;
  expect((await own.ask("east", "/api/v1/namespaces/default/configmaps/late")).json.data).toEqual({ a: "1" });
});
