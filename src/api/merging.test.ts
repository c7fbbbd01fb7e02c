import { describe, expect, test } from "vitest";
import { kinds } from "./kinds.ts";
import { keyword } from "./schema.ts";
import type { SchemaNode } from "./shape.ts";

/** Lists with keys, as `PATH KEYS`, that server-side apply can reach: nothing inside of a list without keys. */
function* keyedLists(node: SchemaNode, path: string): Generator<string> {
  const type = node[keyword.listType];
  if (type === "map") yield `${path} ${String(node[keyword.listMapKeys])}`;
  if (type === "set") yield `${path} set`;
  if (node.items !== undefined && type === "map") yield* keyedLists(node.items, `${path}[]`);
  for (const [name, field] of Object.entries(node.properties ?? {})) yield* keyedLists(field, `${path}.${name}`);
}

function listsOf(group: RegExp): readonly string[] {
  const found = kinds
    .filter((kind) => group.test(kind.group))
    .flatMap((kind) => [...keyedLists(kind.schema as unknown as SchemaNode, kind.kind)]);
  return found.toSorted();
}

describe("lists are merged item by item where the CRDs say so", () => {
  // x-kubernetes-list-type of Istio's customresourcedefinitions.gen.yaml, release 1.31.
  test("of Istio", () => {
    expect(listsOf(/istio/)).toEqual([
      "ServiceEntry.spec.ports name",
      "TrafficExtension.spec.wasm.vmConfig.env name",
      "WasmPlugin.spec.vmConfig.env name",
    ]);
  });

  // The same of the Gateway API's standard channel.
  test("of the Gateway API", () => {
    expect(listsOf(/^gateway/)).toEqual([
      "Gateway.spec.listeners name",
      "Gateway.spec.tls.frontend.perPort port",
      "Gateway.status.conditions type",
      "Gateway.status.listeners name",
      "Gateway.status.listeners[].conditions type",
      "GatewayClass.status.conditions type",
      "GatewayClass.status.supportedFeatures name",
      "ListenerSet.spec.listeners name",
      "ListenerSet.status.conditions type",
      "ListenerSet.status.listeners name",
      "ListenerSet.status.listeners[].conditions type",
    ]);
  });
});

// Versions that Istio's CRDs serve; all of them are views of one object.
test.each([
  [
    "networking.istio.io",
    ["DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "VirtualService", "WorkloadEntry", "WorkloadGroup"],
    ["v1", "v1beta1", "v1alpha3"],
  ],
  ["networking.istio.io", ["EnvoyFilter"], ["v1alpha3"]],
  ["networking.istio.io", ["ProxyConfig"], ["v1beta1"]],
  ["security.istio.io", ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"], ["v1", "v1beta1"]],
  ["telemetry.istio.io", ["Telemetry"], ["v1", "v1alpha1"]],
  ["extensions.istio.io", ["WasmPlugin", "TrafficExtension"], ["v1alpha1"]],
])("%s %j is served as %j", (group, names, versions) => {
  for (const name of names) {
    const kind = kinds.find((one) => one.group === group && one.kind === name);
    expect([name, kind?.versions.map((version) => version.name)]).toEqual([name, versions]);
  }
});
