import { describe, expect, test } from "vitest";
import { place } from "./placement.ts";
import { nodeOf, podOf } from "./testing/objects.ts";

const owner = (uid: string): object => ({
  ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: uid, uid, controller: true }],
});

describe("a fitting node", () => {
  test("with fewest Pods of the same owner, then fewest at all, then by name", () => {
    const mine = podOf("p", owner("a"));
    const other = podOf("q", owner("b"));
    const nodes = (first: readonly (typeof mine)[], second: readonly (typeof mine)[]): Parameters<typeof place>[1] => [
      { node: nodeOf("n2"), pods: first },
      { node: nodeOf("n1"), pods: second },
    ];
    expect(place(mine, nodes([other, other], [mine]))).toEqual({ kind: "node", name: "n2" });
    expect(place(mine, nodes([other, mine], [mine]))).toEqual({ kind: "node", name: "n1" });
    expect(place(mine, nodes([], []))).toEqual({ kind: "node", name: "n1" });
  });
});

const on = (pods: readonly ReturnType<typeof podOf>[]): Parameters<typeof place>[1] => [{ node: nodeOf("n"), pods }];

describe("a node that does not fit", () => {
  const taint = { key: "dedicated", value: "gateways", effect: "NoSchedule" };
  const port = { ports: [{ containerPort: 8080, hostPort: 18080 }] };
  test.each([
    ["is not ready", podOf("p"), nodeOf("n", { ready: false }), "not ready"],
    ["is closed", podOf("p"), nodeOf("n", { spec: { unschedulable: true } }), "closed for new Pods (unschedulable)"],
    [
      "lacks a label",
      podOf("p", { nodeSelector: { disk: "fast" } }),
      nodeOf("n", { labels: { disk: "slow" } }),
      "without the labels of the Pod's nodeSelector",
    ],
    [
      "is tainted",
      podOf("p"),
      nodeOf("n", { spec: { taints: [taint] } }),
      "with a taint that the Pod does not tolerate",
    ],
  ])("because it %s", (_why, pod, node, reason) => {
    expect(place(pod, [{ node, pods: [] }])).toEqual({ kind: "none", reasons: new Map([[reason, 1]]) });
  });

  test("because a host port is taken on an address that overlaps", () => {
    const here = { ...port.ports[0]!, hostIP: "127.0.0.1" };
    const there = { ...port.ports[0]!, hostIP: "127.0.0.2" };
    expect(place(podOf("p", port), on([podOf("q", { ports: [here] })])).kind).toBe("none");
    expect(place(podOf("p", { ports: [here] }), on([podOf("q", { ports: [there] })])).kind).toBe("node");
    expect(place(podOf("p", { ports: [here] }), on([podOf("q")])).kind).toBe("node");
  });

  test("a Pod that tolerates its taint or has its labels may go there", () => {
    const node = nodeOf("n", { labels: { disk: "fast" }, spec: { taints: [taint] } });
    const tolerations = [
      [{ key: "dedicated", value: "gateways" }],
      [{ operator: "Exists" }],
      [{ key: "dedicated", operator: "Exists", effect: "NoSchedule" }],
    ];
    for (const one of tolerations)
      expect(place(podOf("p", { tolerations: one, nodeSelector: { disk: "fast" } }), [{ node, pods: [] }]).kind).toBe(
        "node",
      );
    expect(place(podOf("p", { tolerations: [{ key: "dedicated", value: "others" }] }), [{ node, pods: [] }]).kind).toBe(
      "none",
    );
  });
});
