import { afterAll, beforeAll, expect, test } from "vitest";
import { discoveryUser } from "#apiserver/authorization/control-plane-rights.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer, type TestServer } from "#apiserver/testing/server.ts";
import { WeftError } from "#base/errors.ts";
import { jsonLogger, silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import type { TokenApi } from "#identity/issuer.ts";
import { SecretRights } from "./secret-rights.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ access: {} });
  await createNamespace(server, "east", "edge");
});
afterAll(() => server[Symbol.asyncDispose]());

const controlPlane = { name: discoveryUser, groups: [] };
const asked: string[] = [];
let away = false;
/** The API of a cluster with roles, asked as the control plane asks it. */
const api: TokenApi = {
  json: async ({ method, path, body }) => {
    asked.push(path);
    if (away) throw new WeftError("Unavailable", "connection refused");
    const { status, json } = await server.ask("east", path, { method, body, as: controlPlane });
    if (status >= 400) throw new WeftError("PermissionDenied", String(json.message));
    return json as unknown;
  },
};

const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/edge";

async function mayReadSecrets(account: string): Promise<void> {
  const role = { metadata: { name: account }, rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["list"] }] };
  const binding = {
    metadata: { name: account },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: account },
    subjects: [{ kind: "ServiceAccount", name: account, namespace: "edge" }],
  };
  for (const [kind, body] of [
    ["roles", role],
    ["rolebindings", binding],
  ] as const)
    expect((await server.ask("east", `${rbac}/${kind}`, { method: "POST", body })).status).toBe(201);
}

const account = (serviceAccount: string) => ({ cluster: "east", namespace: "edge", serviceAccount });

test("an account may read Secrets where a role of its cluster says so, and is asked for twice a minute, more often while it has not", async () => {
  const clock = new ManualClock();
  const rights = new SecretRights(() => new Map([["east", api]]), clock, silentLogger);
  await mayReadSecrets("gateway");
  expect(await rights.mayRead(account("gateway"))).toBe(true);
  expect(await rights.mayRead(account("sleeper"))).toBe(false);
  expect(await rights.mayRead({ ...account("gateway"), cluster: "west" })).toBe(false);
  expect(await rights.mayRead({ ...account("gateway"), namespace: "shop" })).toBe(false);
  const before = asked.length;
  await mayReadSecrets("sleeper");
  await server.ask("east", `${rbac}/rolebindings/gateway`, { method: "DELETE" });
  clock.advance(14_000);
  expect([await rights.mayRead(account("sleeper")), await rights.isRefused(account("sleeper"))]).toEqual([false, true]);
  expect(asked).toHaveLength(before);
  clock.advance(1_001);
  expect(await rights.mayRead(account("sleeper"))).toBe(true);
  clock.advance(14_000);
  expect(await rights.mayRead(account("gateway"))).toBe(true);
  expect(asked).toHaveLength(before + 1);
  clock.advance(1_000);
  const answers = ["gateway", "gateway", "sleeper"].map(async (name) => rights.mayRead(account(name)));
  expect(await Promise.all(answers)).toEqual([false, false, true]);
  expect(asked).toHaveLength(before + 2);
});

test("while a cluster does not answer, what it said last counts, and nobody else may", async () => {
  const [clock, logged] = [new ManualClock(), [] as string[]];
  const logger = jsonLogger({ level: "warn", write: (line) => void logged.push(line), now: () => 0 });
  const rights = new SecretRights(() => new Map([["east", api]]), clock, logger);
  await mayReadSecrets("kept");
  await mayReadSecrets("late");
  expect(await rights.mayRead(account("kept"))).toBe(true);
  away = true;
  clock.advance(60_001);
  expect(await rights.mayRead(account("kept"))).toBe(true);
  expect([await rights.mayRead(account("late")), await rights.isRefused(account("late"))]).toEqual([false, false]);
  expect(logged.join()).toContain("a cluster does not say who may read its Secrets");
  away = false;
  expect(await rights.mayRead(account("late"))).toBe(false);
  clock.advance(10_001);
  expect(await rights.mayRead(account("late"))).toBe(true);
});
