import { afterAll, beforeAll, expect, test } from "vitest";
import { createNamespace } from "../testing/objects.ts";
import { startTestServer, type TestServer } from "../testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ access: {} });
});
afterAll(() => server[Symbol.asyncDispose]());

const post = async (namespace: string, kind: string, body: object) =>
  server.ask("east", `/api/v1/namespaces/${namespace}/${kind}`, { method: "POST", body });
const podOf = (name: string, spec: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: "main", image: "web" }], ...spec },
});

test("a Pod of a namespace that has just been made has its default account", async () => {
  await createNamespace(server, "east", "fresh");
  const { status, json } = await post("fresh", "pods", podOf("a"));
  expect([status, json.spec.serviceAccountName]).toEqual([201, "default"]);
});

test("a Pod is refused as an account that is not there, and made when it is", async () => {
  await createNamespace(server, "east", "shop");
  const wanted = podOf("b", { serviceAccountName: "nobody" });
  const { status, json } = await post("shop", "pods", wanted);
  expect([status, json.reason]).toEqual([403, "Forbidden"]);
  expect(json.message).toBe(
    'pods "b" is forbidden: error looking up service account shop/nobody: serviceaccount "nobody" not found',
  );
  expect((await server.ask("east", "/api/v1/namespaces/shop/pods")).json.items).toEqual([]);
  expect((await post("fresh", "serviceaccounts", { metadata: { name: "nobody" } })).status).toBe(201);
  expect((await post("shop", "pods", wanted)).status).toBe(403);
  expect((await post("shop", "serviceaccounts", { metadata: { name: "nobody" } })).status).toBe(201);
  expect((await post("shop", "pods", wanted)).status).toBe(201);
});
