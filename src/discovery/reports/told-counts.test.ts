import { expect, test } from "vitest";
import type { HeldReport } from "./reports.ts";
import { countsTold } from "./told-counts.ts";

const held = (pod: string, cluster: string, all: number, live = true): HeldReport => ({
  node: { id: `sidecar~10.0.0.1~${pod}.shop~shop.svc.cluster.local`, cluster, namespace: "shop" },
  report: {
    agent: "1",
    process: "Running",
    ready: true,
    restarts: 0,
    inbound: { all, failed: 0, refused: 0, within: {} },
  },
  at: 1,
  since: 1,
  live,
});

test("counts are those of the Pod of that name, namespace and cluster, while its agent is there", () => {
  const all = [held("cart-10", "east", 1), held("cart-1", "west", 2), held("cart-1", "east", 3)];
  const told = countsTold({ all: () => [...all, held("gone", "east", 4, false)].values() });
  expect(told({ cluster: "east", namespace: "shop", pod: "cart-1" })?.all).toBe(3);
  expect(told({ cluster: "west", namespace: "shop", pod: "cart-1" })?.all).toBe(2);
  for (const [namespace, pod] of [
    ["other", "cart-1"],
    ["shop", "cart"],
    ["shop", "gone"],
  ] as const)
    expect(told({ cluster: "east", namespace, pod })).toBeUndefined();
});
