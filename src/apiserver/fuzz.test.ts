import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { createNamespace } from "./testing/objects.ts";
import { startTestServer, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    access: { limits: { perSecond: 1e9, burst: 1e9 } },
    records: { perObject: 5, maxAgeMs: 60_000, most: 100 },
  });
  await createNamespace(server, "east", "shop");
});
afterAll(() => server[Symbol.asyncDispose]());

const rbac = "/apis/rbac.authorization.k8s.io/v1";
const paths = [
  "/api/v1/namespaces/shop/serviceaccounts/default/token",
  "/api/v1/namespaces/shop/secrets",
  "/api/v1/namespaces/shop/configmaps",
  "/apis/authentication.k8s.io/v1/tokenreviews",
  "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
  "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
  "/apis/authorization.k8s.io/v1/subjectaccessreviews",
  "/apis/authorization.k8s.io/v1/namespaces/shop/localsubjectaccessreviews",
  `${rbac}/clusterroles`,
  `${rbac}/clusterrolebindings`,
  `${rbac}/namespaces/shop/roles`,
  `${rbac}/namespaces/shop/rolebindings`,
];

/** Members that bodies of these kinds have, so that what is made at random comes far. */
const names = (
  "metadata name generateName labels annotations spec rules verbs apiGroups resources resourceNames nonResourceURLs " +
  "aggregationRule clusterRoleSelectors matchLabels roleRef kind apiGroup subjects namespace audiences expirationSeconds " +
  "boundObjectRef token user groups extra uid resourceAttributes nonResourceAttributes path verb data stringData __proto__"
).split(" ");
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<unknown>(
      "",
      "*",
      "Role",
      "ClusterRole",
      "User",
      "Pod",
      "get",
      "a",
      "x y",
      null,
      0,
      -1,
      600,
      1e300,
      true,
    ),
    fc.array(tie("value"), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom(...names), tie("value")), { maxLength: 6 })
      .map((members) => Object.fromEntries(members)),
  ),
}));
const object = fc
  .array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 8 })
  .map((members) => JSON.stringify({ metadata: { generateName: "f-" }, ...Object.fromEntries(members) }));
const body = fc.oneof({ weight: 6, arbitrary: object }, { weight: 1, arbitrary: fc.string() });
const type = fc.constantFrom(
  "application/json",
  "application/yaml",
  "application/vnd.kubernetes.protobuf",
  "text/plain",
);

test("whatever is sent gets an answer of the API, and harms nobody", { timeout: 300_000 }, async () => {
  const before = process.memoryUsage().heapUsed;
  const answers = new Set<number>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      body,
      fc.oneof({ weight: 5, arbitrary: fc.constant("application/json") }, { weight: 1, arbitrary: type }),
      async (path, body, type) => {
        const headers = { "Content-Type": type };
        const { status, json } = await server.ask("east", path, { method: "POST", body, headers });
        answers.add(status);
        expect([json.kind !== undefined, status < 500]).toEqual([true, true]);
      },
    ),
    { numRuns: runs(250) },
  );
  expect([...answers].toSorted((a, b) => a - b)).toEqual(expect.arrayContaining([201, 400, 415, 422]));
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(300 * 1024 * 1024);
  expect((await server.ask("east", "/livez")).text).toBe("ok");
});

test("whatever headers say who it is, nobody gets in by them", { timeout: 300_000 }, async () => {
  const text = fc.string({ maxLength: 60 }).map((word) => word.replaceAll(/[^\x20-\x7e]/g, "x"));
  const header = fc.tuple(
    fc.constantFrom("Authorization", "Impersonate-User", "Impersonate-Group", "Impersonate-Extra-A", "X-Remote-User"),
    fc.oneof(
      text,
      text.map((word) => `Bearer ${word}`),
      fc.constant("system:masters"),
      fc.constant("admin"),
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(header, { maxLength: 4 }), async (list) => {
      const ask = { as: null, headers: Object.fromEntries(list) };
      const { status } = await server.ask("east", "/api/v1/namespaces", ask);
      expect(status).toBe(401);
    }),
    { numRuns: runs(100) },
  );
});
