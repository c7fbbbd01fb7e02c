import { describe, expect, it } from "vitest";
import { Engine } from "#incremental/engine.ts";
import { createModel } from "./model.ts";
import { complete } from "./testing/objects.ts";

interface Given {
  readonly name: string;
  readonly namespace?: string;
  readonly created?: string;
  readonly spec?: object;
}

/** A patch that is for all proxies. */
const patch = { applyTo: "CLUSTER", patch: { operation: "REMOVE" } };

function chosen(given: readonly Given[], labels: Readonly<Record<string, string>> = {}, metadata = {}) {
  const model = createModel(new Engine());
  for (const { name, namespace = "shop", created = "2026-01-01T00:00:00Z", spec = {} } of given) {
    const object = { kind: "EnvoyFilter", metadata: { name, namespace, creationTimestamp: created } };
    model.inputs.put(complete({ ...object, spec: { configPatches: [patch], ...spec } }));
  }
  const all = model.envoyFilters.chosen({ namespace: "shop", labels, metadata });
  return all.map(({ filter, index }) => `${filter.replace("EnvoyFilter/", "")}#${index}`);
}

describe("the EnvoyFilters of a proxy", () => {
  it("come by priority, root namespace, age and name", () => {
    const given: readonly Given[] = [
      { name: "b" },
      { name: "a" },
      { name: "old", created: "2025-01-01T00:00:00Z" },
      { name: "late", spec: { priority: 1 } },
      { name: "root", namespace: "istio-system", created: "2026-02-01T00:00:00Z" },
      { name: "first", spec: { priority: -1 } },
      { name: "elsewhere", namespace: "bank" },
    ];
    const order = ["shop/first#0", "istio-system/root#0", "shop/old#0", "shop/a#0", "shop/b#0", "shop/late#0"];
    expect(chosen(given)).toEqual(order);
    expect(chosen(given.toReversed())).toEqual(order);
  });

  it("select it by labels", () => {
    const given = [{ name: "a", spec: { workloadSelector: { labels: { app: "a" } } } }];
    expect(chosen(given, { app: "a", version: "v1" })).toEqual(["shop/a#0"]);
    expect(chosen(given, { app: "b" })).toEqual([]);
  });

  it("select gateways of the Gateway API by targetRefs, and nothing else", () => {
    const target = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "edge" };
    const given = [{ name: "a", spec: { targetRefs: [target] } }];
    const label = "gateway.networking.k8s.io/gateway-name";
    expect(chosen(given, { [label]: "edge" })).toEqual(["shop/a#0"]);
    expect(chosen(given, { [label]: "other" })).toEqual([]);
    expect(chosen(given, {})).toEqual([]);
    expect(chosen([{ ...given[0], name: "r", namespace: "istio-system" }], { [label]: "edge" })).toEqual([]);
  });

  it("may have patches for some versions and metadata only", () => {
    const of = (proxy: object) => ({ ...patch, match: { proxy } });
    const patches = [
      of({ proxyVersion: "^1\\.31" }),
      of({ proxyVersion: "^1\\.30" }),
      of({ proxyVersion: "31" }),
      of({ metadata: { REGION: "eu" } }),
      of({ metadata: { constructor: "eu" } }),
      of({ proxyVersion: "(" }),
    ];
    const given = [{ name: "a", spec: { configPatches: patches } }];
    expect(chosen(given, {}, { ISTIO_VERSION: "1.31.2", REGION: "eu" })).toEqual(["shop/a#0", "shop/a#2", "shop/a#3"]);
    expect(chosen(given)).toEqual([]);
  });
});
