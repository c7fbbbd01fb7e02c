import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kinds } from "#api/kinds.ts";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { leafPaths } from "#api/testing/paths.ts";
import { mesh as meshKind } from "#api/weft/mesh.ts";
import { patience, runs } from "#base/testing/runs.ts";
import type { EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import type { MeshConfig } from "#api/istio/mesh-config.ts";
import { resourcesOf } from "./proxy-resources.ts";
import { refusal } from "./testing/validate.ts";
import { apply, type Edit, edit, identified, nodes, secret, withClusters } from "./testing/arbitrary.ts";
import { isPatched } from "./testing/blame.ts";
import { envoyFilters } from "./testing/envoy-filters.ts";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import type { NodeInfo } from "./proxy-class.ts";
import { acceptedObjects } from "./testing/from-schema.ts";
import type { TestMesh } from "./testing/mesh.ts";
import { sweepOf } from "./testing/sweep.ts";

/** Workloads and Services of names that every JavaScript object has as members. */
const oddNode: NodeInfo = {
  id: "sidecar~10.0.0.8~p.constructor~constructor.svc.cluster.local",
  metadata: { NAMESPACE: "constructor", CLUSTER_ID: "constructor", LABELS: { app: "x", constructor: "a" } },
  locality: { region: "eu", zone: "eu-a", subzone: "" },
};
const oddObjects: readonly ObjectInput[] = [
  {
    kind: "Service",
    metadata: { name: "constructor", namespace: "constructor" },
    spec: {
      clusterIP: "10.0.0.7",
      selector: { app: "x" },
      ports: [
        { name: "constructor", port: 81, targetPort: "constructor" },
        { name: "other", port: 82, appProtocol: "toString" },
      ],
    },
  },
];

const [sidecar, gateway] = [nodes.at(0), nodes.at(-1)];
if (!sidecar || !gateway) throw new Error("the small mesh lacks proxies");

/** What Envoys are asked about: proxies that have certificates of the mesh, or have none. */
const proxies = { plain: [sidecar, gateway], identified: [identified(sidecar), identified(gateway)] };
/** All that the fields' sweep is for: the gateway's half without certificates is left to the other test. */
const sweptProxies: readonly NodeInfo[] = [sidecar, ...proxies.identified];

const istios: readonly Kind[] = kinds.filter(
  ({ group, schema }) => group.endsWith(".istio.io") && schema.properties["spec"] !== undefined,
);

/** What is in a mesh beside what the edits of a small mesh put there. */
interface Made {
  readonly objects: readonly ResourceObject[];
  readonly patches: readonly ObjectInput[];
  readonly secrets: readonly ObjectInput[];
  readonly settings: MeshConfig | undefined;
}

const settings: fc.Arbitrary<MeshConfig> = acceptedObjects(meshKind).map((object) => object["spec"] as MeshConfig);
const made: fc.Arbitrary<Made> = fc.record({
  objects: fc.array(fc.oneof(...istios.map(acceptedObjects)), { minLength: 1, maxLength: 6 }),
  patches: fc.oneof(fc.constant([]), fc.array(envoyFilters, { maxLength: 2 })),
  secrets: fc.array(secret, { maxLength: 3 }),
  settings: fc.option(settings, { nil: undefined }),
});
const clusterEdits = fc.array(edit, { maxLength: 12 });

/** A mesh of the objects, beside some that have to do with them. */
function meshWith({ objects, patches, secrets, settings: config }: Made, others: readonly Edit[]): TestMesh {
  const mesh = withClusters();
  mesh.engine.change(() => {
    const { inputs } = mesh.model;
    inputs.putCluster("constructor", "main");
    for (const object of oddObjects) inputs.put(complete(object), "constructor");
    for (const each of others) apply(mesh, each);
    for (const each of secrets) inputs.put(complete(each), "east");
    for (const each of objects) inputs.put(each);
    for (const each of patches) inputs.put(complete(each));
    if (config) inputs.setMesh(config);
  });
  return mesh;
}

/** Names of what proxies get, after translating all of it and asking for everything that is said of the objects. */
function translated(mesh: TestMesh, objects: readonly ResourceObject[]): readonly string[] {
  for (const { kind, metadata } of objects) {
    const { namespace = "", name } = metadata;
    expect(mesh.translator.findings({ kind, namespace, name })).toBeInstanceOf(Array);
  }
  return [...nodes, ...proxies.identified.slice(1), oddNode].flatMap((node) =>
    Object.values(resourcesOf(mesh.translator, node)).flatMap((resources) =>
      [...resources].map(([name, { typeUrl }]) => {
        expect(mesh.translator.origins(node, typeUrl, name)).toBeInstanceOf(Array);
        return name;
      }),
    ),
  );
}

/** What Envoy says against what proxies get, other than against patches; empty when it takes it. */
async function refusals(given: Made, others: readonly Edit[], validated: readonly NodeInfo[]): Promise<string> {
  const mesh = meshWith(given, others);
  const said = await Promise.all(
    validated.map(async (node) => {
      const all = await refusal(resourcesOf(mesh.translator, node));
      if (all === "" || !isPatched(mesh, node)) return all;
      const objects = given.objects.filter(({ kind }) => kind !== "EnvoyFilter");
      const { translator } = meshWith({ ...given, objects, patches: [] }, others);
      return refusal(resourcesOf(translator, node));
    }),
  );
  return said.join("");
}

/** Kinds that the page about compatibility has a table of. */
const listed: ReadonlySet<string> = new Set(
  [...readFileSync(join(import.meta.dirname, "../../docs/compatibility.md"), "utf8").matchAll(/^## (\w+)$/gm)].map(
    ([, kind = ""]) => kind,
  ),
);

/** Of each kind accepted objects that together have every field that an accepted object can have. */
const sweeps = istios.map((kind) => {
  const fields = leafPaths(kind).filter((path) => /^(?:spec\.|status\.addresses\[)/.test(path));
  return { kind: kind.kind, fields, ...sweepOf(kind, fields, 20) };
});

/** The sweeps' objects in meshes of a few each, of different kinds. */
function sweptMeshes(size: number): readonly Made[] {
  const all = sweeps.flatMap(({ objects }) => objects);
  const count = Math.ceil(all.length / size);
  return Array.from({ length: count }, (_, first) => ({
    objects: all.filter((_object, index) => index % count === first),
    patches: [],
    secrets: [],
    settings: undefined,
  }));
}

/** Whether a patch takes clusters away, which may be all of them. */
function removesClusters(patch: ObjectInput): boolean {
  const { configPatches = [] } = (patch as { readonly spec?: Partial<EnvoyFilterSpec> }).spec ?? {};
  return configPatches.some((each) => each.applyTo === "CLUSTER" && each.patch?.operation === "REMOVE");
}

describe("any configuration that the API accepts", () => {
  it("is made of 95 % of the listed fields at least", () => {
    const shown = sweeps.filter(({ kind }) => listed.has(kind));
    const fields = shown.flatMap((each) => each.fields);
    const missed = shown.flatMap((each) => each.missed.map((path) => `${each.kind} ${path}`));
    const share = 1 - missed.length / fields.length;
    console.log(
      `objects that the API accepts have ${fields.length - missed.length} of ${fields.length} fields`,
      `(${(share * 100).toFixed(1)} %), all but:\n  ${missed.join("\n  ")}`,
    );
    expect(share).toBeGreaterThanOrEqual(0.95);
  });

  it("is translated, and judged", { timeout: patience(150_000) }, () => {
    fc.assert(
      fc.property(clusterEdits, made, (others, given) => {
        const names = translated(meshWith(given, others), given.objects);
        if (!given.patches.some(removesClusters)) expect(names).toContain("BlackHoleCluster");
      }),
      { numRuns: runs(40) },
    );
  });

  it("is translated, and judged, whatever field it has", () => {
    for (const given of sweptMeshes(6)) {
      expect(translated(meshWith(given, []), given.objects)).toContain("BlackHoleCluster");
    }
  });

  it("gives a real Envoy nothing that it refuses", { timeout: patience(300_000) }, async () => {
    await fc.assert(
      fc.asyncProperty(clusterEdits, made, fc.constantFrom(...Object.values(proxies)), async (others, given, those) => {
        expect(await refusals(given, others, those)).toBe("");
      }),
      { numRuns: runs(50) },
    );
  });

  it.each([
    { suites: ["!AES256-SHA"] },
    { suites: ["-ALL"] },
    { suites: ["AES256-SHA", "+AES128-SHA", "!AES256-SHA"] },
    { suites: ["!ALL", "AES256-SHA"] },
    { suites: ["[AES128-SHA|AES256-SHA]", "!AES256-SHA"] },
  ])(
    "gives a real Envoy no suites of TLS that choose none: $suites",
    { timeout: patience(60_000) },
    async ({ suites: cipherSuites }) => {
      const config = { meshMTLS: { cipherSuites }, tlsDefaults: { cipherSuites } };
      const given = { objects: [], patches: [], secrets: [], settings: config };
      expect(await refusals(given, [], proxies.identified)).toBe("");
    },
  );

  it("gives a real Envoy nothing that it refuses, whatever field it has", { timeout: patience(300_000) }, async () => {
    const others = fc.sample(clusterEdits, { numRuns: 1, seed: 5 })[0] ?? [];
    for (const given of sweptMeshes(8)) expect(await refusals(given, others, sweptProxies)).toBe("");
  });
});
