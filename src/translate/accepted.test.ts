import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kinds } from "#api/kinds.ts";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { schemaPaths } from "#api/testing/paths.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { resourcesOf } from "./proxy-resources.ts";
import { refusal } from "./testing/validate.ts";
import { apply, edit, nodes, withClusters } from "./testing/arbitrary.ts";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import type { NodeInfo } from "./proxy-class.ts";
import { acceptedObjects } from "./testing/from-schema.ts";
import type { TestMesh } from "./testing/mesh.ts";

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

const [sidecar] = nodes;
const gateway = nodes.at(-1);
if (!sidecar || !gateway) throw new Error("the small mesh lacks proxies");

const read: readonly Kind[] = kinds.filter(
  ({ group, kind }) => group === "networking.istio.io" && kind !== "WorkloadGroup",
);
const objects = fc.array(fc.oneof(...read.map(acceptedObjects)), { minLength: 1, maxLength: 6 });
const clusterEdits = fc.array(edit, { maxLength: 12 });

/** A mesh of the objects, beside some that have to do with them. */
function meshWith(made: readonly ResourceObject[], others: Parameters<typeof apply>[1][]): TestMesh {
  const mesh = withClusters();
  mesh.engine.change(() => {
    mesh.model.inputs.putCluster("constructor", "main");
    for (const object of oddObjects) mesh.model.inputs.put(complete(object), "constructor");
    for (const each of others) apply(mesh, each);
    for (const each of made) mesh.model.inputs.put(each);
  });
  return mesh;
}

/** The paths of the fields that a value has, as `schemaPaths` writes them; keys of maps stand as they are. */
function* pathsIn(value: unknown, path: string): Generator<string> {
  yield path;
  if (typeof value !== "object" || value === null) return;
  const items = Array.isArray(value);
  for (const [name, member] of Object.entries(value)) yield* pathsIn(member, items ? `${path}[]` : `${path}.${name}`);
}

describe("any configuration that the API accepts", () => {
  it("is made of most fields", () => {
    const reached = new Set<string>();
    for (const kind of read) {
      for (const object of fc.sample(acceptedObjects(kind), { numRuns: 150, seed: 7 })) {
        for (const path of pathsIn(object["spec"], "spec")) reached.add(`${kind.kind} ${path}`);
      }
    }
    const all = read
      .flatMap((kind) => schemaPaths(kind).map((path) => `${kind.kind} ${path}`))
      .filter((path) => path.includes(" spec") && !path.includes("{}"));
    const missed = all.filter((path) => !reached.has(path) && !reached.has(path.replace(/\[\]$/, "")));
    // What is missed in so small a sample stands deep within other optional fields.
    expect(missed.length / all.length).toBeLessThan(0.3);
  });

  it("is translated, and judged", () => {
    fc.assert(
      fc.property(clusterEdits, objects, (others, made) => {
        const mesh = meshWith(made, others);
        for (const node of [...nodes, oddNode]) {
          for (const [type, resources] of Object.entries(resourcesOf(mesh.translator, node))) {
            for (const name of resources.keys()) expect(`${type} ${name}`).toBeTypeOf("string");
          }
        }
        for (const { kind, metadata } of made) {
          const { namespace = "", name } = metadata;
          expect(mesh.translator.findings({ kind, namespace, name })).toBeInstanceOf(Array);
        }
      }),
      { numRuns: runs(40) },
    );
  });

  it("gives a real Envoy nothing that it refuses", { timeout: patience(300_000) }, async () => {
    await fc.assert(
      fc.asyncProperty(clusterEdits, objects, async (others, made) => {
        const { translator } = meshWith(made, others);
        for (const node of [sidecar, gateway]) expect(await refusal(resourcesOf(translator, node))).toBe("");
      }),
      { numRuns: runs(8) },
    );
  });
});
