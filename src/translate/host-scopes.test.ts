import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EncodedResource } from "#proto/encoded.ts";
import { type VirtualHost, VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { patience, runs } from "#base/testing/runs.ts";
import { classResources } from "./proxy-resources.ts";
import { hostResourceName } from "./routes/encoded.ts";
import { apply, edit, nodes, withClusters } from "./testing/arbitrary.ts";
import { emptyMesh } from "./testing/mesh.ts";

function contentOf({ any }: EncodedResource): Uint8Array {
  return fromBinary(AnySchema, any).value;
}

function routesOf(resource: EncodedResource): RouteConfiguration {
  return fromBinary(RouteConfigurationSchema, contentOf(resource));
}

/** Virtual hosts by their names as resources. */
function insideOf({ name, virtualHosts }: RouteConfiguration): ReadonlyMap<string, VirtualHost> {
  return new Map(
    virtualHosts.map((host) => {
      const resource = hostResourceName(name, host.name);
      return [resource, { ...host, name: resource }];
    }),
  );
}

function apartOf(hosts: ReadonlyMap<string, EncodedResource>, configuration: string): ReadonlyMap<string, VirtualHost> {
  const own = [...hosts].filter(([name]) => name.startsWith(`${configuration}/`));
  return new Map(own.map(([name, host]) => [name, fromBinary(VirtualHostSchema, contentOf(host))]));
}

function sortedNames(hosts: ReadonlyMap<string, VirtualHost>): readonly (readonly [string, VirtualHost])[] {
  return [...hosts].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

describe("virtual hosts as resources of their own", () => {
  it("are those that stand in route configurations otherwise", { timeout: patience(120_000) }, () => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 10, maxLength: 60 }), (edits) => {
        const mesh = withClusters();
        mesh.engine.change(() => {
          for (const each of edits) apply(mesh, each);
        });
        for (const node of nodes) {
          const { translator } = mesh;
          const inside = classResources(translator, translator.classOf(node));
          const apart = classResources(translator, translator.classOf(node, "apart"));
          expect([...apart.route.keys()]).toEqual([...inside.route.keys()]);
          for (const [name, resource] of inside.route) {
            const whole = routesOf(resource);
            const rest = routesOf(apart.route.get(name) ?? resource);
            if (!rest.vhds) {
              expect(rest).toEqual(whole);
              continue;
            }
            expect({ ...rest, vhds: undefined }).toEqual({ ...whole, virtualHosts: [], vhds: undefined });
            const hosts = apartOf(apart.virtualHost, name);
            expect(hosts.size).toBeGreaterThan(0);
            expect(sortedNames(hosts)).toEqual(sortedNames(insideOf(whole)));
          }
        }
      }),
      { numRuns: runs(40) },
    );
  });

  it("change no other resource, and are none for the one host of a sniffed port", () => {
    const mesh = withClusters();
    const [sidecar] = nodes;
    if (!sidecar) throw new Error("the small mesh lacks proxies");
    mesh.engine.change(() => {
      for (const port of [
        { name: "any", port: 9999 },
        { name: "http", port: 80 },
      ]) {
        const spec = { clusterIP: `10.0.0.${port.port % 7}`, selector: { app: "x" }, ports: [port] };
        const metadata = { name: port.name, namespace: "shop" };
        apply(mesh, {
          kind: "object",
          cluster: "east",
          remove: false,
          object: { apiVersion: "v1", kind: "Service", metadata, spec },
        });
      }
    });
    const { translator } = mesh;
    const { route: insideRoutes, ...inside } = classResources(translator, translator.classOf(sidecar));
    const { route, ...apart } = classResources(translator, translator.classOf(sidecar, "apart"));
    const sniffed = "any.shop.svc.cluster.local:9999";
    expect([...route.keys()]).toEqual(["80", sniffed]);
    expect(route.get(sniffed)).toEqual(insideRoutes.get(sniffed));
    expect([...apart.virtualHost.keys()].toSorted()).toEqual(["80/allow_any", "80/http.shop.svc.cluster.local:80"]);
    expect({ ...apart, virtualHost: new Map() }).toEqual(inside);
  });

  it("has no slash in its name, by which Envoy finds the configuration", () => {
    expect(hostResourceName("unix:///run/in", "a/b:80")).toBe("unix:///run/in/a%2Fb:80");
    expect(emptyMesh().translator.hostScope("{}", "80")).toBeUndefined();
  });
});
