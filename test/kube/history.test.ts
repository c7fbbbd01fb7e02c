import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestServer, tlsOf, type Answer, type TestServer, type TestUser } from "#apiserver/testing/server.ts";
import { weftProgram } from "#cli/service.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-history-"));
const maps = "/api/v1/namespaces/default/configmaps";
const ada: TestUser = { name: "ada", groups: ["system:masters"] };
const bob: TestUser = { name: "bob", groups: [] };
let server: TestServer;

function kubeconfig({ name, groups }: TestUser): string {
  const path = join(folder, name);
  const { ca, cert, key } = tlsOf(server.server.authorities.get("east")!, { name, groups });
  const address = { url: server.url("east"), ca, certificate: cert!, key: key! };
  writeFileSync(
    path,
    formatKubeconfig([{ name: "east", cluster: "east", user: name, namespace: "default", server: address }]),
  );
  return path;
}

/** Runs `weft`; what it said, and how it ended. */
function weft(command: string, who = ada): Promise<{ readonly out: string; readonly code: number }> {
  const env = { ...process.env, KUBECONFIG: kubeconfig(who) };
  return new Promise((resolve) => {
    const child = execFile(weftProgram, command.split(" "), { env }, (_, stdout, stderr) => {
      resolve({ out: stdout + stderr, code: child.exitCode ?? -1 });
    });
  });
}

function write(value: string, as = ada, method = "PATCH"): Promise<Answer> {
  const headers = { "Content-Type": "application/merge-patch+json", "User-Agent": "tests/1 (of all)" };
  return server.ask("east", `${maps}/web`, { method, as, headers, body: JSON.stringify({ data: { a: value } }) });
}

beforeAll(async () => {
  const records = { perObject: 50, maxAgeMs: 86_400_000, most: 1_000 };
  server = await startTestServer({ access: {}, records });
  await server.ask("east", maps, { method: "POST", as: ada, body: { metadata: { name: "web" }, data: { a: "1" } } });
  await write("2");
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function revisions(): Promise<readonly string[]> {
  const { json } = await server.ask("east", `${maps}/web/history`);
  return json.items.map(({ revision }: { revision: string }) => revision);
}

describe("the history of an object", () => {
  test("says who wrote it, how, and with what", { timeout: 60_000 }, async () => {
    const { out, code } = await weft("history cm/web");
    expect(code).toBe(0);
    const [header, last, first] = out.split("\n").map((line) => line.split(/ {2,}/));
    expect(header).toEqual(["REVISION", "TIME", "USER", "VERB", "PROGRAM"]);
    expect(last).toEqual([expect.any(String), expect.any(String), "ada", "patch", "tests/1"]);
    expect(first).toEqual([expect.any(String), expect.any(String), "ada", "create"]);
    expect((await weft("history cm/none")).out).toContain('configmaps "none" not found');
    expect((await weft("history web")).out).toContain("write KIND/NAME");
  });

  test("is shown to who may read it", { timeout: 60_000 }, async () => {
    expect((await weft("history cm/web", bob)).out).toMatch(/cannot (list|get) /);
    const refused = await server.ask("east", `${maps}/web/history`, { as: bob });
    expect(refused.json.message).toContain('cannot get resource "configmaps/history"');
  });

  test("can be compared with, and gone back to", { timeout: 120_000 }, async () => {
    const [first] = await revisions();
    const { out, code } = await weft(`diff cm/web --at ${first}`);
    expect([code, out]).toEqual([1, expect.stringMatching(/-\s+a: "1"\n\s*\+\s+a: "2"/)]);
    expect(await weft(`rollback cm/web --to ${first} --dry-run`)).toMatchObject({ code: 0 });
    expect((await server.ask("east", `${maps}/web`)).json.data).toEqual({ a: "2" });
    expect(await weft(`rollback cm/web --to ${first}`)).toEqual({
      code: 0,
      out: `configmap/web is as revision ${first} left it\n`,
    });
    expect((await server.ask("east", `${maps}/web`)).json.data).toEqual({ a: "1" });
    expect(await weft(`diff cm/web --at ${first}`)).toEqual({ code: 0, out: "" });
    expect((await weft("rollback cm/web --to 999999")).out).toContain("is not kept; there are: ");
  });

  test("outlives the object, which can be made again from it", { timeout: 60_000 }, async () => {
    const [first] = await revisions();
    await server.ask("east", `${maps}/web`, { method: "DELETE" });
    expect((await weft("history cm/web")).out).toContain("delete");
    expect(await weft(`rollback cm/web --to ${first}`)).toMatchObject({ code: 0 });
    expect((await server.ask("east", `${maps}/web`)).json.data).toEqual({ a: "1" });
  });

  test("says who acted in whose place", { timeout: 60_000 }, async () => {
    const body = { metadata: { name: "lent" }, data: {} };
    const headers = { "Impersonate-User": "bob", "Impersonate-Group": "system:masters" };
    expect((await server.ask("east", maps, { method: "POST", body, headers })).status).toBe(201);
    const { json } = await server.ask("east", `${maps}/lent/history`);
    const by = json.items[0].by;
    expect(by).toMatchObject({ user: "bob", verb: "create" });
    expect(by.impersonator).not.toBe("bob");
    expect((await weft("history cm/lent")).out).toContain(`bob (by ${by.impersonator})`);
    const own = await server.ask("east", `${maps}/lent`, {
      method: "PATCH",
      body: { data: { a: "1" } },
      headers: { "Content-Type": "application/merge-patch+json" },
    });
    expect(own.status).toBe(200);
    const { json: after } = await server.ask("east", `${maps}/lent/history`);
    expect(after.items[1].by.user).toBe(by.impersonator);
    expect(after.items[1].by.impersonator).toBeUndefined();
  });

  test("of a Secret has no values, and is no way back", { timeout: 60_000 }, async () => {
    const secrets = "/api/v1/namespaces/default/secrets";
    const body = { metadata: { name: "key" }, stringData: { word: "battery" } };
    await server.ask("east", secrets, { method: "POST", body });
    const answer = await server.ask("east", `${secrets}/key/history`);
    expect(answer.json.items[0].object.data).toEqual({ word: "(hidden)" });
    const { revision } = answer.json.items[0];
    const refused = await weft(`rollback secret/key --to ${revision}`);
    expect([refused.code, refused.out]).toEqual([1, expect.stringContaining("cannot be rolled back")]);
  });
});

test("a server without it says so", async () => {
  await using plain = await startTestServer();
  const { status, json } = await plain.ask("east", "/api/v1/namespaces/default/history");
  expect([status, json.message]).toEqual([404, expect.stringContaining("--history-days")]);
});
