import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { Client } from "./client.ts";
import type { KindClient, KindRef } from "./client.ts";
import { Connection } from "./connection.ts";
import { answer, testServer } from "./testing/http.ts";
import type { TestServer } from "./testing/http.ts";
import { MemoryApi, widgetKind } from "./testing/memory-api.ts";
import type { Widget } from "./testing/memory-api.ts";

const nodeKind: KindRef = { group: "", versions: [{ name: "v1" }], kind: "Node", plural: "nodes", namespaced: false };

describe("requests", () => {
  let server: TestServer;
  let client: Client;
  let widgets: KindClient<Widget>;
  beforeEach(async () => {
    server = await testServer((_, response) => answer(response, 200, { metadata: { name: "w" } }));
    client = new Client(new Connection({ url: server.url }, { clock: systemClock }));
    widgets = client.of<Widget>(widgetKind);
  });
  afterEach(async () => {
    client.connection[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });

  const at = { namespace: "shop", name: "w" };
  const root = "/apis/test.weft.dev/v1/namespaces/shop/widgets";
  const object = { metadata: { ...at, resourceVersion: "7" }, spec: { size: 1 } } as Widget;
  const typed = { ...object, apiVersion: "test.weft.dev/v1", kind: "Widget" };

  test.each<[string, () => Promise<unknown>, string, string, unknown, string?]>([
    ["get", async () => widgets.get(at), "GET", `${root}/w`, undefined],
    [
      "get of a cluster-wide kind",
      async () => client.of(nodeKind).get({ name: "n/1" }),
      "GET",
      "/api/v1/nodes/n%2F1",
      undefined,
    ],
    [
      "create",
      async () =>
        widgets.create({ metadata: { namespace: "shop", generateName: "w-" }, spec: { size: 2 } }, { dryRun: true }),
      "POST",
      `${root}?dryRun=All`,
      {
        apiVersion: "test.weft.dev/v1",
        kind: "Widget",
        metadata: { namespace: "shop", generateName: "w-" },
        spec: { size: 2 },
      },
      "application/json",
    ],
    ["replace", async () => widgets.replace(object), "PUT", `${root}/w`, typed, "application/json"],
    ["replace status", async () => widgets.replaceStatus(object), "PUT", `${root}/w/status`, typed, "application/json"],
    [
      "merge patch of the status",
      async () => widgets.patch(at, { kind: "merge", body: { status: { a: 1 } } }, { subresource: "status" }),
      "PATCH",
      `${root}/w/status`,
      { status: { a: 1 } },
      "application/merge-patch+json",
    ],
    [
      "JSON patch",
      async () => widgets.patch(at, { kind: "json", body: [{ op: "remove", path: "/spec" }] }),
      "PATCH",
      `${root}/w`,
      [{ op: "remove", path: "/spec" }],
      "application/json-patch+json",
    ],
    [
      "delete",
      async () => widgets.delete(at, { uid: "u", resourceVersion: "7", propagation: "Orphan", gracePeriodSeconds: 0 }),
      "DELETE",
      `${root}/w`,
      {
        apiVersion: "v1",
        kind: "DeleteOptions",
        preconditions: { uid: "u", resourceVersion: "7" },
        propagationPolicy: "Orphan",
        gracePeriodSeconds: 0,
      },
      "application/json",
    ],
    ["scale", async () => widgets.scale(at), "GET", `${root}/w/scale`, undefined],
    [
      "set scale",
      async () => widgets.setScale(at, 3),
      "PATCH",
      `${root}/w/scale`,
      { spec: { replicas: 3 } },
      "application/merge-patch+json",
    ],
  ])("%s", async (_name, call, method, path, body, contentType) => {
    await call();
    const [seen] = server.requests;
    expect(seen?.method).toBe(method);
    expect(`${seen?.url.pathname}${seen?.url.search}`).toBe(path);
    expect(seen?.body).toEqual(body);
    expect(seen?.headers["content-type"]).toBe(contentType);
  });

  test("a name of a namespaced kind needs its namespace", async () => {
    await expect(widgets.get({ name: "w" })).rejects.toMatchObject({ code: "InvalidArgument" });
    expect(server.requests).toHaveLength(0);
  });
});

test.each([
  [400, "BadRequest", "InvalidArgument"],
  [401, "Unauthorized", "Unauthenticated"],
  [403, "Forbidden", "PermissionDenied"],
  [404, "NotFound", "NotFound"],
  [405, "MethodNotAllowed", "Unsupported"],
  [409, "AlreadyExists", "AlreadyExists"],
  [409, "Conflict", "Conflict"],
  [410, "Expired", "Gone"],
  [415, "UnsupportedMediaType", "Unsupported"],
  [422, "Invalid", "InvalidArgument"],
  [429, "TooManyRequests", "ResourceExhausted"],
  [500, "InternalError", "Internal"],
  [503, "ServiceUnavailable", "Unavailable"],
  [504, "Timeout", "DeadlineExceeded"],
])("status %i %s is the error %s with the server's message", async (status, reason, code) => {
  await using server = await testServer((_, response) =>
    answer(response, status, { kind: "Status", code: status, reason, message: `said ${reason}` }),
  );
  using connection = new Connection({ url: server.url }, { clock: systemClock });
  const widgets = new Client(connection).of<Widget>(widgetKind);
  const expected = { name: "WeftError", code, message: `said ${reason}` };
  await expect(widgets.get({ namespace: "shop", name: "w" })).rejects.toMatchObject(expected);
  await expect(widgets.watch({ resourceVersion: "1" }).next()).rejects.toMatchObject(expected);
});

test("an error that is no Status keeps its text, and find tells only what is absent", async () => {
  await using server = await testServer(({ url }, response) => {
    response.writeHead(url.pathname.endsWith("/none") ? 404 : 502).end("upstream is away");
  });
  using connection = new Connection({ url: server.url }, { clock: systemClock });
  const widgets = new Client(connection).of<Widget>(widgetKind);
  expect(await widgets.find({ namespace: "shop", name: "none" })).toBeUndefined();
  await expect(widgets.find({ namespace: "shop", name: "w" })).rejects.toMatchObject({
    code: "Unavailable",
    message: "the server answered 502: upstream is away",
  });
});

describe("lists", () => {
  let api: MemoryApi;
  let connection: Connection;
  beforeEach(async () => {
    api = await MemoryApi.start();
    connection = new Connection({ url: api.url }, { clock: systemClock });
    for (const name of ["a", "b", "c", "d", "e"]) api.put(name, 1);
  });
  afterEach(async () => {
    connection[Symbol.dispose]();
    await api[Symbol.asyncDispose]();
  });

  test("all pages come, with the type that items of a list lack", async () => {
    const list = await new Client(connection).of<Widget>(widgetKind).list({ namespace: "shop", labelSelector: "a=b" });
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c", "d", "e"]);
    expect(new Set(list.items.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`))).toEqual(
      new Set(["test.weft.dev/v1 Widget"]),
    );
    expect(list.resourceVersion).toBe(String(api.revision));
    expect(api.requests.map(({ url }) => url.searchParams.get("labelSelector"))).toEqual(["a=b", "a=b", "a=b"]);
  });

  test("pages that are too large are asked for smaller", async () => {
    const item = (name: string): object => ({
      metadata: { name, uid: name, resourceVersion: "1", filler: "x".repeat(400) },
    });
    const limits: number[] = [];
    await using server = await testServer((request, response) => {
      const { searchParams } = new URL(request.url ?? "", "http://x");
      const [limit, from] = [Number(searchParams.get("limit")), Number(searchParams.get("continue") ?? 0)];
      limits.push(limit);
      const items = Array.from({ length: Math.min(limit, 12 - from) }, (_, at) => item(`w${from + at}`));
      const next = from + items.length;
      answer(response, 200, {
        metadata: { resourceVersion: "1", ...(next < 12 && { continue: String(next) }) },
        items,
      });
    });
    using small = new Connection({ url: server.url }, { clock: systemClock, maxResponseBytes: 4000 });
    const { items } = await new Client(small).of<Widget>(widgetKind).list();
    expect(items).toHaveLength(12);
    expect(limits).toEqual([500, 50, 5, 5, 5]);
    using none = new Connection({ url: server.url }, { clock: systemClock, maxResponseBytes: 300 });
    await expect(new Client(none).of<Widget>(widgetKind).list()).rejects.toMatchObject({ code: "ResourceExhausted" });
  });

  test("pages whose revision is gone are read again in one piece", async () => {
    api.put("f", 1);
    api.betweenPages.push(() => api.put("g", 1));
    const { items } = await new Client(connection).of<Widget>(widgetKind).list();
    expect(api.betweenPages).toEqual([]);
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
  });
});
