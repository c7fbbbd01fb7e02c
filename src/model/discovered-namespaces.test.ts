import { describe, expect, it } from "vitest";
import type { LabelSelector } from "#api/kubernetes/meta.ts";
import { Engine } from "#incremental/engine.ts";
import { createModel, type Model } from "./model.ts";
import { putYaml } from "./testing/objects.ts";

const namespace = (name: string, labels: string, cluster = "east") => `
cluster: "${cluster}"
kind: Namespace
metadata: { name: ${name}, labels: { ${labels} } }`;

/** An object of each kind that a namespace has, in cluster east or the mesh's own. */
const objectsOf = (name: string) => `
cluster: east
kind: Service
metadata: { name: web, namespace: ${name} }
spec: { clusterIP: 10.0.0.1, ports: [{ port: 80 }] }
---
cluster: east
kind: EndpointSlice
metadata: { name: web-1, namespace: ${name}, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
---
cluster: east
kind: Pod
metadata: { name: web-1, namespace: ${name} }
---
cluster: east
kind: Secret
metadata: { name: tls, namespace: ${name} }
type: kubernetes.io/tls
data: { tls.crt: "", tls.key: "" }
---
kind: VirtualService
metadata: { name: web, namespace: ${name} }
spec: { hosts: [web] }
---
kind: Sidecar
metadata: { name: default, namespace: ${name} }
spec: { egress: [{ hosts: ["./*"] }] }`;

const perNamespace = 6;

const east = { matchLabels: { mesh: "on" } };

function modelWith(selectors: readonly LabelSelector[], ...texts: readonly string[]): Model {
  const model = createModel(new Engine());
  model.inputs.putCluster("east", "");
  model.inputs.putCluster("west", "");
  model.inputs.setMesh({ discoverySelectors: selectors });
  putYaml(model, texts.join("\n---\n"));
  return model;
}

/** How many objects of each namespace are read. */
function read({ tables }: Model): Readonly<Record<string, number>> {
  const rows = [
    ...tables.services.rows(),
    ...tables.slices.rows(),
    ...tables.pods.rows(),
    ...tables.virtualServices.rows.rows(),
    ...tables.sidecars.rows.rows(),
  ].map((row) => row.namespace);
  const secrets = tables.secrets.keys().map((key) => key.split("/")[1] ?? "");
  return Object.fromEntries(
    [...Map.groupBy([...rows, ...secrets], (name) => name)].map(([name, all]) => [name, all.length]),
  );
}

describe("discoverySelectors", () => {
  it.each<[string, readonly LabelSelector[], readonly string[]]>([
    ["none: all", [], ["bank", "bare", "shop"]],
    ["an empty one: all that there are", [{}], ["bank", "shop"]],
    ["labels", [{ matchLabels: { mesh: "on" } }], ["shop"]],
    ["labels, all of them", [{ matchLabels: { mesh: "on", team: "x" } }], []],
    ["several, of which one does", [{ matchLabels: { mesh: "on" } }, { matchLabels: { team: "y" } }], ["bank", "shop"]],
    ["an expression", [{ matchExpressions: [{ key: "mesh", operator: "DoesNotExist" }] }], ["bank"]],
    ["expressions", [{ matchExpressions: [{ key: "team", operator: "NotIn", values: ["y"] }] }], ["shop"]],
  ])("%s", (_name, selectors, expected) => {
    const namespaces = [namespace("shop", "mesh: 'on'"), namespace("bank", "team: y")];
    // Of the namespace `bare` there is no object, as while it is on its way.
    const objects = ["shop", "bank", "bare"].map(objectsOf);
    const all = Object.fromEntries(expected.map((name) => [name, perNamespace]));
    expect(read(modelWith(selectors, ...namespaces, ...objects))).toEqual(all);
    expect(read(modelWith(selectors, ...objects, ...namespaces))).toEqual(all);
    const later = modelWith([], ...objects, ...namespaces);
    later.inputs.setMesh({ discoverySelectors: selectors });
    expect(read(later)).toEqual(all);
    later.inputs.setMesh({});
    expect(Object.keys(read(later)).toSorted()).toEqual(["bank", "bare", "shop"]);
  });

  it("changes of labels take a namespace in and out, and what came while it was out comes in as it is now", () => {
    const model = modelWith([east], namespace("shop", ""), objectsOf("shop"));
    expect(read(model)).toEqual({});
    model.inputs.remove("Pod", { namespace: "shop", name: "web-1" }, "east");
    putYaml(model, namespace("shop", "mesh: 'on'"));
    expect(read(model)).toEqual({ shop: perNamespace - 1 });
    putYaml(model, namespace("shop", "mesh: 'off'"));
    expect(read(model)).toEqual({});
    putYaml(model, namespace("shop", "mesh: 'on'"));
    model.inputs.remove("Namespace", { namespace: "", name: "shop" }, "east");
    expect(read(model)).toEqual({});
  });

  it("each cluster's labels are for its own objects, any cluster's for the mesh's", () => {
    const model = modelWith(
      [east],
      namespace("shop", "", "east"),
      namespace("shop", "mesh: 'on'", "west"),
      objectsOf("shop"),
    );
    // The VirtualService and the Sidecar.
    expect(read(model)).toEqual({ shop: 2 });
    model.inputs.removeCluster("west");
    expect(read(model)).toEqual({});
    putYaml(model, namespace("shop", "mesh: 'on'", ""));
    expect(read(model)).toEqual({ shop: 2 });
  });

  it("Nodes and Namespaces are always read", () => {
    const { tables } = modelWith(
      [east],
      namespace("istio-system", "topology.istio.io/network: blue"),
      "cluster: east\nkind: Node\nmetadata: { name: n }",
    );
    expect(tables.nodes.keys()).toEqual(["east//n"]);
    expect(tables.namespaces.get("east//istio-system")?.network).toBe("blue");
  });

  it("a cluster that is gone takes what waits with it", () => {
    const model = modelWith([east], namespace("shop", ""), objectsOf("shop"));
    model.inputs.removeCluster("east");
    model.inputs.setMesh({});
    expect(read(model)).toEqual({ shop: 2 });
  });
});
