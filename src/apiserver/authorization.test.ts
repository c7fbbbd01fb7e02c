import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { created, configMap, createNamespace, pod } from "./testing/objects.ts";
import { startTestServer, type Answer, type Json, type TestServer, type TestUser } from "./testing/server.ts";

const rbac = "/apis/rbac.authorization.k8s.io/v1";
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ access: {} });
  for (const endpoint of ["mesh", "east"]) await createNamespace(server, endpoint, "shop");
});
afterAll(() => server[Symbol.asyncDispose]());

let people = 0;
/** Somebody whom no other test knows. */
function person(...groups: string[]): TestUser {
  people += 1;
  return { name: `user-${people}`, groups };
}

function user({ name }: TestUser): object {
  return { kind: "User", name };
}

async function bind(who: TestUser, role: string, namespace?: string, endpoint = "east"): Promise<string> {
  const kind = namespace === undefined ? "clusterrolebindings" : `namespaces/${namespace}/rolebindings`;
  const body = {
    metadata: { generateName: "b-" },
    roleRef: { kind: "ClusterRole", name: role },
    subjects: [user(who)],
  };
  const { json } = await created(server, endpoint, `${rbac}/${kind}`, body);
  return `${rbac}/${kind}/${json.metadata.name}`;
}

async function role(rules: readonly object[], extra: object = {}): Promise<string> {
  const body = { metadata: { name: `role-${(people += 1)}`, ...extra }, rules };
  return (await created(server, "east", `${rbac}/clusterroles`, body)).json.metadata.name;
}

const rule = (verbs: string[], resources: string[], more: object = {}): object => ({
  verbs,
  apiGroups: [""],
  resources,
  ...more,
});

async function status(who: TestUser, path: string, method = "GET", body?: object): Promise<number> {
  return (await server.ask("east", path, { as: who, method, ...(body === undefined ? {} : { body }) })).status;
}

async function can(who: TestUser, attributes: object, endpoint = "east"): Promise<boolean> {
  const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  const body = { spec: { resourceAttributes: attributes } };
  return (await server.ask(endpoint, path, { as: who, method: "POST", body })).json.status.allowed;
}

describe("a role", () => {
  test("given in a namespace holds there alone, and ends with its binding", async () => {
    const ada = person();
    expect(await status(ada, "/api/v1/namespaces/shop/configmaps")).toBe(403);
    const binding = await bind(ada, "view", "shop");
    expect(await status(ada, "/api/v1/namespaces/shop/configmaps")).toBe(200);
    expect(await status(ada, "/api/v1/namespaces/shop")).toBe(200);
    expect(await status(ada, "/api/v1/namespaces/default/configmaps")).toBe(403);
    expect(await status(ada, "/api/v1/configmaps")).toBe(403);
    expect(await status(ada, "/api/v1/namespaces/shop/secrets")).toBe(403);
    expect(await status(ada, "/api/v1/namespaces/shop/configmaps", "POST", configMap("a"))).toBe(403);
    await server.ask("east", binding, { method: "DELETE" });
    expect(await status(ada, "/api/v1/namespaces/shop/configmaps")).toBe(403);
  });

  test("can be for verbs, names and subresources", async () => {
    const ada = person();
    const names = { resourceNames: ["kube-root"] };
    await bind(ada, await role([rule(["get", "list"], ["configmaps"], names), rule(["get"], ["pods/log"])]));
    expect(await can(ada, { verb: "get", resource: "configmaps", name: "kube-root", namespace: "shop" })).toBe(true);
    expect(await can(ada, { verb: "get", resource: "configmaps", name: "other", namespace: "shop" })).toBe(false);
    expect(await can(ada, { verb: "list", resource: "configmaps", namespace: "shop" })).toBe(false);
    const one = "/api/v1/namespaces/shop/configmaps?fieldSelector=metadata.name%3Dkube-root";
    expect(await status(ada, one)).toBe(200);
    expect(await can(ada, { verb: "get", resource: "pods", subresource: "log", namespace: "shop" })).toBe(true);
    expect(await can(ada, { verb: "get", resource: "pods", namespace: "shop" })).toBe(false);
  });

  test("is given to groups and service accounts, too", async () => {
    const ops = person("ops-1");
    const subjects = [
      { kind: "Group", name: "ops-1" },
      { kind: "ServiceAccount", name: "default", namespace: "shop" },
    ];
    const body = { metadata: { name: "ops" }, roleRef: { kind: "ClusterRole", name: "edit" }, subjects };
    await created(server, "east", `${rbac}/clusterrolebindings`, body);
    expect(await can(ops, { verb: "create", resource: "services", namespace: "default" })).toBe(true);
    const { token } = (
      await server.ask("east", "/api/v1/namespaces/shop/serviceaccounts/default/token", { method: "POST", body: {} })
    ).json.status;
    const headers = { Authorization: `Bearer ${token}` };
    expect((await server.ask("east", "/api/v1/secrets", { as: null, headers })).status).toBe(200);
    expect((await server.ask("east", "/api/v1/nodes", { as: null, headers })).status).toBe(403);
  });

  test("of one endpoint says nothing at another", async () => {
    const ada = person();
    await bind(ada, "cluster-admin", undefined, "mesh");
    const asked = { verb: "delete", group: "networking.istio.io", resource: "virtualservices", namespace: "shop" };
    expect(await can(ada, asked, "mesh")).toBe(true);
    expect(await can(ada, asked, "east")).toBe(false);
  });

  test("that is missing is told of, and gives nothing", async () => {
    const ada = person();
    await bind(ada, "no-such-role");
    const { json } = await server.ask("east", "/api/v1/pods", { as: ada });
    expect(json.message).toContain(`RBAC: clusterrole.rbac.authorization.k8s.io "no-such-role" not found`);
  });

  test("of Kubernetes' names has Istio's kinds", async () => {
    const [viewer, editor, admin] = [person(), person(), person()];
    for (const [who, name] of [
      [viewer, "view"],
      [editor, "edit"],
      [admin, "admin"],
    ] as const)
      await bind(who, name, "shop");
    const asked = (verb: string): object => ({
      verb,
      group: "networking.istio.io",
      resource: "virtualservices",
      namespace: "shop",
    });
    const binding = { verb: "create", group: "rbac.authorization.k8s.io", resource: "rolebindings", namespace: "shop" };
    await expect.poll(async () => can(admin, asked("get"))).toBe(true);
    const answers = await Promise.all(
      [viewer, editor, admin].map(async (who) => [
        await can(who, asked("get")),
        await can(who, asked("patch")),
        await can(who, binding),
      ]),
    );
    expect(answers).toEqual([
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ]);
  });
});

describe("a ClusterRole that is put together from others", () => {
  test("follows them", async () => {
    const ada = person();
    const labels = { "example.com/part": "one" };
    const aggregationRule = { clusterRoleSelectors: [{ matchLabels: labels }] };
    await created(server, "east", `${rbac}/clusterroles`, { metadata: { name: "whole" }, aggregationRule });
    await bind(ada, "whole");
    const asked = { verb: "get", resource: "nodes" };
    expect(await can(ada, asked)).toBe(false);
    const part = await role([rule(["get"], ["nodes"])], { labels });
    await expect.poll(async () => can(ada, asked)).toBe(true);
    await server.ask("east", `${rbac}/clusterroles/${part}`, { method: "DELETE" });
    await expect.poll(async () => can(ada, asked)).toBe(false);
  });
});

describe("nobody gives rights that they do not have", () => {
  const rights = ["create", "update", "patch", "get", "delete"];
  const roles = { verbs: rights, apiGroups: ["rbac.authorization.k8s.io"], resources: ["*"] };

  async function attempt(who: TestUser, kind: string, body: object): Promise<Answer> {
    return server.ask("east", `${rbac}/${kind}`, { as: who, method: "POST", body });
  }

  test("by a role of theirs", async () => {
    const ada = person();
    await bind(ada, await role([roles, rule(["get"], ["pods"])]));
    const own = { metadata: { name: "own" }, rules: [rule(["get"], ["pods"])] };
    expect((await attempt(ada, "clusterroles", own)).status).toBe(201);
    const more = { metadata: { name: "more" }, rules: [rule(["get", "delete"], ["pods"])] };
    const refused = await attempt(ada, "clusterroles", more);
    expect(refused.json).toMatchObject({
      code: 403,
      message: `clusterroles.rbac.authorization.k8s.io "more" is forbidden: user "${ada.name}" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}`,
    });
    const path = `${rbac}/clusterroles/own`;
    const grown = [{ op: "replace", path: "/rules/0/verbs", value: ["*"] }];
    const headers = { "Content-Type": "application/json-patch+json" };
    const change = async (body: object): Promise<number> =>
      (await server.ask("east", path, { as: ada, method: "PATCH", body: JSON.stringify(body), headers })).status;
    expect(await change(grown)).toBe(403);
    expect(await change([{ op: "add", path: "/metadata/labels", value: { a: "b" } }])).toBe(200);
    const selectors = { clusterRoleSelectors: [{ matchLabels: { "kubernetes.io/bootstrapping": "rbac-defaults" } }] };
    const whole = { metadata: { name: "every" }, aggregationRule: selectors };
    expect((await attempt(ada, "clusterroles", whole)).status).toBe(403);
  });

  test("by binding a role of others", async () => {
    const ada = person();
    await bind(ada, await role([roles, rule(["get"], ["pods"])]));
    const body = (name: string): object => ({
      metadata: { generateName: "x-" },
      roleRef: { kind: "ClusterRole", name },
      subjects: [user(ada)],
    });
    const fine = await role([rule(["get"], ["pods"])]);
    expect((await attempt(ada, "clusterrolebindings", body(fine))).status).toBe(201);
    expect((await attempt(ada, "clusterrolebindings", body("cluster-admin"))).status).toBe(403);
    expect((await attempt(ada, "namespaces/shop/rolebindings", body("admin"))).status).toBe(403);
    expect((await attempt(ada, "clusterrolebindings", body("none"))).status).toBe(404);
  });

  test("unless they may escalate or bind", async () => {
    const ada = person();
    const more = { ...roles, verbs: [...rights, "escalate", "bind"] };
    await bind(ada, await role([more]));
    const big = { metadata: { name: "big" }, rules: [rule(["*"], ["*"])] };
    expect((await attempt(ada, "clusterroles", big)).status).toBe(201);
    const binding = { metadata: { name: "big" }, roleRef: { kind: "ClusterRole", name: "big" }, subjects: [user(ada)] };
    expect((await attempt(ada, "clusterrolebindings", binding)).status).toBe(201);
  });
});

describe("a watch", () => {
  test("is cut when the right to it is withdrawn, and others go on", async () => {
    const [ada, bob] = [person(), person()];
    const binding = await bind(ada, "view", "shop");
    await bind(bob, "view", "shop");
    const path =
      "/api/v1/namespaces/shop/configmaps?watch=true&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    using hers = await server.watch("east", path, {}, ada);
    using his = await server.watch("east", path, {}, bob);
    expect([hers.status, his.status]).toEqual([200, 200]);
    await created(server, "east", "/api/v1/namespaces/shop/configmaps", configMap("seen"));
    expect((await hers.next()).object.metadata.name).toBe("seen");
    expect((await his.next()).object.metadata.name).toBe("seen");
    await server.ask("east", binding, { method: "DELETE" });
    expect(await hers.next()).toBeUndefined();
    await created(server, "east", "/api/v1/namespaces/shop/configmaps", configMap("unseen"));
    expect((await his.next()).object.metadata.name).toBe("unseen");
    expect(await status(ada, path)).toBe(403);
  });

  test("is cut also by a server whose turn it is not to do what goes by itself", async () => {
    const idle = async (_: unknown, signal: AbortSignal): Promise<void> => {
      if (!signal.aborted) await once(signal, "abort");
    };
    await using another = await startTestServer({ access: {}, alone: idle });
    const ada = person();
    await createNamespace(another, "east", "shop");
    const bindings = `${rbac}/namespaces/shop/rolebindings`;
    const body = {
      metadata: { name: "b" },
      roleRef: { kind: "ClusterRole", name: "system:aggregate-to-view" },
      subjects: [user(ada)],
    };
    await created(another, "east", bindings, body);
    using hers = await another.watch("east", "/api/v1/namespaces/shop/configmaps?watch=true", {}, ada);
    expect(hers.status).toBe(200);
    await another.ask("east", `${bindings}/b`, { method: "DELETE" });
    for (let line = await hers.next(); line !== undefined; line = await hers.next()) expect(line.type).toBe("ADDED");
  });
});

describe("reviews", () => {
  const review = async (kind: string, spec: object, as?: TestUser, within = ""): Promise<Json> => {
    const path = `/apis/authorization.k8s.io/v1/${within}${kind}`;
    return (await server.ask("east", path, { method: "POST", body: { spec }, ...(as === undefined ? {} : { as }) }))
      .json;
  };
  const resourceAttributes = { verb: "get", resource: "pods", namespace: "shop" };

  test("tell of others only who may ask", async () => {
    const [ada, auditor] = [person(), person()];
    await bind(ada, "view", "shop");
    await bind(auditor, "system:auth-delegator");
    const spec = { user: ada.name, resourceAttributes };
    expect((await review("subjectaccessreviews", spec, auditor)).status).toMatchObject({
      allowed: true,
      reason: expect.stringMatching(
        /^RBAC: allowed by RoleBinding "b-\w+\/shop" of ClusterRole "view" to User/,
      ) as string,
    });
    expect((await review("subjectaccessreviews", { ...spec, user: "nobody" })).status).toEqual({ allowed: false });
    expect(await review("subjectaccessreviews", spec, ada)).toMatchObject({ code: 403 });
    const local = "namespaces/shop/";
    expect((await review("localsubjectaccessreviews", spec, undefined, local)).status).toMatchObject({ allowed: true });
    expect(await review("localsubjectaccessreviews", spec, undefined, "namespaces/default/")).toMatchObject({
      code: 400,
    });
    expect(await review("selfsubjectaccessreviews", {})).toMatchObject({ code: 400 });
  });

  test("list what somebody may do", async () => {
    const ada = person();
    await bind(ada, await role([rule(["get"], ["nodes"])]));
    const { status } = await review("selfsubjectrulesreviews", { namespace: "shop" }, ada);
    expect(status).toMatchObject({ incomplete: false });
    expect(status.resourceRules).toContainEqual({ verbs: ["get"], apiGroups: [""], resources: ["nodes"] });
    expect(status.nonResourceRules).toContainEqual({
      verbs: ["get"],
      nonResourceURLs: expect.arrayContaining(["/api"]),
    });
  });
});

describe("a node's agent", () => {
  const agent: TestUser = { name: "system:node:n1", groups: ["system:nodes"] };
  const pods = "/api/v1/namespaces/shop/pods";
  const patch = async (path: string, body: object, as: TestUser = agent): Promise<number> => {
    const headers = { "Content-Type": "application/merge-patch+json" };
    return (await server.ask("east", path, { as, method: "PATCH", body: JSON.stringify(body), headers })).status;
  };

  beforeAll(async () => {
    for (const name of ["n1", "n2"]) {
      await created(server, "east", "/api/v1/nodes", { metadata: { name } });
      for (const kind of ["secrets", "serviceaccounts"]) {
        const own = { metadata: { name: kind === "secrets" ? `of-${name}` : `a-${name}` } };
        await created(server, "east", `/api/v1/namespaces/shop/${kind}`, own);
      }
      const volumes = [{ name: "v", secret: { secretName: `of-${name}` } }];
      await created(
        server,
        "east",
        pods,
        pod(`on-${name}`, { nodeName: name, serviceAccountName: `a-${name}`, volumes }),
      );
    }
    await createNamespace(server, "east", "istio-system");
    await created(server, "east", "/api/v1/namespaces/istio-system/serviceaccounts", {
      metadata: { name: "weft-agent" },
    });
  });

  test("reads what its Pods need, and no other node's", async () => {
    expect(await status(agent, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")).toBe(200);
    expect(await status(agent, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2")).toBe(403);
    expect(await status(agent, "/api/v1/pods")).toBe(403);
    expect(await status(agent, "/api/v1/namespaces/shop/secrets/of-n1")).toBe(200);
    expect(await status(agent, "/api/v1/namespaces/shop/secrets/of-n2")).toBe(403);
    expect(await status(agent, "/api/v1/namespaces/shop/secrets")).toBe(403);
    const maps = "/api/v1/namespaces/shop/configmaps?fieldSelector=metadata.name%3D";
    expect(await status(agent, `${maps}istio-ca-root-cert`)).toBe(200);
    expect(await status(agent, `${maps}other`)).toBe(403);
    expect(await status(agent, `${pods}/on-n1`)).toBe(200);
    expect(await status(agent, `${pods}/on-n2`)).toBe(403);
    expect(await status(agent, "/api/v1/namespaces/shop")).toBe(200);
    expect(await status(agent, "/apis/networking.istio.io/v1/virtualservices")).toBe(403);
  });

  test("writes its Node, and its Pods' status and one label, and nothing else", async () => {
    expect(await patch("/api/v1/nodes/n1/status", { status: { phase: "Running" } })).toBe(200);
    expect(await patch("/api/v1/nodes/n1", { metadata: { annotations: { a: "b" } } })).toBe(200);
    expect(await patch("/api/v1/nodes/n1", { spec: { taints: [{ key: "a", effect: "NoSchedule" }] } })).toBe(403);
    expect(
      await patch("/api/v1/nodes/n1", { metadata: { labels: { "x.node-restriction.kubernetes.io/a": "b" } } }),
    ).toBe(403);
    expect(await patch("/api/v1/nodes/n2", { metadata: { annotations: { a: "b" } } })).toBe(403);
    expect(await status(agent, "/api/v1/nodes", "POST", { metadata: { name: "n3" } })).toBe(403);
    expect(await patch(`${pods}/on-n1/status`, { status: { phase: "Running" } })).toBe(200);
    expect(await patch(`${pods}/on-n2/status`, { status: { phase: "Running" } })).toBe(403);
    expect(await patch(`${pods}/on-n1`, { metadata: { labels: { "security.istio.io/tlsMode": "istio" } } })).toBe(200);
    expect(await patch(`${pods}/on-n1`, { metadata: { labels: { app: "other" } } })).toBe(403);
    expect(await patch(`${pods}/on-n1`, { metadata: { annotations: { a: "b" } } })).toBe(403);
    expect(await patch(`${pods}/on-n1`, { spec: { activeDeadlineSeconds: 5 } })).toBe(403);
    expect(await status(agent, pods, "POST", pod("new", { nodeName: "n1" }))).toBe(403);
  });

  test("gets tokens of accounts of Pods on its node, and its own, bound to them", async () => {
    const ask = async (account: string, spec: object, namespace = "shop"): Promise<number> =>
      status(agent, `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, "POST", { spec });
    const bound = (kind: string, name: string): object => ({ boundObjectRef: { apiVersion: "v1", kind, name } });
    expect(await ask("a-n1", bound("Pod", "on-n1"))).toBe(201);
    expect(await ask("a-n1", {})).toBe(403);
    expect(await ask("a-n1", bound("Node", "n1"))).toBe(403);
    expect(await ask("a-n2", bound("Pod", "on-n2"))).toBe(403);
    expect(await ask("default", {})).toBe(403);
    expect(await ask("weft-agent", bound("Node", "n1"), "istio-system")).toBe(201);
    expect(await ask("weft-agent", bound("Node", "n2"), "istio-system")).toBe(403);
    expect(await ask("weft-agent", {}, "istio-system")).toBe(403);
  });

  test("is none by its name alone", async () => {
    expect(await status({ name: "system:node:n1", groups: [] }, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")).toBe(
      403,
    );
  });
});
