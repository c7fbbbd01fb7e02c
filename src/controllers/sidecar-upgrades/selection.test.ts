import { expect, test } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { selectedSidecar, shareOf, wavesOf } from "./selection.ts";

function pod(
  name: string,
  own: { readonly sidecar?: boolean; readonly labels?: Readonly<Record<string, string>> } = {},
): Pod {
  const conditions = own.sidecar === false ? [] : [{ type: "mesh.weft.dev/ProxyReady", status: "True" }];
  const labels = { "pod-template-hash": "abc", ...own.labels };
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "cart-abc", uid: "r", controller: true }];
  return {
    metadata: { name, namespace: "shop", uid: name, labels, ownerReferences },
    spec: {},
    status: { conditions },
  } as unknown as Pod;
}

test("a selector means sidecars of nodes' agents for which all of it holds", () => {
  expect(selectedSidecar({}, "east", pod("a"))).toEqual({ cluster: "east", namespace: "shop", pod: "a", uid: "a" });
  expect(selectedSidecar({}, "east", pod("a", { sidecar: false }))).toBeUndefined();
  expect(selectedSidecar({ clusters: ["west"] }, "east", pod("a"))).toBeUndefined();
  expect(selectedSidecar({ namespaces: ["other"] }, "east", pod("a"))).toBeUndefined();
  expect(selectedSidecar({ workloads: ["cart"], namespaces: ["shop"] }, "east", pod("a"))).toBeDefined();
  expect(selectedSidecar({ labels: { app: "x" } }, "east", pod("a"))).toBeUndefined();
  expect(selectedSidecar({ labels: { app: "x" } }, "east", pod("a", { labels: { app: "x" } }))).toBeDefined();
});

test("a share is the same each time and never nothing, and waves rise to all", () => {
  const all = Array.from({ length: 30 }, (_, index) => ({ uid: `u${index}` }));
  expect(shareOf(all, 10)).toHaveLength(3);
  expect(shareOf(all.toReversed(), 10)).toEqual(shareOf(all, 10));
  expect(shareOf(all, 1)).toHaveLength(1);
  expect(wavesOf(10, [10, 50, 100])).toEqual([1, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
  expect(wavesOf(1, [10, 50, 100])).toEqual([1]);
});
