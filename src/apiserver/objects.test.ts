import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configMap, created, createNamespace, deployment, pod } from "./testing/objects.ts";
import { startTestServer, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await createNamespace(server, "east", "shop");
});
afterAll(() => server[Symbol.asyncDispose]());

const maps = "/api/v1/namespaces/shop/configmaps";
const deployments = "/apis/apps/v1/namespaces/shop/deployments";
const pods = "/api/v1/namespaces/shop/pods";

const patch = (path: string, type: string, body: unknown, query = "") =>
  server.ask("east", `${path}${query}`, {
    method: "PATCH",
    headers: { "Content-Type": `application/${type}` },
    body: JSON.stringify(body),
  });

const remove = (path: string, body?: object) =>
  server.ask("east", path, { method: "DELETE", ...(body === undefined ? {} : { body }) });

const virtualServices = (version: string) => `/apis/networking.istio.io/${version}/namespaces/shop/virtualservices`;

const createWith = (validation: string, name: string) =>
  server.ask("east", `${deployments}?fieldValidation=${validation}`, {
    method: "POST",
    body: deployment(name, { replica: 3 }),
  });

describe("creation", () => {
  test("fills in what is the server's", async () => {
    const { json } = await created(server, "east", deployments, {
      ...deployment("fresh"),
      metadata: {
        name: "fresh",
        uid: "mine",
        generation: 7,
        deletionTimestamp: "2020-01-01T00:00:00Z",
        selfLink: "/x",
      },
      status: { replicas: 5 },
    });
    expect(json.metadata).toEqual({
      name: "fresh",
      namespace: "shop",
      uid: expect.stringMatching(/^[0-9a-f]{8}-/),
      resourceVersion: expect.stringMatching(/^\d+$/),
      generation: 1,
      creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      managedFields: [
        {
          manager: "unknown",
          operation: "Update",
          apiVersion: "apps/v1",
          time: json.metadata.creationTimestamp,
          fieldsType: "FieldsV1",
          fieldsV1: { "f:spec": expect.objectContaining({ "f:replicas": {} }) },
        },
      ],
    });
    expect(json.spec.replicas).toBe(1);
    expect(json.status).toBeUndefined();
  });

  test("with generateName gives distinct names", async () => {
    const answers = await Promise.all(
      [1, 2, 3].map(() => created(server, "east", maps, { metadata: { generateName: "made-" } })),
    );
    const names = answers.map(({ json }) => json.metadata.name as string);
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^made-[a-z0-9]{5}$/);
  });

  test("of a taken name answers 409 AlreadyExists", async () => {
    await created(server, "east", maps, configMap("twice"));
    const { status, json } = await server.ask("east", maps, { method: "POST", body: configMap("twice") });
    expect(status).toBe(409);
    expect(json).toMatchObject({
      kind: "Status",
      status: "Failure",
      reason: "AlreadyExists",
      message: 'configmaps "twice" already exists',
      details: { name: "twice", kind: "configmaps" },
      code: 409,
    });
  });

  test("dry run stores nothing", async () => {
    const { status, json } = await server.ask("east", `${maps}?dryRun=All`, { method: "POST", body: configMap("dry") });
    expect([status, json.metadata.name]).toEqual([201, "dry"]);
    expect((await server.ask("east", `${maps}/dry`)).status).toBe(404);
    expect((await server.ask("east", `${maps}?dryRun=Some`, { method: "POST", body: configMap("dry") })).status).toBe(
      400,
    );
  });

  test("of a wrong object answers 422 with a cause for each field", async () => {
    const body = deployment("wrong", { replicas: -1, selector: { matchLabels: { app: 3 } } });
    const { status, json } = await server.ask("east", deployments, { method: "POST", body });
    expect([status, json.reason]).toEqual([422, "Invalid"]);
    expect(json.message).toMatch(/^Deployment\.apps "wrong" is invalid: \[?spec\./);
    expect(json.details).toMatchObject({ name: "wrong", group: "apps", kind: "Deployment" });
    expect(json.details.causes.map(({ field }: { field: string }) => field)).toContain("spec.replicas");
  });

  test("needs its namespace", async () => {
    const { status, json } = await server.ask("east", "/api/v1/namespaces/nowhere/configmaps", {
      method: "POST",
      body: configMap("a"),
    });
    expect([status, json.message]).toEqual([404, 'namespaces "nowhere" not found']);
  });

  test.each([
    ["another kind", { kind: "Secret" }, /cannot be handled as a ConfigMap/],
    ["another version", { apiVersion: "v2" }, /does not match the expected API version \(v1\)/],
    ["another namespace", { metadata: { name: "x", namespace: "other" } }, /namespace of the provided object/],
    ["a version of its own", { metadata: { name: "x", resourceVersion: "5" } }, /resourceVersion should not be set/],
    ["metadata of the wrong type", { metadata: 5 }, /metadata is not an object/],
    ["a name of the wrong type", { metadata: { name: {} } }, /metadata.name is not a text/],
  ])("with %s answers 400", async (_, extra, message) => {
    const { status, json } = await server.ask("east", maps, { method: "POST", body: configMap("x", extra) });
    expect(status).toBe(400);
    expect(json).toMatchObject({ kind: "Status", reason: "BadRequest", message: expect.stringMatching(message) });
  });

  test("unknown fields are refused, told or dropped as asked", async () => {
    const strict = await createWith("Strict", "s");
    expect(strict.status).toBe(400);
    expect(strict.json.message).toContain('strict decoding error: unknown field "spec.replica"');
    const warned = await createWith("Warn", "w");
    expect([warned.status, warned.headers["warning"]]).toEqual([201, '299 - "unknown field \\"spec.replica\\""']);
    expect(warned.json.spec.replica).toBeUndefined();
    const ignored = await createWith("Ignore", "i");
    expect([ignored.status, ignored.headers["warning"]]).toEqual([201, undefined]);
    expect((await createWith("Maybe", "m")).status).toBe(400);
  });
});

describe("bodies", () => {
  test("may be YAML, and answers too", async () => {
    const { status, headers, text } = await server.ask("east", maps, {
      method: "POST",
      headers: { "Content-Type": "application/yaml", Accept: "application/yaml" },
      body: "metadata:\n  name: from-yaml\ndata:\n  yes: 'no'\n",
    });
    expect([status, headers["content-type"]]).toEqual([201, "application/yaml"]);
    expect(text).toMatch(/^apiVersion: v1\nkind: ConfigMap\n/);
  });

  test.each([
    ["cut JSON", "application/json", '{"metadata":', 400],
    ["a list", "application/json", "[]", 400],
    ["nothing", "application/json", "", 400],
    ["bytes that are no text", "application/json", Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
    ["wrong YAML", "application/yaml", "a: [", 400],
    ["YAML that grows without bound", "application/yaml", bomb(), 400],
    ["an unknown type", "text/plain", "{}", 415],
    ["what is no protobuf", "application/vnd.kubernetes.protobuf", "k8s", 400],
    ["CBOR", "application/cbor", "k8s", 415],
    ["more than 3 MiB", "application/json", `{"a":"${"x".repeat(3 * 1024 * 1024)}"}`, 413],
  ])("of %s are refused", async (_, type, body, expected) => {
    const { status, json } = await server.ask("east", maps, {
      method: "POST",
      headers: { "Content-Type": type },
      body,
    });
    expect([status, json.kind, json.status]).toEqual([expected, "Status", "Failure"]);
  });

  test("cannot reach a prototype", async () => {
    const body = '{"metadata":{"name":"proto"},"data":{"__proto__":"x"},"__proto__":{"polluted":"yes"}}';
    await server.ask("east", maps, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    expect((Object.prototype as { polluted?: string }).polluted).toBeUndefined();
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });
});

function bomb(): string {
  const levels = Array.from({ length: 12 }, (_, level) => {
    return `l${level + 1}: &l${level + 1} [${Array.from({ length: 10 }, () => `*l${level}`).join(", ")}]`;
  });
  return ["l0: &l0 x", ...levels].join("\n");
}

describe("updates", () => {
  test("of an old version answer 409 Conflict in Kubernetes' words", async () => {
    const { json: first } = await created(server, "east", maps, configMap("busy"));
    await server.ask("east", `${maps}/busy`, { method: "PUT", body: { ...first, data: { a: "2" } } });
    const { status, json } = await server.ask("east", `${maps}/busy`, {
      method: "PUT",
      body: { ...first, data: { a: "3" } },
    });
    expect([status, json.reason]).toEqual([409, "Conflict"]);
    expect(json.message).toBe(
      'Operation cannot be fulfilled on configmaps "busy": the object has been modified; please apply your changes to the latest version and try again',
    );
  });

  test("of no version are made on whatever there is", async () => {
    await created(server, "east", maps, configMap("free"));
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        server.ask("east", `${maps}/free`, { method: "PUT", body: configMap("free", { data: { at: String(at) } }) }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
  });

  test("that change nothing keep the version; only changes of the specification count as generations", async () => {
    const { json: first } = await created(server, "east", deployments, deployment("still"));
    const put = (body: object) => server.ask("east", `${deployments}/still`, { method: "PUT", body });
    const same = (await put(first)).json;
    expect(same.metadata).toEqual(first.metadata);
    const labelled = (await put({ ...first, metadata: { ...first.metadata, labels: { a: "b" } } })).json;
    expect(labelled.metadata.generation).toBe(1);
    expect(labelled.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion);
    const scaled = (await put({ ...labelled, spec: { ...labelled.spec, replicas: 4 } })).json;
    expect(scaled.metadata.generation).toBe(2);
  });

  test("keep what is the server's", async () => {
    const { json: first } = await created(server, "east", maps, configMap("kept"));
    const metadata = { name: "kept", creationTimestamp: "2001-01-01T00:00:00Z", generation: 99 };
    const { json } = await server.ask("east", `${maps}/kept`, { method: "PUT", body: { metadata, data: {} } });
    expect(json.metadata).toMatchObject({
      uid: first.metadata.uid,
      creationTimestamp: first.metadata.creationTimestamp,
    });
    const other = { metadata: { name: "kept", uid: "another" }, data: {} };
    const refused = await server.ask("east", `${maps}/kept`, { method: "PUT", body: other });
    expect([refused.status, refused.json.message]).toEqual([409, expect.stringContaining("UID in precondition")]);
  });

  test("of what is not there answer 404, of another name 400", async () => {
    expect((await server.ask("east", `${maps}/none`, { method: "PUT", body: configMap("none") })).status).toBe(404);
    expect((await server.ask("east", `${maps}/twice`, { method: "PUT", body: configMap("other") })).status).toBe(400);
  });

  test("of the status change nothing else, and the other way round", async () => {
    const { json: first } = await created(server, "east", deployments, deployment("two-parts"));
    const path = `${deployments}/two-parts`;
    const wanted = { ...first, spec: { ...first.spec, replicas: 9 }, status: { readyReplicas: 1 } };
    const status = (await server.ask("east", `${path}/status`, { method: "PUT", body: wanted })).json;
    expect([status.spec.replicas, status.status, status.metadata.generation]).toEqual([1, { readyReplicas: 1 }, 1]);
    const { resourceVersion: _, ...metadata } = first.metadata;
    const spec = (await server.ask("east", path, { method: "PUT", body: { ...wanted, metadata, status: {} } })).json;
    expect([spec.spec.replicas, spec.status, spec.metadata.generation]).toEqual([9, { readyReplicas: 1 }, 2]);
    expect((await server.ask("east", `${path}/status`)).json.status).toEqual({ readyReplicas: 1 });
  });
});

describe("patches", () => {
  test("of each kind are applied", async () => {
    await created(server, "east", deployments, deployment("patched"));
    const path = `${deployments}/patched`;
    const json = await patch(path, "json-patch+json", [{ op: "replace", path: "/spec/replicas", value: 2 }]);
    expect(json.json.spec.replicas).toBe(2);
    const merge = await patch(path, "merge-patch+json", { metadata: { labels: { a: "b", c: null } } });
    expect(merge.json.metadata.labels).toEqual({ a: "b" });
    const side = { name: "side", image: "proxy" };
    const strategic = await patch(path, "strategic-merge-patch+json", {
      spec: { template: { spec: { containers: [side] } } },
    });
    const names = strategic.json.spec.template.spec.containers.map(({ name }: { name: string }) => name);
    expect(names).toEqual(["main", "side"]);
  });

  test("may be bound to a version, and to a dry run", async () => {
    await created(server, "east", maps, configMap("bound"));
    const stale = { metadata: { resourceVersion: "1" }, data: { a: "2" } };
    expect((await patch(`${maps}/bound`, "merge-patch+json", stale)).status).toBe(409);
    const dry = await patch(`${maps}/bound`, "merge-patch+json", { data: { a: "9" } }, "?dryRun=All");
    expect(dry.json.data).toEqual({ a: "9" });
    expect((await server.ask("east", `${maps}/bound`)).json.data).toEqual({ a: "1" });
  });

  test("at the same time are all kept", async () => {
    await created(server, "east", maps, configMap("many"));
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, at) => patch(`${maps}/many`, "merge-patch+json", { data: { [`k${at}`]: "x" } })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(Object.keys((await server.ask("east", `${maps}/many`)).json.data)).toHaveLength(11);
  });

  test("that are none answer 415", async () => {
    const { status, json } = await patch(`${maps}/many`, "apply-patch+cbor", {});
    expect([status, json.reason]).toEqual([415, "UnsupportedMediaType"]);
    expect(json.message).toContain("application/apply-patch+yaml");
    expect((await patch(`${maps}/many`, "json", {})).status).toBe(415);
  });

  test("that do not fit answer 422, malformed ones 400, those of nothing 404", async () => {
    expect((await patch(`${maps}/many`, "json-patch+json", [{ op: "remove", path: "/x/y" }])).status).toBe(422);
    expect((await patch(`${maps}/many`, "json-patch+json", [{ op: "test", path: "/kind", value: "x" }])).status).toBe(
      422,
    );
    expect((await patch(`${maps}/many`, "json-patch+json", {})).status).toBe(400);
    expect((await patch(`${maps}/none`, "merge-patch+json", {})).status).toBe(404);
    expect((await patch(`${maps}/many`, "merge-patch+json", { metadata: { name: "other" } })).status).toBe(400);
  });
});

describe("scale", () => {
  test("is read and changed as autoscaling/v1.Scale", async () => {
    await created(server, "east", deployments, deployment("scaled", { replicas: 3 }));
    const path = `${deployments}/scaled/scale`;
    const { json } = await server.ask("east", path);
    expect(json).toMatchObject({
      kind: "Scale",
      apiVersion: "autoscaling/v1",
      spec: { replicas: 3 },
      status: { replicas: 0, selector: "app=scaled" },
    });
    const body = { ...json, spec: { replicas: 5 } };
    expect((await server.ask("east", path, { method: "PUT", body })).json.spec).toEqual({ replicas: 5 });
    expect((await server.ask("east", path, { method: "PUT", body })).status).toBe(409);
    const refused = await server.ask("east", path, {
      method: "PATCH",
      headers: { "Content-Type": "application/merge-patch+json" },
      body: '{"spec":{"replicas":-1}}',
    });
    expect([refused.status, refused.json.details.causes[0].field]).toEqual([422, "spec.replicas"]);
    expect((await server.ask("east", `${deployments}/scaled`)).json.spec.replicas).toBe(5);
    expect((await server.ask("east", `${maps}/many/scale`)).status).toBe(404);
  });
});

describe("deletion", () => {
  test("answers a Status, and 404 afterwards", async () => {
    const { json: map } = await created(server, "east", maps, configMap("bye"));
    const { status, json } = await remove(`${maps}/bye`);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      kind: "Status",
      status: "Success",
      details: { name: "bye", kind: "configmaps", uid: map.metadata.uid },
    });
    expect((await remove(`${maps}/bye`)).json).toMatchObject({ code: 404, message: 'configmaps "bye" not found' });
  });

  test("can be bound to a uid and a version, and be a dry run", async () => {
    const { json: map } = await created(server, "east", maps, configMap("guarded"));
    const path = `${maps}/guarded`;
    expect((await remove(path, { preconditions: { uid: "other" } })).status).toBe(409);
    expect((await remove(path, { preconditions: { resourceVersion: "1" } })).status).toBe(409);
    expect((await remove(path, { dryRun: ["All"] })).status).toBe(200);
    expect((await remove(path, { preconditions: { uid: map.metadata.uid } })).status).toBe(200);
    expect((await server.ask("east", path)).status).toBe(404);
  });

  test("waits for finalizers, and takes no new ones meanwhile", async () => {
    await created(server, "east", maps, configMap("held", {}, { finalizers: ["example.com/hold"] }));
    const path = `${maps}/held`;
    const { json } = await remove(path);
    expect(json).toMatchObject({ kind: "ConfigMap", metadata: { deletionGracePeriodSeconds: 0 } });
    const marked = (await server.ask("east", path)).json;
    expect(marked.metadata.deletionTimestamp).toBe(json.metadata.deletionTimestamp);
    const merge = { "Content-Type": "application/merge-patch+json" };
    const more = '{"metadata":{"finalizers":["example.com/hold","example.com/more"]}}';
    const refused = await server.ask("east", path, { method: "PATCH", headers: merge, body: more });
    expect([refused.status, refused.json.details.causes[0].field]).toEqual([422, "metadata.finalizers"]);
    const let_go = '{"metadata":{"finalizers":null}}';
    expect((await server.ask("east", path, { method: "PATCH", headers: merge, body: let_go })).status).toBe(200);
    expect((await server.ask("east", path)).status).toBe(404);
  });

  test("of a Pod on a node gives it time; the agent's second deletion ends it", async () => {
    await created(server, "east", pods, pod("running", { nodeName: "n1", terminationGracePeriodSeconds: 20 }));
    const path = `${pods}/running`;
    const { json } = await remove(path);
    expect(json.metadata).toMatchObject({ deletionGracePeriodSeconds: 20, deletionTimestamp: expect.any(String) });
    expect((await remove(path, { gracePeriodSeconds: 60 })).json.metadata.deletionGracePeriodSeconds).toBe(20);
    expect((await remove(path, { gracePeriodSeconds: 5 })).json.metadata.deletionGracePeriodSeconds).toBe(5);
    expect((await remove(path, { gracePeriodSeconds: 0 })).json).toMatchObject({ kind: "Status", status: "Success" });
    expect((await server.ask("east", path)).status).toBe(404);
  });

  test("of a Pod on no node is at once", async () => {
    await created(server, "east", pods, pod("waiting"));
    expect((await remove(`${pods}/waiting`)).json.kind).toBe("Status");
  });

  test("of a collection takes what the selector means", async () => {
    for (const [name, tier] of [
      ["c1", "a"],
      ["c2", "a"],
      ["c3", "b"],
    ] as const) {
      await created(server, "east", maps, configMap(name, {}, { labels: { tier } }));
    }
    const { status, json } = await remove(`${maps}?labelSelector=tier%3Da`);
    expect([status, json.kind]).toEqual([200, "ConfigMapList"]);
    expect(json.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)).toEqual(["c1", "c2"]);
    expect((await server.ask("east", `${maps}/c3`)).status).toBe(200);
  });
});

describe("Pods", () => {
  test("are bound to a node once", async () => {
    const { json } = await created(server, "east", pods, pod("bound"));
    expect([json.status, json.spec.serviceAccountName]).toEqual([{ phase: "Pending" }, "default"]);
    const bind = (name: string) =>
      server.ask("east", `${pods}/bound/binding`, { method: "POST", body: { target: { kind: "Node", name } } });
    const answers = await Promise.all(["n1", "n2"].map(bind));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    const node = (await server.ask("east", `${pods}/bound`)).json.spec.nodeName as string;
    expect(["n1", "n2"]).toContain(node);
  });

  test("are evicted with their grace period", async () => {
    await created(server, "east", pods, pod("evicted", { nodeName: "n1" }));
    const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "evicted" } };
    expect((await server.ask("east", `${pods}/evicted/eviction`, { method: "POST", body: eviction })).status).toBe(201);
    expect((await server.ask("east", `${pods}/evicted`)).json.metadata.deletionGracePeriodSeconds).toBe(30);
  });
});

describe("versions", () => {
  test("are views of one object", async () => {
    const spec = { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] };
    const old = { apiVersion: "networking.istio.io/v1alpha3", kind: "VirtualService", metadata: { name: "a" }, spec };
    const { json } = await created(server, "east", virtualServices("v1alpha3"), old);
    expect(json.apiVersion).toBe("networking.istio.io/v1alpha3");
    for (const version of ["v1", "v1beta1", "v1alpha3"]) {
      const answer = (await server.ask("west", `${virtualServices(version)}/a`)).json;
      expect(answer).toEqual({ ...json, apiVersion: `networking.istio.io/${version}` });
      const list = (await server.ask("mesh", virtualServices(version))).json;
      expect([list.apiVersion, list.items[0].apiVersion]).toEqual([answer.apiVersion, answer.apiVersion]);
    }
  });
});
