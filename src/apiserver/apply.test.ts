import { Agent } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientCases } from "./testing/apply/client-cases.ts";
import { fieldCases } from "./testing/apply/field-cases.ts";
import { listCases } from "./testing/apply/list-cases.ts";
import { partCases } from "./testing/apply/part-cases.ts";
import { refusalCases } from "./testing/apply/refusal-cases.ts";
import { ownersOf, runApplyCase, type CaseClient } from "./testing/apply/runner.ts";
import { createNamespace } from "./testing/objects.ts";
import { startTestServer, type TestServer } from "./testing/server.ts";

let server: TestServer;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
beforeAll(async () => {
  server = await startTestServer();
  await createNamespace(server, "east", "shop");
});
afterAll(async () => {
  agent.destroy();
  await server[Symbol.asyncDispose]();
});

const client: CaseClient = (method, path, type, body) =>
  server.ask("east", path, {
    method,
    agent,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": type } }),
  });

const cases = [...fieldCases, ...listCases, ...partCases, ...clientCases, ...refusalCases];

describe("server-side apply", () => {
  test.each(cases.map((row, at) => [row.name, row, at] as const))("%s", async (_, row, at) => {
    const { object, owners } = await runApplyCase(client, row, "shop", `case-${at}`);
    expect(object).toMatchObject(row.object);
    expect(owners).toEqual(ownersOf(row));
  });
});
