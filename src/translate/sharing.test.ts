import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StringMap } from "#api/meta.ts";
import { bucketViewer } from "#model/clients.ts";
import { isExportedTo } from "#model/exports.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import { parseServiceKey } from "#model/tables.ts";
import { typeUrls } from "#proto/encoded.ts";
import { apply, type Edit, edit, nodes, withClusters } from "./testing/arbitrary.ts";
import { resourcesOf } from "./proxy-resources.ts";
import type { TestMesh } from "./testing/mesh.ts";
import { refusal } from "./testing/validate.ts";
import { patience, runs } from "#base/testing/runs.ts";

function meshAfter(edits: readonly Edit[]): TestMesh {
  const mesh = withClusters();
  mesh.engine.change(() => {
    for (const each of edits) apply(mesh, each);
  });
  return mesh;
}

const edits = fc.array(edit, { minLength: 10, maxLength: 40 });
const namespaces = ["shop", "bank", "istio-system", "other"];
const workloadLabels = fc.constantFrom<StringMap>({}, { app: "x" }, { app: "y" });

/** Keys of the DestinationRules that choose a workload, by the definition. */
function choosing({ tables }: Model, namespace: string, labels: StringMap): readonly string[] {
  return tables.destinationRules.rows
    .rows()
    .filter((row) => row.namespace === namespace && row.spec.workloadSelector !== undefined)
    .filter((row) => labelsMatch(row.spec.workloadSelector?.matchLabels ?? {}, labels))
    .map((row) => `${namespace}/${row.name}`);
}

/** Services that a namespace sees without a Sidecar, by the definition: exported to it, one for each host. */
function visible({ model }: TestMesh, viewer: string): readonly string[] {
  const { services } = model;
  const all = services.namespaces.get("").flatMap((namespace) => services.keysIn.get(namespace));
  const exported = all.filter((key) => {
    const service = services.service.get(key);
    return service !== undefined && isExportedTo(service.exportTo, service.namespace, viewer);
  });
  const hosts = new Set(exported.map((key) => parseServiceKey(key).host));
  return [...hosts].flatMap((host) => services.keyForHost.get({ viewer, host }) ?? []).toSorted();
}

describe("sharing between proxies", () => {
  it("shows every namespace what it would see alone", () => {
    fc.assert(
      fc.property(edits, fc.constantFrom(...namespaces), workloadLabels, (all, namespace, labels) => {
        const { model } = meshAfter(all);
        const client = model.clients.gatewayClient({ namespace, labels });
        const keys = model.clients.services.get(client);
        expect(keys.toSorted()).toEqual(visible(meshAfter(all), namespace));
        const alone = { namespace, rules: choosing(model, namespace, labels) };
        for (const bucket of model.clients.buckets.get(client)) {
          for (const service of model.clients.servicesIn.get(bucket)) {
            const own = model.rules.ruleKeys({ viewer: alone, service });
            expect(model.rules.ruleKeys({ viewer: client, service })).toEqual(own);
            expect(model.rules.ruleKeys({ viewer: bucketViewer(bucket), service })).toEqual(own);
          }
        }
        expect(model.virtualServices.meshHosts.get(client)).toEqual(
          model.virtualServices.meshHosts.get({ namespace, sidecar: "" }),
        );
      }),
      { numRuns: runs(80) },
    );
  });

  it(
    "has each cluster and listener in one scope only, and gives each what it names",
    { timeout: patience(120_000) },
    () => {
      fc.assert(
        fc.property(edits, (all) => {
          const { translator } = meshAfter(all);
          for (const node of nodes) {
            const scopes = translator.scopes.get(translator.classOf(node));
            for (const type of [typeUrls.cluster, typeUrls.listener]) {
              const named = scopes[type].flatMap((scope) =>
                translator.names.get(scope).map((name) => ({ scope, name })),
              );
              expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
              for (const each of named) expect(translator.resource.get(each)?.name).toBe(each.name);
            }
          }
        }),
        { numRuns: runs(30) },
      );
    },
  );

  it("gives every proxy of any mesh what a real Envoy takes", { timeout: patience(120_000) }, async () => {
    const meshes = fc.sample(edits, { numRuns: 4, seed: 20_261 });
    for (const all of meshes) {
      const mesh = meshAfter(all);
      const refusals = await Promise.all(nodes.map((node) => refusal(resourcesOf(mesh.translator, node))));
      expect(refusals).toEqual(nodes.map(() => ""));
    }
  });
});
