import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestServer, version, type Json, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server[Symbol.asyncDispose]());

async function get(path: string, headers: Record<string, string> = {}, endpoint = "east"): Promise<Json> {
  return (await server.ask(endpoint, path, { headers })).json;
}

const aggregated = {
  Accept:
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
};

describe("discovery", () => {
  test("lists groups, versions and resources", async () => {
    expect((await get("/api")).versions).toEqual(["v1"]);
    const { groups } = await get("/apis");
    const istio = groups.find(({ name }: Json) => name === "networking.istio.io");
    expect(istio.preferredVersion).toEqual({ groupVersion: "networking.istio.io/v1", version: "v1" });
    expect(await get("/apis/networking.istio.io")).toMatchObject({ kind: "APIGroup", ...istio });
    const { resources } = await get("/api/v1");
    expect(resources.map(({ name }: Json) => name)).toEqual(
      expect.arrayContaining(["pods", "pods/log", "pods/status", "pods/proxy", "namespaces", "services/status"]),
    );
    expect(resources.find(({ name }: Json) => name === "pods")).toMatchObject({
      singularName: "pod",
      namespaced: true,
      kind: "Pod",
      shortNames: ["po"],
      verbs: expect.arrayContaining(["watch", "deletecollection"]),
    });
  });

  test("in one document tells the same", async () => {
    const { headers, json } = await server.ask("east", "/apis", { headers: aggregated });
    expect(headers["content-type"]).toBe("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    const apps = json.items.find(({ metadata }: Json) => metadata.name === "apps");
    const deployments = apps.versions[0].resources.find(({ resource }: Json) => resource === "deployments");
    expect(deployments).toMatchObject({
      responseKind: { group: "apps", version: "v1", kind: "Deployment" },
      scope: "Namespaced",
      subresources: [
        { subresource: "status" },
        { subresource: "scale", responseKind: { group: "autoscaling", version: "v1", kind: "Scale" } },
      ],
    });
    expect((await get("/api", aggregated)).items[0].versions[0].version).toBe("v1");
    const known = { ...aggregated, "If-None-Match": headers["etag"] ?? "" };
    const again = await server.ask("east", "/apis", { headers: known });
    expect([again.status, again.text]).toEqual([304, ""]);
    expect((await server.ask("west", "/apis", { headers: known })).status).toBe(304);
    expect((await server.ask("mesh", "/apis", { headers: known })).status).toBe(200);
  });

  test("of the mesh's endpoint leaves out what is a cluster's", async () => {
    const names = (await get("/api/v1", {}, "mesh")).resources.map(({ name }: Json) => name);
    expect(names).toContain("namespaces");
    expect(names).not.toContain("pods");
    expect((await get("/apis", {}, "mesh")).groups.map(({ name }: Json) => name)).not.toContain("apps");
    expect((await server.ask("mesh", "/api/v1/pods")).status).toBe(404);
  });

  test.each([
    "/api/v2",
    "/apis/none",
    "/apis/apps/v2",
    "/nothing",
    "/api/v1/widgets",
    "/apis/apps/v1/namespaces/a/b/c/d/e",
  ])("answers 404 at %s", async (path) => {
    const { status, json } = await server.ask("east", path);
    expect([status, json.reason]).toEqual([404, "NotFound"]);
  });

  test.each([
    ["POST", "/apis"],
    ["DELETE", "/version"],
    ["POST", "/api/v1/namespaces/default"],
    ["PUT", "/api/v1/namespaces"],
    ["POST", "/api/v1/configmaps"],
    ["DELETE", "/api/v1/configmaps"],
    ["DELETE", "/api/v1/namespaces/default/status"],
  ])("refuses %s of %s with 405", async (method, path) => {
    const { status, json } = await server.ask("east", path, { method });
    expect([status, json.reason]).toEqual([405, "MethodNotAllowed"]);
  });
});

describe("documents", () => {
  test("tell version and health", async () => {
    expect(await get("/version")).toEqual(version);
    for (const path of ["/healthz", "/livez", "/readyz"]) {
      expect((await server.ask("east", path)).text).toBe("ok");
    }
  });

  test("OpenAPI v3 lists a document for each group and version, by its content", async () => {
    const { paths } = await get("/openapi/v3");
    const { serverRelativeURL } = paths["apis/apps/v1"];
    expect(serverRelativeURL).toMatch(/^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{64}$/);
    const { headers, json } = await server.ask("east", serverRelativeURL as string);
    expect(json.components.schemas["io.k8s.api.apps.v1.Deployment"].properties.spec).toBeDefined();
    const etag = headers["etag"] ?? "";
    const again = await server.ask("east", "/openapi/v3/apis/apps/v1", { headers: { "If-None-Match": etag } });
    expect([again.status, again.text]).toEqual([304, ""]);
    expect((await server.ask("east", "/openapi/v3/apis/none/v1")).status).toBe(404);
  });

  test("OpenAPI v3 by its hash may be kept for ever; by another hash it stands at the right one", async () => {
    const { serverRelativeURL: url } = (await get("/openapi/v3")).paths["apis/networking.istio.io/v1"];
    const right = await server.ask("east", url as string);
    expect([right.status, right.headers["cache-control"]]).toEqual([200, "public, immutable"]);
    expect(Date.parse(right.headers["expires"] ?? "")).toBeGreaterThan(Date.now() + 300 * 24 * 3_600_000);
    const wrong = await server.ask("east", "/openapi/v3/apis/networking.istio.io/v1?hash=OLD");
    expect([wrong.status, wrong.headers["location"]]).toEqual([301, url]);
    const plain = await server.ask("east", "/openapi/v3/apis/networking.istio.io/v1");
    expect([plain.status, plain.headers["cache-control"]]).toEqual([200, "no-cache, private"]);
  });

  test("OpenAPI tells how each kind is patched", async () => {
    const { paths } = await get("/openapi/v3/apis/networking.istio.io/v1");
    const { patch } = paths["/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/{name}"];
    expect(Object.keys(patch.requestBody.content)).toEqual([
      "application/json-patch+json",
      "application/merge-patch+json",
      "application/apply-patch+yaml",
    ]);
    expect(patch.parameters.map(({ name }: Json) => name)).toEqual(expect.arrayContaining(["fieldManager", "force"]));
  });

  test("OpenAPI is JSON; who takes only protobuf is told so", async () => {
    expect((await get("/openapi/v2")).definitions["io.k8s.api.core.v1.Pod"]).toBeDefined();
    for (const [version, path] of [
      ["v2", "/openapi/v2"],
      ["v3", "/openapi/v3/apis/apps/v1"],
    ] as const) {
      const protobuf = `application/com.github.proto-openapi.spec.${version}@v1.0+protobuf`;
      expect((await server.ask("east", path, { headers: { Accept: protobuf } })).status).toBe(406);
      const either = { Accept: `${protobuf}, application/json;q=0.5` };
      expect((await server.ask("east", path, { headers: either })).headers["content-type"]).toBe("application/json");
    }
  });
});
