import { expect, test } from "vitest";
import { deletionOrder, isAvailable } from "./pod-state.ts";
import { podOf } from "./testing/objects.ts";

test("Pods that serve least go first", () => {
  const ready = { node: "n1", readySince: 100 };
  const inOrder = [
    podOf("no-node", { phase: "Pending" }),
    podOf("pending", { node: "n1", phase: "Pending" }),
    podOf("not-ready", { node: "n1" }),
    podOf("cheap", { ...ready, annotations: { "controller.kubernetes.io/pod-deletion-cost": "-5" } }),
    podOf("crowded-and-young", { ...ready, readySince: 300 }),
    podOf("crowded-restarted", { ...ready, restarts: 4 }),
    podOf("crowded-younger-object", { ...ready, creationTimestamp: "2026-01-02T00:00:00Z" }),
    podOf("crowded", ready),
    podOf("alone", { ...ready, node: "n2", readySince: 900 }),
    podOf("dear", { ...ready, annotations: { "controller.kubernetes.io/pod-deletion-cost": "5" } }),
  ];
  const names = inOrder.map(({ metadata }) => metadata.name);
  for (const shuffled of [
    inOrder.toReversed(),
    inOrder.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)),
  ])
    expect(deletionOrder(shuffled).map(({ metadata }) => metadata.name)).toEqual(names);
});

test("a Pod is available when it has been ready for long enough", () => {
  const pod = podOf("p", { readySince: 100 });
  expect(isAvailable(pod, 0, 100_000)).toBe(true);
  expect(isAvailable(pod, 10, 109_000)).toBe(false);
  expect(isAvailable(pod, 10, 110_000)).toBe(true);
  expect(isAvailable(podOf("p"), 0, 110_000)).toBe(false);
});
