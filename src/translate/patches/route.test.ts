import { create, createRegistry } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { type Patch, patchesOf } from "./patch.ts";
import { patchRoutes } from "./route.ts";

function hostsAfter(...patches: readonly Patch[]): readonly string[] {
  const virtualHosts = ["a:80", "b:80"].map((name) => create(VirtualHostSchema, { name }));
  const routes = create(RouteConfigurationSchema, { name: "80", virtualHosts });
  patchRoutes(routes, { patches: patchesOf(patches), context: "SIDECAR_OUTBOUND", registry: createRegistry() });
  return routes.virtualHosts.map(({ name }) => name);
}

const match = { routeConfiguration: { vhost: { name: "a:80" } } };
const remove: Patch = { applyTo: "VIRTUAL_HOST", operation: "REMOVE", match };

function add(name: string): Patch {
  return { applyTo: "VIRTUAL_HOST", operation: "ADD", match: {}, value: create(VirtualHostSchema, { name }) };
}

test("a virtual host is added last", () => {
  expect(hostsAfter(add("c:80"))).toEqual(["a:80", "b:80", "c:80"]);
});

test("with a virtual host that is removed, those of its name go that are added, as in Istio", () => {
  expect(hostsAfter(remove, add("a:80"), add("c:80"))).toEqual(["b:80", "c:80"]);
});
