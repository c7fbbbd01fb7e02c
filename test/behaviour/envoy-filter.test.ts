/**
 * What EnvoyFilters change in the configuration of proxies. Names of groups are headings of Istio's reference "Envoy
 * Filter".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Call, Result } from "./caller.ts";
import { World } from "./world.ts";

/** An EnvoyFilter; `more` holds other fields of its spec than the patches. */
function filter(name: string, patches: readonly string[], more = "", namespace = "shop"): string {
  return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  ${more}
  configPatches:
${patches.map((patch) => `    - ${patch.trim().replaceAll("\n", "\n  ")}`).join("\n")}`;
}

/** The workloads of one app. */
function only(app: string): string {
  return `workloadSelector: { labels: { app: ${app} } }`;
}

const manager = "envoy.filters.network.http_connection_manager";
const router = `{ name: ${manager}, subFilter: { name: envoy.filters.http.router } }`;

/** A Lua script that adds a header to requests, as a filter before the router. */
function lua(context: string, header: string, value: string): string {
  const type = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
  const code = `function envoy_on_request(handle) handle:headers():add('${header}', '${value}') end`;
  return `
    applyTo: HTTP_FILTER
    match: { context: ${context}, listener: { filterChain: { filter: ${router} } } }
    patch:
      operation: INSERT_BEFORE
      value:
        name: lua-${value}
        typed_config: { "@type": ${type}, default_source_code: { inline_string: "${code}" } }`;
}

let world: World;

beforeAll(async () => {
  world = await World.start("ef", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "server", labels: { app: "server" }, serves: true },
      { name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } },
    ],
    services: [
      { name: "page" },
      { name: "server", servedBy: ["server"] },
      { name: "edge", namespace: "edge", servedBy: ["edge"], ports: [{ name: "http", port: 80, to: "http" }] },
    ],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers: [{ port: { number: 8088, name: http, protocol: HTTP }, hosts: ["*.example.com"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: page }
spec:
  hosts: [page.example.com]
  gateways: [edge/edge]
  http: [{ route: [{ destination: { host: page } }] }]`,
      filter("lua-inbound", [lua("SIDECAR_INBOUND", "x-patched", "inbound")], only("server")),
      filter("lua-edge", [lua("GATEWAY", "x-patched", "edge")], "", "edge"),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

function send(url: string, call?: Call): Promise<Result> {
  return world.caller("caller").send(`http://${url}`, call);
}

describe("HTTP_FILTER", () => {
  test("a Lua filter before the router of what comes in", async () => {
    expect((await send("server:9080/")).seen?.headers["x-patched"]).toBe("inbound");
    expect((await send("page:9080/")).seen?.headers["x-patched"]).toBeUndefined();
  });

  test("a Lua filter at a gateway", async () => {
    const { seen } = await world.outside.send(`http://${world.addressOf("edge")}:8088/`, { host: "page.example.com" });
    expect(seen?.headers["x-patched"]).toBe("edge");
  });
});
