/** Stores of earlier versions: the roles and bindings that the server comes with get what they lack when it starts. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rbacGroup } from "#api/kubernetes/rbac.ts";
import { created, createNamespace } from "../testing/objects.ts";
import { startTestServer, type Json, type TestServer } from "../testing/server.ts";

const rbac = `/apis/${rbacGroup}/v1`;
const inRoot = `${rbac}/namespaces/istio-system`;
const autoupdate = "rbac.authorization.kubernetes.io/autoupdate";
const discovery = { name: "system:weft:discovery", groups: [] };
const rule = (verbs: readonly string[], resource: string): object => ({
  verbs,
  apiGroups: [""],
  resources: [resource],
});
const user = (name: string): object => ({ apiGroup: rbacGroup, kind: "User", name });

let server: TestServer;
const get = async (path: string): Promise<Json> => (await server.ask("east", path)).json;

/** Changes an object to what an earlier version, or somebody, has made of it. */
async function change(path: string, parts: object, annotations?: object): Promise<void> {
  const { metadata, ...object } = await get(path);
  const body = { ...object, ...parts, metadata: { ...metadata, labels: {}, annotations } };
  expect((await server.ask("east", path, { method: "PUT", body })).status).toBe(200);
}

async function can(verb: string, resource: string, more: object = {}): Promise<boolean> {
  const body = { spec: { resourceAttributes: { verb, resource, ...more } } };
  const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  return (await server.ask("east", path, { as: discovery, method: "POST", body })).json.status.allowed;
}

beforeAll(async () => {
  server = await startTestServer({ access: {} });
  await createNamespace(server, "east", "istio-system");
  await server.restart();
});
afterAll(() => server[Symbol.asyncDispose]());

describe("when the server starts with a store of an earlier version", () => {
  test("a role in the root namespace gets the rules that it lacks", async () => {
    const path = `${inRoot}/roles/weft-discovery`;
    await change(path, { rules: [rule(["create", "update"], "secrets"), rule(["get"], "pods/exec")] });
    expect(await can("delete", "secrets", { namespace: "istio-system" })).toBe(false);
    await server.restart();
    expect(await can("delete", "secrets", { namespace: "istio-system" })).toBe(true);
    // What somebody added stays, and so does the rest.
    const lease = (verb: string) => ({ ...rule([verb], "leases"), apiGroups: ["coordination.k8s.io"] });
    expect((await get(path)).rules).toEqual([
      rule(["create", "update"], "secrets"),
      rule(["get"], "pods/exec"),
      rule(["patch"], "secrets"),
      rule(["delete"], "secrets"),
      rule(["delete"], "configmaps"),
      ...["get", "list", "watch", "create", "update", "patch", "delete"].map(lease),
    ]);
    expect((await get(path)).metadata).toMatchObject({
      annotations: { [autoupdate]: "true" },
      labels: { "kubernetes.io/bootstrapping": "rbac-defaults" },
    });
  });

  test("bindings get the subjects that they lack, and keep others", async () => {
    const paths = [`${inRoot}/rolebindings/weft-discovery`, `${rbac}/clusterrolebindings/weft-discovery`];
    for (const path of paths) await change(path, { subjects: [user("ada")] });
    expect(await can("list", "services")).toBe(false);
    await server.restart();
    expect(await can("list", "services")).toBe(true);
    for (const path of paths) expect((await get(path)).subjects).toEqual([user("ada"), user(discovery.name)]);
  });

  test("a binding that gives another role, or was taken away, is made anew", async () => {
    const bindings = `${rbac}/clusterrolebindings`;
    for (const name of ["weft-discovery", "system:discovery"])
      expect((await server.ask("east", `${bindings}/${name}`, { method: "DELETE" })).status).toBe(200);
    const roleRef = { apiGroup: rbacGroup, kind: "ClusterRole", name: "view" };
    await created(server, "east", bindings, { metadata: { name: "weft-discovery" }, roleRef, subjects: [] });
    await server.restart();
    expect(await get(`${bindings}/weft-discovery`)).toMatchObject({
      roleRef: { name: "weft-discovery" },
      subjects: [user(discovery.name)],
    });
    expect(await get(`${bindings}/system:discovery`)).toMatchObject({ roleRef: { name: "system:discovery" } });
  });

  test("a role that is put together from others gets its selectors and its label", async () => {
    const path = `${rbac}/clusterroles/edit`;
    const { aggregationRule, metadata } = await get(path);
    const own = { matchLabels: { own: "yes" } };
    await change(path, { aggregationRule: { clusterRoleSelectors: [own] } });
    await server.restart();
    const now = await get(path);
    expect(now.aggregationRule.clusterRoleSelectors).toEqual([own, ...aggregationRule.clusterRoleSelectors]);
    expect(now.metadata.labels).toEqual(metadata.labels);
  });

  test("what somebody keeps by the annotation stays as it is", async () => {
    const kept = { [autoupdate]: "false" };
    const role = `${inRoot}/roles/weft-discovery`;
    const binding = `${rbac}/clusterrolebindings/system:public-info-viewer`;
    await change(role, { rules: [] }, kept);
    await change(binding, { subjects: [] }, kept);
    const before = [await get(role), await get(binding)];
    await server.restart();
    expect([await get(role), await get(binding)]).toEqual(before);
    await change(role, {});
    await server.restart();
    expect((await get(role)).rules).toHaveLength(12);
  });

  test("a second start writes nothing", async () => {
    const lists = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];
    const all = async (): Promise<Json> => Promise.all(lists.map(async (list) => (await get(`${rbac}/${list}`)).items));
    const before = await all();
    await server.restart();
    expect(await all()).toEqual(before);
  });
});

describe("the control plane reads of Pods' ports the proxies' administration alone", () => {
  const proxy = (name: string) => ({ subresource: "proxy", namespace: "istio-system", name });

  test("by who it is", async () => {
    expect(await can("get", "pods", proxy("page-1:15000"))).toBe(true);
    for (const name of ["page-1", "page-1:8080", "page-1:150000", "https:page-1:15000", "", ":15000"])
      expect([name, await can("get", "pods", proxy(name))]).toEqual([name, false]);
    for (const verb of ["create", "update", "delete"])
      expect([verb, await can(verb, "pods", proxy("page-1:15000"))]).toEqual([verb, false]);
    const path = "/api/v1/namespaces/istio-system/pods/page-1:8080/proxy/config_dump";
    expect((await server.ask("east", path, { as: discovery })).status).toBe(403);
    // There is no such Pod.
    expect((await server.ask("east", path.replace("8080", "15000"), { as: discovery })).status).toBe(404);
  });

  test("the right of earlier versions to all ports is taken away, and no other", async () => {
    const path = `${rbac}/clusterroles/weft-discovery`;
    const { rules } = await get(path);
    await change(path, { rules: [rule(["get"], "pods/proxy"), rule(["get"], "pods/log"), ...rules] });
    expect(await can("get", "pods", proxy("page-1:8080"))).toBe(true);
    await server.restart();
    expect((await get(path)).rules).toEqual([rule(["get"], "pods/log"), ...rules]);
    expect(await can("get", "pods", proxy("page-1:8080"))).toBe(false);
  });
});
