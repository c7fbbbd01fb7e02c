import { describe, expect, it } from "vitest";
import type { Engine } from "#incremental/engine.ts";
import { typeUrls } from "#proto/encoded.ts";
import { Follower } from "./testing/follower.ts";
import type { TestMesh } from "./testing/mesh.ts";
import {
  authorizationPolicy,
  destinationRule,
  put,
  type Scale,
  scaleMesh,
  scaleNode,
  serviceObjects,
  virtualService,
} from "./testing/scale.ts";

/** Queries whose result is a message for proxies: what a translation is. */
const translations = ["cluster", "endpoints", "outbound-listener", "virtual-outbound", "virtual-inbound", "resource"];

/** How often each query ran, and how often one was looked at without being run. */
function counts({ computations, visits }: Engine): ReadonlyMap<string, number> {
  return new Map([...computations, ["looked at", visits]]);
}

/** The same during an edit. */
function during({ engine }: TestMesh, follower: Follower, edit: () => void): ReadonlyMap<string, number> {
  const before = counts(engine);
  edit();
  follower.refresh();
  const ran = [...counts(engine)].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
  return new Map(ran.filter(([, count]) => count > 0));
}

function followed(
  scale: Scale,
  proxies: number,
  virtualHosts: "apart" | "inside" = "inside",
  metadata: Readonly<Record<string, string>> = {},
): { readonly mesh: TestMesh; readonly follower: Follower } {
  const mesh = scaleMesh(scale);
  put(mesh, virtualService(0, scale, 0));
  put(mesh, destinationRule(0, scale, 0));
  const follower = new Follower(mesh.engine, mesh.translator);
  const nodes = Array.from({ length: proxies }, (_, index) => {
    const node = scaleNode(index, scale);
    return { ...node, metadata: { ...node.metadata, ...metadata } };
  });
  follower.follow(nodes.map((node) => mesh.translator.classOf(node, virtualHosts)));
  return { mesh, follower };
}

function pick(ran: ReadonlyMap<string, number>, names: readonly string[]): readonly (readonly [string, number])[] {
  return names.flatMap((name) => (ran.has(name) ? [[name, ran.get(name) ?? 0] as const] : []));
}

const scale: Scale = { services: 60, namespaces: 6, sidecars: 0 };

describe("the cost of a change", () => {
  it.each([6, 60])("of endpoints is one endpoint set, with %i proxies", (proxies) => {
    const { mesh, follower } = followed(scale, proxies);
    const ran = during(mesh, follower, () => {
      mesh.engine.change(() => {
        for (const object of serviceObjects(7, scale, 1)) put(mesh, object);
      });
    });
    // The set itself, and the scope of all these proxies that has it.
    expect(pick(ran, translations)).toEqual([
      ["endpoints", 1],
      ["resource", 1],
    ]);
  });

  it.each([6, 60])("of a DestinationRule is its service's cluster and endpoints, with %i proxies", (proxies) => {
    const { mesh, follower } = followed(scale, proxies);
    const ran = during(mesh, follower, () => put(mesh, destinationRule(0, scale, 1)));
    expect(ran.get("cluster")).toBe(1);
    expect(ran.get("endpoints")).toBe(1);
    expect(ran.get("outbound-listener")).toBeUndefined();
  });

  it("of a VirtualService is one set of routes, and a virtual host for its namespace and one for all others", () => {
    const { mesh, follower } = followed(scale, 60);
    const ran = during(mesh, follower, () => put(mesh, virtualService(0, scale, 1)));
    expect(ran.get("routes")).toBe(1);
    expect(ran.get("virtual-host")).toBe(2);
    expect(ran.get("sidecar-routes")).toBe(6);
    expect(ran.get("cluster")).toBeUndefined();
    expect(ran.get("endpoints")).toBeUndefined();
    expect(ran.get("outbound-listener")).toBeUndefined();
  });

  it.each([6, 60])("of a VirtualService is two resources where virtual hosts are apart, with %i proxies", (proxies) => {
    const { mesh, follower } = followed(scale, proxies, "apart");
    // One virtual host of each service, one more for its own namespace, and a last one.
    expect(mesh.engine.computations.get("virtual-host-resource")).toBe(2 * scale.services);
    const ran = during(mesh, follower, () => put(mesh, virtualService(0, scale, 1)));
    expect(ran.get("virtual-host-resource")).toBe(2);
    expect(ran.get("resource")).toBe(2);
    expect(ran.get("looked at")).toBeUndefined();
  });

  it("is nothing for proxies behind a Sidecar that leaves the service out", () => {
    const behind = { ...scale, sidecars: 3 };
    const { mesh, follower } = followed(behind, 60);
    const ran = during(mesh, follower, () => put(mesh, virtualService(5, behind, 1)));
    // ns-5 and the two others without a Sidecar.
    expect(ran.get("virtual-host")).toBe(2);
    expect(ran.get("sidecar-routes")).toBe(3);
  });

  it.each([
    ["of a namespace", "ns-1", {}, 2],
    ["of a workload", "ns-1", { selector: { matchLabels: { app: "svc-1" } } }, 1],
    ["of the mesh", "istio-system", {}, 12],
  ] as const)(
    "of a PeerAuthentication %s is the listeners of its workloads",
    (_what, namespace, selector, listeners) => {
      const { mesh, follower } = followed(scale, 12, "apart", { WEFT_SDS: "true" });
      const policy = (mode: string) => ({
        kind: "PeerAuthentication",
        metadata: { name: "default", namespace },
        spec: { ...selector, mtls: { mode } },
      });
      put(mesh, policy("PERMISSIVE"));
      follower.refresh();
      const ran = during(mesh, follower, () => put(mesh, policy("STRICT")));
      expect(pick(ran, [...translations, "unnamed-ports"])).toEqual([
        ["virtual-inbound", listeners],
        ["resource", listeners],
        ["unnamed-ports", 1],
      ]);
    },
  );

  it.each([
    ["a VirtualService", (scale: Scale) => [virtualService(0, scale, 1)]],
    ["a DestinationRule", (scale: Scale) => [destinationRule(0, scale, 1)]],
    ["endpoints", (scale: Scale) => serviceObjects(7, scale, 1)],
  ] as const)("of %s does not grow with the services that it does not touch", (_what, objects) => {
    const [few, many] = [60, 240].map((services) => {
      const mesh = followed({ ...scale, services }, 60, "apart");
      return during(mesh.mesh, mesh.follower, () => {
        mesh.mesh.engine.change(() => {
          for (const object of objects({ ...scale, services })) put(mesh.mesh, object);
        });
      });
    });
    expect(many).toEqual(few);
    expect(few?.get("looked at")).toBeUndefined();
  });

  it.each([6, 60])(
    "of an AuthorizationPolicy is the listener of the workloads that it selects, with %i proxies",
    (proxies) => {
      const { mesh, follower } = followed(scale, proxies);
      const policy = (path: string) => authorizationPolicy(0, scale, path);
      const created = during(mesh, follower, () => put(mesh, policy("/a")));
      expect(pick(created, [...translations, "security-filters"])).toEqual([
        ["virtual-inbound", 1],
        ["resource", 1],
        ["security-filters", 1],
      ]);
      const edited = during(mesh, follower, () => put(mesh, policy("/b")));
      expect(pick(edited, [...translations, "security-filters"])).toEqual([
        ["virtual-inbound", 1],
        ["resource", 1],
        ["security-filters", 1],
      ]);
      // What a policy says moves no proxy to other scopes.
      expect(edited.get("scopes")).toBeUndefined();
    },
  );

  it("does not grow with proxies of one namespace", () => {
    const [few, many] = [6, 60].map((proxies) => {
      const { mesh, follower } = followed(scale, proxies);
      return during(mesh, follower, () => put(mesh, virtualService(0, scale, 1)));
    });
    expect(many).toEqual(few);
  });

  it("of asking for a port that no service has does not grow with the services", () => {
    const asked = (services: number): number => {
      const { mesh } = followed({ ...scale, services }, 6);
      const route = mesh.translator.scopes.get(mesh.translator.classOf(scaleNode(0, scale)))[typeUrls.route][0] ?? "";
      const total = (): number => [...counts(mesh.engine).values()].reduce((sum, count) => sum + count, 0);
      mesh.translator.resource.get({ scope: route, name: "1" });
      const before = total();
      const observation = mesh.engine.observe(mesh.translator.resource, { scope: route, name: "12345" });
      expect(observation.current).toBeDefined();
      return total() - before;
    };
    expect(asked(600)).toBe(asked(60));
  });
});
