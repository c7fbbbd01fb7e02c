import { expect, test } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { PodPlaces } from "./pod-places.ts";

function podWith(reason: string, message: string): Pod {
  const conditions = [
    { type: "mesh.weft.dev/TrafficCaptured", status: reason === "Captured" ? "True" : "False", reason, message },
  ];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name: "page-1", uid: "u", creationTimestamp: "2026-01-01T00:00:00Z" },
    spec: { nodeName: "n1" },
    status: { phase: "Running", conditions },
  } as unknown as Pod;
}

test("connections that go past a Pod's sidecar are known while its agent says so", () => {
  const places = new PodPlaces();
  const east = places.audience("east");
  const outside = (): string | undefined => places.pod("east", "shop", "page-1")?.outside;
  east.seen?.(podWith("ConnectionsOutside", "one with 10.0.0.2:8080"));
  expect(outside()).toBe("one with 10.0.0.2:8080");
  for (const reason of ["Captured", "Leaving", "ProxyNotReady"]) {
    east.seen?.(podWith(reason, "of no account"));
    expect(outside()).toBeUndefined();
  }
});
