import { Agent } from "node:https";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bytesInUse } from "#base/testing/memory.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { createNamespace } from "./testing/objects.ts";
import { startTestServer, type TestServer } from "./testing/server.ts";

let server: TestServer;
/** A handshake for each request would cost more than the requests. */
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
beforeAll(async () => {
  server = await startTestServer({
    access: { limits: { perSecond: 1e9, burst: 1e9 } },
    records: { perObject: 5, maxAgeMs: 60_000, most: 100 },
  });
  await createNamespace(server, "east", "shop");
});
afterAll(async () => {
  agent.destroy();
  await server[Symbol.asyncDispose]();
});

/** Bytes that may be in use more after any number of requests, of which each may store an object. */
const mostGrowth = 20 * 1024 * 1024 + runs(500) * 8 * 1024;

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

/** Nothing of what was asked is kept but what was stored, and the server goes on. */
async function expectHarmless(before: number): Promise<void> {
  // Buffers that are garbage are given back a little later than all else.
  await expect.poll(() => bytesInUse() - before, { timeout: 60_000 }).toBeLessThan(mostGrowth);
  expect((await server.ask("east", "/livez")).text).toBe("ok");
}

test("whatever is sent gets an answer of the API, and harms nobody", { timeout: patience(60_000) }, async () => {
  const before = bytesInUse();
  const answers = new Set<number>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      body,
      fc.oneof({ weight: 5, arbitrary: fc.constant("application/json") }, { weight: 1, arbitrary: type }),
      async (path, body, type) => {
        const headers = { "Content-Type": type };
        const { status, json } = await server.ask("east", path, { method: "POST", body, headers, agent });
        answers.add(status);
        expect([json.kind !== undefined, status < 500]).toEqual([true, true]);
      },
    ),
    { numRuns: runs(500) },
  );
  expect([...answers].toSorted((a, b) => a - b)).toEqual(expect.arrayContaining([201, 400, 415, 422]));
  await expectHarmless(before);
});

test("whatever headers say who it is, nobody gets in by them", { timeout: patience(60_000) }, async () => {
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
      const ask = { as: null, headers: Object.fromEntries(list), agent };
      const { status } = await server.ask("east", "/api/v1/namespaces", ask);
      expect(status).toBe(401);
    }),
    { numRuns: runs(500) },
  );
});

/** Objects that are there, and are changed or taken away by requests; what is gone is made anew. */
const targets = [
  { path: "/api/v1/namespaces/shop/configmaps", object: { metadata: { name: "one" }, data: { a: "1", b: "2" } } },
  {
    path: `${rbac}/namespaces/shop/roles`,
    object: { metadata: { name: "one" }, rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }] },
  },
  {
    path: "/api/v1/namespaces/shop/services",
    object: {
      metadata: { name: "one" },
      spec: {
        ports: [
          { name: "http", port: 80 },
          { name: "tcp", port: 81 },
        ],
      },
    },
  },
] as const;

const pointer = fc
  .array(fc.oneof(fc.constantFrom(...names, "0", "1", "-", "99999999999", "~0", "~2", "a~1b", "")), { maxLength: 4 })
  .map((steps) => steps.map((step) => `/${step}`).join(""));
const operation = fc.record(
  {
    op: fc.constantFrom("add", "remove", "replace", "move", "copy", "test", "other"),
    path: fc.oneof(pointer, value),
    from: fc.oneof(pointer, value),
    value,
  },
  { requiredKeys: ["op", "path"] },
);
/** Strategic merge patches have members that say how lists are merged. */
const directed = fc
  .tuple(
    fc.constantFrom("$patch", "$retainKeys", "$setElementOrder/ports", "$deleteFromPrimitiveList/verbs"),
    value,
    value,
  )
  .map(([directive, told, rest]) => ({
    spec: { ports: [{ port: 80, [directive]: told }], [directive]: told },
    data: rest,
    [directive]: told,
  }));
const json = (made: fc.Arbitrary<unknown>) => made.map((each) => JSON.stringify(each) ?? "");
const object1 = json(fc.oneof(value, directed));

/** What is asked, of what kind, and in which form. */
const change = fc.oneof(
  fc.record({
    method: fc.constant("PATCH"),
    type: fc.constant("application/json-patch+json"),
    body: json(fc.oneof(fc.array(operation, { maxLength: 5 }), value)),
  }),
  fc.record({ method: fc.constant("PATCH"), type: fc.constant("application/merge-patch+json"), body: object1 }),
  fc.record({
    method: fc.constant("PATCH"),
    type: fc.constant("application/strategic-merge-patch+json"),
    body: object1,
  }),
  fc.record({
    method: fc.constantFrom("PATCH", "PUT", "POST"),
    type: fc.constantFrom("application/apply-patch+yaml", "application/yaml", "text/yaml"),
    body: fc.oneof(object1, yamlText()),
  }),
  fc.record({
    method: fc.constantFrom("PATCH", "PUT", "POST"),
    type: fc.constant("application/vnd.kubernetes.protobuf"),
    body: protobufBytes(),
  }),
  fc.record({ method: fc.constantFrom("PUT", "DELETE"), type: fc.constant("application/json"), body: object1 }),
  fc.record({
    method: fc.constantFrom("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"),
    type: fc.string().map(printable),
    body: fc.constant(""),
  }),
);

/** Texts with what YAML makes much of. */
function yamlText(): fc.Arbitrary<string> {
  const piece = fc.constantFrom(
    "a: ",
    "&x ",
    "*x",
    "<<: *x",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "!!binary ",
    "? ",
    "|\n",
    "\n",
    "  ",
    "---\n",
    "'",
    "metadata",
    ": ",
    "#",
    "\t",
    "0x1f",
    "~",
  );
  return fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
}

/** Kubernetes' envelope around bytes. */
function protobufBytes(): fc.Arbitrary<Buffer> {
  const magic = Buffer.from([0x6b, 0x38, 0x73, 0]);
  return fc
    .tuple(fc.boolean(), fc.uint8Array({ maxLength: 80 }))
    .map(([whole, bytes]) => Buffer.concat([whole ? magic : magic.subarray(1), bytes]));
}

function printable(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, "x");
}

const query = fc
  .dictionary(
    fc.constantFrom(
      "fieldSelector",
      "labelSelector",
      "limit",
      "continue",
      "resourceVersion",
      "resourceVersionMatch",
      "dryRun",
      "fieldValidation",
      "propagationPolicy",
      "gracePeriodSeconds",
      "pretty",
    ),
    fc.oneof(
      fc.string(),
      fc.constantFrom("0", "-1", "1e9", "All", "a=b", "a in (b,", "metadata.name=one", "Strict", "Orphan"),
    ),
    { maxKeys: 3 },
  )
  .map((entries) => new URLSearchParams(entries).toString());
const headers = fc
  .dictionary(
    fc.constantFrom(
      "Accept",
      "Accept-Encoding",
      "If-Match",
      "User-Agent",
      "Expect",
      "X-Forwarded-For",
      "Range",
      "Upgrade",
    ),
    fc.oneof(
      fc.string().map(printable),
      fc.constantFrom(
        "*/*;q=x",
        "application/json;as=Table;g=meta.k8s.io;v=v1",
        "gzip",
        "application/yaml",
        "bytes=0-",
      ),
    ),
    { maxKeys: 3 },
  )
  // Node's client waits for what these announce.
  .map(({ Expect: _expect, Upgrade: _upgrade, ...rest }) => rest);

test(
  "whatever is done to an object, in whatever form: an answer of the API, and the object is as it may be",
  { timeout: patience(120_000) },
  async () => {
    const before = bytesInUse();
    const answers = new Set<number>();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...targets),
        change,
        query,
        headers,
        fc.boolean(),
        async (target, { method, type, body }, asked, more, whole) => {
          await server.ask("east", target.path, { method: "POST", body: target.object, agent });
          const path = `${target.path}${whole ? "" : "/one"}?${asked}`;
          const sent = { method, headers: { ...more, "Content-Type": type }, agent, ...(body.length > 0 && { body }) };
          const { status } = await server.ask("east", path, sent);
          answers.add(status);
          expect([status, status < 500 || status === 501]).toEqual([status, true]);
          const { status: there, json: found } = await server.ask("east", `${target.path}/one`, { agent });
          expect([200, 404]).toContain(there);
          if (there === 200) expect(found.metadata.name).toBe("one");
        },
      ),
      { numRuns: runs(500) },
    );
    expect([...answers].toSorted((a, b) => a - b)).toEqual(expect.arrayContaining([200, 400, 405, 415, 422]));
    await expectHarmless(before);
  },
);
