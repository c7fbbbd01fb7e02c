import { connect } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { duplicateFields } from "./duplicates.ts";
import { created, createNamespace, deployment } from "./testing/objects.ts";
import { startTestServer, type Answer, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await createNamespace(server, "east", "shop");
});
afterAll(() => server[Symbol.asyncDispose]());

const maps = "/api/v1/namespaces/shop/configmaps";

const send = (path: string, type: string, body: string, method = "POST"): Promise<Answer> =>
  server.ask("east", path, { method, body, headers: { "Content-Type": type } });

test("duplicates are named by their paths, whatever stands in their texts", () => {
  const text = String.raw`{"a":1,"b":[{"c":"}\",{","c":2},{"c":1}],"\u0061":{"a":[1,2],"x":{}},"x":"\\","x":1}`;
  expect(duplicateFields(text)).toEqual(["b[0].c", "a", "x"]);
  expect(duplicateFields('{"a":{"b":1},"b":{"b":[]}}')).toEqual([]);
});

test("a field that stands twice is refused, told of or passed over as fieldValidation says", async () => {
  const twice = (name: string): string => `{"metadata":{"name":"${name}","name":"${name}"},"data":{"a":"1","a":"2"}}`;
  const strict = await send(`${maps}?fieldValidation=Strict`, "application/json", twice("strict"));
  expect([strict.status, strict.json.message]).toEqual([
    400,
    expect.stringContaining('duplicate field "metadata.name", duplicate field "data.a"'),
  ]);
  const warned = await send(maps, "application/json", twice("warned"));
  expect([warned.status, warned.headers["warning"]]).toEqual([
    201,
    expect.stringContaining('duplicate field \\"data.a\\"'),
  ]);
  const ignored = await send(`${maps}?fieldValidation=Ignore`, "application/json", twice("ignored"));
  expect([ignored.status, ignored.headers["warning"], ignored.json.data]).toEqual([201, undefined, { a: "2" }]);
  const patch = '{"data":{"b":"1","b":"2"}}';
  const patched = await send(`${maps}/ignored?fieldValidation=Strict`, "application/merge-patch+json", patch, "PATCH");
  expect([patched.status, patched.json.message]).toEqual([400, expect.stringContaining('duplicate field "data.b"')]);
});

/** Nested text: `open` so many times, then `close` as often. */
function nested(open: string, close: string, times = 100_000): string {
  return open.repeat(times) + close.repeat(times);
}

test.each([
  ["application/json", `{"spec":${nested("[", "]")}}`],
  ["application/json", `{"spec":${nested('{"a":', "}").replace("}", "1}")}}`],
  ["application/yaml", `spec: ${nested("[", "]")}`],
  ["application/yaml", `spec: ${nested("[", "]").replaceAll("]", "")}`],
])("a body in %s that is nested without reason is refused", async (type, body) => {
  const { status, json } = await send(maps, type, body);
  expect([status, json.reason]).toEqual([400, "BadRequest"]);
});

test("a patch cannot nest an object deeper than a body may", async () => {
  const path = "/apis/apps/v1/namespaces/shop/deployments";
  await created(server, "east", path, deployment("nested"));
  const deep = (at: string): string =>
    `{"op":"add","path":"/spec${at}","value":${nested('{"a":', "}", 700).replace("}", "1}")}}`;
  const patch = `[${deep("/x")},${deep(`/x${"/a".repeat(650)}`)}]`;
  const { status, json } = await send(`${path}/nested`, "application/json-patch+json", patch, "PATCH");
  expect([status, json.reason]).toEqual([400, "BadRequest"]);
});

test.each(["constructor", "__proto__", "toString"])("%s is no type of bodies and no shape of answers", async (name) => {
  expect((await send(maps, name, '{"metadata":{"name":"x"}}')).status).toBe(415);
  const accept = `application/json;as=${name};g=meta.k8s.io;v=v1`;
  expect((await server.ask("east", maps, { headers: { Accept: accept } })).status).toBe(406);
});

test("an object cannot be patched beyond the size that it could be sent in", async () => {
  const path = "/apis/apps/v1/namespaces/shop/deployments";
  await created(server, "east", path, deployment("growing"));
  const value = Array.from({ length: 20_000 }, () => "x".repeat(90));
  const grow = (member: string): Promise<Answer> => {
    const patch = [{ op: "add", path: `/spec/template/spec/containers/0/${member}`, value }];
    return send(`${path}/growing`, "application/json-patch+json", JSON.stringify(patch), "PATCH");
  };
  expect((await grow("args")).status).toBe(200);
  const grown = await grow("command");
  expect([grown.status, grown.json.reason]).toEqual([413, "RequestEntityTooLarge"]);
});

test("a client that goes away amid its body is no fault of the server", async () => {
  const { hostname, port } = new URL(server.url("east"));
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  const head = `POST ${maps} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n`;
  socket.write(head);
  await once(socket, "data");
  socket.end('{"a"');
  socket.resume();
  await once(socket, "close");
  // Disposing the server fails if it logged an error.
  expect((await server.ask("east", "/healthz")).status).toBe(200);
});
