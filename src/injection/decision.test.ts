import { describe, expect, test } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { isInjected } from "./decision.ts";
import { readSettings } from "./read-settings.ts";

function podOf(labels: object = {}, annotations: object = {}, spec: object = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { labels, annotations },
    spec: { containers: [], ...spec },
  } as unknown as Pod;
}

const label = "sidecar.istio.io/inject";

describe("a Pod gets a proxy", () => {
  test.each<[string, Pod, boolean, string?, string?]>([
    ["by the policy", podOf(), true],
    ["not by the policy", podOf(), false, "policy: disabled"],
    ["by its label", podOf({ [label]: "true" }), true, "policy: disabled"],
    ["not by its label", podOf({ [label]: "false" }), false],
    ["by its label before its annotation", podOf({ [label]: "true" }, { [label]: "false" }), true],
    ["not by its annotation", podOf({}, { [label]: "false" }), false],
    ["whatever another word says", podOf({ [label]: "yes" }), false, "policy: disabled"],
    ["not on its node's network", podOf({ [label]: "true" }, {}, { hostNetwork: true }), false],
    ["not in the cluster's own namespaces", podOf({ [label]: "true" }), false, "", "kube-system"],
    ["not by a selector", podOf({ build: "1" }), false, "neverInjectSelector: [{ matchLabels: { build: '1' } }]"],
    [
      "by a selector",
      podOf({ tier: "a" }),
      true,
      "policy: disabled\nalwaysInjectSelector: [{ matchExpressions: [{ key: tier, operator: Exists }] }]",
    ],
    [
      "by its own word before selectors",
      podOf({ build: "1", [label]: "true" }),
      true,
      "neverInjectSelector: [{ matchLabels: { build: '1' } }]",
    ],
    ["not by a selector that asks nothing", podOf(), false, "policy: disabled\nalwaysInjectSelector: [{}]"],
  ])("%s", (_name, pod, expected, config = "", namespace = "shop") => {
    expect(isInjected(pod, namespace, readSettings({ config }))).toBe(expected);
  });
});
