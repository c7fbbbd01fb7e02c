import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { trafficExtension } from "#api/istio/traffic-extension.ts";
import { wasmPlugin } from "#api/istio/wasm-plugin.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { type ProxyResources, resourcesOf } from "../proxy-resources.ts";
import type { NodeInfo } from "../proxy-class.ts";
import { apply, type Edit, edit, nodes, withClusters } from "../testing/arbitrary.ts";
import { isPatched } from "../testing/blame.ts";
import { envoyFilters } from "../testing/envoy-filters.ts";
import { Follower } from "../testing/follower.ts";
import type { TestMesh } from "../testing/mesh.ts";
import { acceptedObjects } from "../testing/from-schema.ts";
import { envoyFilter, put, type Scale, scaleMesh, scaleNode } from "../testing/scale.ts";
import { refusal } from "../testing/validate.ts";

const edits = fc.array(edit, { minLength: 5, maxLength: 15 });
const filters = fc.array(envoyFilters, { minLength: 1, maxLength: 3 });

function meshWith(all: readonly Edit[], patches: readonly ObjectInput[]): TestMesh {
  const mesh = withClusters();
  mesh.engine.change(() => {
    for (const each of all) apply(mesh, each);
    for (const each of patches) mesh.model.inputs.put(complete(each));
  });
  return mesh;
}

function resources({ translator }: TestMesh, node: NodeInfo) {
  const all = Object.values(resourcesOf(translator, node)) as readonly ProxyResources["cluster"][];
  return all.flatMap((each) => [...each.values()]);
}

describe("any EnvoyFilter", () => {
  it(
    "is applied without a fault, and judged, after any edits as if it had been there before",
    { timeout: patience(150_000) },
    () => {
      fc.assert(
        fc.property(edits, filters, (all, patches) => {
          const mesh = meshWith(all, []);
          const follower = new Follower(mesh.engine, mesh.translator);
          follower.follow(nodes.map((node) => mesh.translator.classOf(node)));
          mesh.engine.change(() => {
            for (const each of patches) mesh.model.inputs.put(complete(each));
          });
          const fresh = meshWith(all, patches);
          for (const node of nodes) {
            const versions = (of: TestMesh) => resources(of, node).map(({ name, version }) => `${name} ${version}`);
            expect(versions(mesh)).toEqual(versions(fresh));
          }
          for (const { kind, metadata } of patches) {
            const { name, namespace = "" } = metadata;
            for (const { field } of mesh.translator.findings({ kind, name, namespace })) {
              expect(field).toMatch(/^spec\.configPatches\[\d\]\./);
            }
          }
        }),
        { numRuns: runs(60) },
      );
    },
  );

  it("may stand beside any extension", { timeout: patience(120_000) }, () => {
    const extensions = fc.array(fc.oneof(acceptedObjects(wasmPlugin), acceptedObjects(trafficExtension)), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(edits, filters, extensions, (all, patches, made) => {
        const mesh = meshWith(all, patches);
        mesh.engine.change(() => {
          for (const each of made) mesh.model.inputs.put(each);
        });
        for (const node of nodes) expect(resources(mesh, node).length).toBeGreaterThan(0);
        for (const { kind, metadata } of made) {
          const { name, namespace = "" } = metadata;
          for (const { code } of mesh.translator.findings({ kind, name, namespace }))
            expect(code).toBe("NotImplemented");
        }
      }),
      { numRuns: runs(40) },
    );
  });

  it("has no two resources of a type under one name", { timeout: patience(120_000) }, () => {
    fc.assert(
      fc.property(edits, filters, (all, patches) => {
        const { translator } = meshWith(all, patches);
        for (const node of nodes) {
          const scopes = translator.scopes.get(translator.classOf(node));
          for (const type of [typeUrls.cluster, typeUrls.listener]) {
            const names = scopes[type].flatMap((scope) => translator.names.get(scope));
            expect(new Set(names).size).toBe(names.length);
            for (const scope of scopes[type]) {
              for (const name of translator.names.get(scope)) {
                expect(translator.resource.get({ scope, name })?.name).toBe(name);
              }
            }
          }
        }
      }),
      { numRuns: runs(40) },
    );
  });

  it("gives a real Envoy what it takes, or is to blame", { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(edits, filters, async (all, patches) => {
        const mesh = meshWith(all, patches);
        for (const node of [nodes[0], nodes.at(-1)]) {
          if (!node) continue;
          const problem = await refusal(resourcesOf(mesh.translator, node));
          expect(problem === "" || isPatched(mesh, node)).toBe(true);
        }
      }),
      { numRuns: runs(8) },
    );
  });
});

const scale: Scale = { services: 60, namespaces: 6, sidecars: 0 };

/** A patch of one cluster for the proxies of `ns-1`; `more` are other fields of the spec. */
function timeout(generation: number, more: object = {}): ObjectInput {
  const made = envoyFilter(7, scale, generation);
  return { ...made, spec: { ...(made["spec"] as object), ...more } };
}

function scopesOf({ translator }: TestMesh, node: NodeInfo): ReadonlyMap<TypeUrl, readonly string[]> {
  return new Map(Object.entries(translator.scopes.get(translator.classOf(node))) as [TypeUrl, readonly string[]][]);
}

describe("the origins of a resource", () => {
  it("name the EnvoyFilters that changed or added it, and no others", () => {
    const mesh = scaleMesh(scale);
    const node = scaleNode(1, scale);
    put(mesh, timeout(1));
    const adding = { applyTo: "CLUSTER", patch: { operation: "ADD", value: { name: "extra", type: "STATIC" } } };
    put(mesh, {
      kind: "EnvoyFilter",
      metadata: { name: "extra", namespace: "ns-1" },
      spec: { configPatches: [adding] },
    });
    const blamed = (name: string): readonly string[] =>
      mesh.translator
        .origins(node, typeUrls.cluster, name)
        .flatMap((origin) => (origin.kind === "EnvoyFilter" ? [origin.name] : []));
    expect(blamed("outbound|80||svc-7.ns-1.svc.cluster.local")).toEqual(["timeout"]);
    expect(blamed("outbound|80||svc-1.ns-1.svc.cluster.local")).toEqual([]);
    expect(blamed("extra")).toEqual(["extra"]);
  });
});

describe("the cost of an EnvoyFilter", () => {
  it("is nothing for proxies that it is not for", () => {
    const mesh = scaleMesh(scale);
    const others = [scaleNode(1, scale), scaleNode(6, scale)];
    const before = others.map((node) => scopesOf(mesh, node));
    put(mesh, timeout(1, { workloadSelector: { labels: { app: "svc-7" } } }));
    expect(others.map((node) => scopesOf(mesh, node))).toEqual(before);
  });

  it.each([6, 60])("is what it patches, once, with %i proxies", (proxies) => {
    const mesh = scaleMesh(scale);
    put(mesh, timeout(1));
    const follower = new Follower(mesh.engine, mesh.translator);
    follower.follow(Array.from({ length: proxies }, (_, at) => mesh.translator.classOf(scaleNode(at, scale))));
    const before = new Map(mesh.engine.computations);
    put(mesh, timeout(2));
    follower.refresh();
    const ran = [...mesh.engine.computations].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
    const counts = Object.fromEntries(ran.filter(([, count]) => count > 0));
    // One cluster is made anew.
    expect(counts).toEqual({
      "envoy-filter": 1,
      "envoy-filter-outlines": 1,
      "config-patches": 1,
      "patch-aims": 1,
      patches: 1,
      patched: 1,
      resource: 1,
    });
  });

  it("is shared by proxies with the same patches, and leaves other resources the same bytes", () => {
    const mesh = scaleMesh(scale);
    const [one, two] = [scaleNode(1, scale), scaleNode(7, scale)];
    const plain = resourcesOf(mesh.translator, one).cluster;
    put(mesh, timeout(1));
    const [own, others] = [scopesOf(mesh, one), scopesOf(mesh, two)];
    expect(own.get(typeUrls.route)).toEqual(others.get(typeUrls.route));
    // Both have clusters of their own workload, last.
    expect(own.get(typeUrls.cluster)?.slice(0, -1)).toEqual(others.get(typeUrls.cluster)?.slice(0, -1));
    const [first, second] = [one, two].map((node) => resourcesOf(mesh.translator, node).cluster);
    const changed = [...plain.keys()].filter((name) => plain.get(name)?.version !== first?.get(name)?.version);
    expect(changed).toEqual(["outbound|80||svc-7.ns-1.svc.cluster.local"]);
    expect(first?.get(changed[0] ?? "")?.version).toBe(second?.get(changed[0] ?? "")?.version);
  });
});
