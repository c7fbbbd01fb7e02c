import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isExportedTo } from "#model/exports.ts";
import { parseServiceKey } from "#model/tables.ts";
import { typeUrls } from "#proto/encoded.ts";
import { apply, type Edit, edit, nodes, withClusters } from "./testing/arbitrary.ts";
import { resourcesOf } from "./proxy-resources.ts";
import type { TestMesh } from "./testing/mesh.ts";
import { refusal } from "./testing/validate.ts";
import { runs } from "#base/testing/runs.ts";

function meshAfter(edits: readonly Edit[]): TestMesh {
  const mesh = withClusters();
  mesh.engine.change(() => {
    for (const each of edits) apply(mesh, each);
  });
  return mesh;
}

const edits = fc.array(edit, { minLength: 10, maxLength: 40 });
const namespaces = ["shop", "bank", "istio-system", "other"];

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
      fc.property(edits, fc.constantFrom(...namespaces), (all, namespace) => {
        const { model } = meshAfter(all);
        const client = model.clients.gatewayClient(namespace);
        const keys = model.clients.services.get(client);
        expect(keys.toSorted()).toEqual(visible(meshAfter(all), namespace));
        for (const service of keys) {
          expect(model.rules.ruleKeys.get({ viewer: client.namespace, service })).toEqual(
            model.rules.ruleKeys.get({ viewer: namespace, service }),
          );
        }
        expect(model.virtualServices.meshHosts.get(client)).toEqual(
          model.virtualServices.meshHosts.get({ namespace, sidecar: "" }),
        );
      }),
      { numRuns: runs(80) },
    );
  });

  it("has each cluster and listener in one scope only, and gives each what it names", () => {
    fc.assert(
      fc.property(edits, (all) => {
        const { translator } = meshAfter(all);
        for (const node of nodes) {
          const scopes = translator.scopes.get(translator.classOf(node));
          for (const type of [typeUrls.cluster, typeUrls.listener]) {
            const named = scopes[type].flatMap((scope) => translator.names.get(scope).map((name) => ({ scope, name })));
            expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
            for (const each of named) expect(translator.resource.get(each)?.name).toBe(each.name);
          }
        }
      }),
      { numRuns: runs(30) },
    );
  });

  it("gives every proxy of any mesh what a real Envoy takes", async () => {
    const meshes = fc.sample(edits, { numRuns: 4, seed: 20_261 });
    for (const all of meshes) {
      const mesh = meshAfter(all);
      const refusals = await Promise.all(nodes.map((node) => refusal(resourcesOf(mesh.translator, node))));
      expect(refusals).toEqual(nodes.map(() => ""));
    }
  });
});
