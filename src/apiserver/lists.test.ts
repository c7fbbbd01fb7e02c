import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configMap, created, createNamespace, pod } from "./testing/objects.ts";
import { startTestServer, type Json, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  for (const name of ["a", "b"]) await createNamespace(server, "east", name);
  for (const at of [1, 2, 3, 4, 5]) {
    await created(
      server,
      "east",
      mapsOf("a"),
      configMap(`m${at}`, {}, { labels: { parity: at % 2 ? "odd" : "even" } }),
    );
  }
  await created(server, "east", mapsOf("b"), configMap("m1"));
});
afterAll(() => server[Symbol.asyncDispose]());

function mapsOf(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/configmaps`;
}

function names(list: Json): string[] {
  return list.items.map(({ metadata }: Json) => metadata.name);
}

async function listOf(query: string, path = mapsOf("a")): Promise<Json> {
  return (await server.ask("east", `${path}${query}`)).json;
}

describe("lists", () => {
  test("are of one namespace or of all", async () => {
    const one = await listOf("");
    expect(one).toMatchObject({ kind: "ConfigMapList", apiVersion: "v1" });
    expect(names(one)).toEqual(["m1", "m2", "m3", "m4", "m5"]);
    expect(Number(one.metadata.resourceVersion)).toBe(await server.store.revision());
    const all = await listOf("", "/api/v1/configmaps");
    expect(all.items.map(({ metadata }: Json) => `${metadata.namespace}/${metadata.name}`)).toContain("b/m1");
  });

  test("of another endpoint's cluster are its own", async () => {
    expect((await server.ask("west", "/api/v1/configmaps")).json.items).toEqual([]);
  });

  test.each([
    ["labelSelector=parity%3Dodd", ["m1", "m3", "m5"]],
    ["labelSelector=parity+in+(even),parity", ["m2", "m4"]],
    ["labelSelector=!parity", []],
    ["fieldSelector=metadata.name%3Dm2", ["m2"]],
    ["fieldSelector=metadata.name!%3Dm2,metadata.namespace%3Da&labelSelector=parity%3Deven", ["m4"]],
  ])("select by %s", async (query, expected) => {
    expect(names(await listOf(`?${query}`))).toEqual(expected);
  });

  test.each([
    ["labelSelector=a%3D%3D%3Db", "unable to parse the label selector"],
    ["labelSelector=a+in+b", "unable to parse the label selector"],
    ["fieldSelector=spec.nothing%3D1", "field label not supported: spec.nothing"],
    ["fieldSelector=metadata.name", "invalid selector"],
    ["limit=-1", "limit must be a whole number"],
    ["watch=maybe", "watch must be true or false"],
    ["resourceVersion=abc", "not a whole number"],
    ["continue=abc", "continue key is not valid"],
  ])("refuse %s with 400", async (query, message) => {
    const { status, json } = await server.ask("east", `${mapsOf("a")}?${query}`);
    expect([status, json.reason, json.message]).toEqual([400, "BadRequest", expect.stringContaining(message)]);
  });

  test("come in pages of one state", async () => {
    const first = await listOf("?limit=2");
    expect(names(first)).toEqual(["m1", "m2"]);
    expect(first.metadata.remainingItemCount).toBe(3);
    await created(server, "east", mapsOf("a"), configMap("m25"));
    const second = await listOf(`?limit=2&continue=${first.metadata.continue}`);
    expect(names(second)).toEqual(["m3", "m4"]);
    const third = await listOf(`?limit=2&continue=${second.metadata.continue}`);
    expect(names(third)).toEqual(["m5"]);
    expect(third.metadata).toEqual({ resourceVersion: first.metadata.resourceVersion });
    await server.ask("east", `${mapsOf("a")}/m25`, { method: "DELETE" });
  });

  test("with a selector fill their pages, and do not guess what remains", async () => {
    const page = await listOf("?limit=2&labelSelector=parity%3Dodd");
    expect([names(page), page.metadata.remainingItemCount]).toEqual([["m1", "m3"], undefined]);
    expect(names(await listOf(`?limit=2&labelSelector=parity%3Dodd&continue=${page.metadata.continue}`))).toEqual([
      "m5",
    ]);
  });

  test("with a selector look through all there is for their pages", async () => {
    await createNamespace(server, "east", "many");
    for (let at = 10; at < 40; at += 1) await created(server, "east", mapsOf("many"), configMap(`m${at}`));
    const page = await listOf("?limit=1&fieldSelector=metadata.name%3Dm39", mapsOf("many"));
    expect([names(page), page.metadata.continue]).toEqual([["m39"], undefined]);
  });

  test("whose pages are forgotten answer 410 with a token to go on with", async () => {
    const first = await listOf("?limit=2");
    await created(server, "east", mapsOf("a"), configMap("m6"));
    await server.store.compact(await server.store.revision());
    const gone = await server.ask("east", `${mapsOf("a")}?limit=2&continue=${first.metadata.continue}`);
    expect([gone.status, gone.json.reason]).toEqual([410, "Expired"]);
    const rest = await listOf(`?limit=9&continue=${gone.json.metadata.continue}`);
    expect(names(rest)).toEqual(["m3", "m4", "m5", "m6"]);
    expect(Number(rest.metadata.resourceVersion)).toBeGreaterThan(Number(first.metadata.resourceVersion));
  });

  test("of versions: newest, exact, forgotten, not reached", async () => {
    const before = (await listOf("")).metadata.resourceVersion as string;
    await created(server, "east", mapsOf("a"), configMap("m7"));
    const has = async (query: string): Promise<boolean> => names(await listOf(query)).includes("m7");
    expect(await has("?resourceVersion=0")).toBe(true);
    expect(await has(`?resourceVersion=${before}`)).toBe(true);
    expect(await has(`?resourceVersion=${before}&resourceVersionMatch=NotOlderThan`)).toBe(true);
    expect(await has(`?resourceVersion=${before}&resourceVersionMatch=Exact`)).toBe(false);
    expect(await has(`?resourceVersion=${before}&limit=50`)).toBe(false);
    const old = await server.ask("east", `${mapsOf("a")}?resourceVersion=1&resourceVersionMatch=Exact`);
    expect([old.status, old.json.reason]).toEqual([410, "Expired"]);
    const future = await server.ask("east", `${mapsOf("a")}?resourceVersion=999999`);
    expect([future.status, future.headers["retry-after"]]).toEqual([504, "1"]);
    expect(future.json.details.causes[0].reason).toBe("ResourceVersionTooLarge");
  });

  test.each([
    "resourceVersionMatch=Exact",
    "resourceVersionMatch=Exact&resourceVersion=0",
    "resourceVersionMatch=Older&resourceVersion=1",
    "sendInitialEvents=true&watch=true",
    "sendInitialEvents=true&watch=true&resourceVersionMatch=Exact&resourceVersion=1",
    "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1",
  ])("refuse %s with 422", async (query) => {
    const { status, json } = await server.ask("east", `${mapsOf("a")}?${query}`);
    expect([status, json.details.causes[0].field]).toEqual([422, "resourceVersionMatch"]);
  });
});

const tableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

const tableWith = async (include: string): Promise<Json> =>
  (await server.ask("east", `${mapsOf("b")}/m1?includeObject=${include}`, { headers: { Accept: tableAccept } })).json;

const acceptAs = (as: string): Record<string, string> => ({ Accept: `application/json;as=${as};v=v1;g=meta.k8s.io` });

const podsBy = async (selector: string): Promise<string[]> =>
  names(await listOf(`?fieldSelector=${encodeURIComponent(selector)}`, "/api/v1/pods"));

describe("shapes", () => {
  test("tables have the kind's columns and the objects' metadata", async () => {
    const { json } = await server.ask("east", mapsOf("b"), { headers: { Accept: tableAccept } });
    expect(json).toMatchObject({ kind: "Table", apiVersion: "meta.k8s.io/v1" });
    expect(json.columnDefinitions.map(({ name }: Json) => name)).toEqual(["Name", "Data", "Age"]);
    expect(json.columnDefinitions[0]).toMatchObject({ type: "string", format: "name", priority: 0 });
    expect(json.rows[0].cells).toEqual(["m1", expect.anything(), expect.stringMatching(/^\d+s$/)]);
    expect(json.rows[0].object).toMatchObject({ kind: "PartialObjectMetadata", metadata: { name: "m1" } });
    expect(json.rows[0].object.data).toBeUndefined();
  });

  test("tables hold the objects, or nothing, when asked", async () => {
    expect((await tableWith("Object")).rows[0].object).toMatchObject({
      apiVersion: "v1",
      kind: "ConfigMap",
      data: { a: "1" },
    });
    expect((await tableWith("None")).rows[0].object).toBeUndefined();
    expect((await tableWith("All")).reason).toBe("BadRequest");
  });

  test("metadata alone can be had of one object and of lists", async () => {
    const one = await server.ask("east", `${mapsOf("b")}/m1`, { headers: acceptAs("PartialObjectMetadata") });
    expect(one.json).toMatchObject({ kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1" });
    expect(one.json.data).toBeUndefined();
    const list = await server.ask("east", mapsOf("b"), { headers: acceptAs("PartialObjectMetadataList") });
    expect([list.json.kind, list.json.items[0].metadata.name]).toEqual(["PartialObjectMetadataList", "m1"]);
    expect((await server.ask("east", mapsOf("b"), { headers: acceptAs("PartialObjectMetadata") })).status).toBe(406);
  });

  test.each(["application/vnd.kubernetes.protobuf", "text/html", "application/json;as=Table;v=v9;g=meta.k8s.io"])(
    "that nobody can write (%s) answer 406",
    async (accept) => {
      const { status, json } = await server.ask("east", mapsOf("b"), { headers: { Accept: accept } });
      expect([status, json.reason]).toEqual([406, "NotAcceptable"]);
    },
  );

  test("the first that can be written is taken", async () => {
    const accept = "application/vnd.kubernetes.protobuf, application/json;q=0.5, application/yaml;q=0.9";
    const { headers } = await server.ask("east", mapsOf("b"), { headers: { Accept: accept } });
    expect(headers["content-type"]).toBe("application/yaml");
  });
});

describe("Pods", () => {
  test("are selected by their node and phase", async () => {
    await created(server, "east", "/api/v1/namespaces/a/pods", pod("on-n1", { nodeName: "n1" }));
    await created(server, "east", "/api/v1/namespaces/a/pods", pod("nowhere"));
    expect(await podsBy("spec.nodeName=n1")).toEqual(["on-n1"]);
    expect(await podsBy("spec.nodeName=")).toEqual(["nowhere"]);
    expect(await podsBy("status.phase=Pending,spec.nodeName!=n1")).toEqual(["nowhere"]);
  });
});
