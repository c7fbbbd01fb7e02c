import { expect, test } from "vitest";
import type { Finding } from "#api/finding.ts";
import type { ResourceObject } from "#api/meta.ts";
import { gatewayApiStatus } from "./gateway-api.ts";

const [before, now] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"];
const ours = "mesh.weft.dev/gateway-controller";

function objectOf(kind: string, spec: object, status: object = {}): ResourceObject {
  const metadata = { name: "a", uid: "u", resourceVersion: "1", generation: 3, creationTimestamp: before };
  return { apiVersion: "gateway.networking.k8s.io/v1", kind, metadata, spec, status };
}

const resource = { group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "a" };
const finding: Finding = { code: "NotImplemented", severity: "warning", resource, message: "not yet" };
const rest = { reason: "NotImplemented", message: "not yet", observedGeneration: 3 };
const said = { type: "Accepted", status: "False", ...rest, lastTransitionTime: now };

test("a Gateway's condition takes the place of the one that waits; others stay", () => {
  const other = { type: "Programmed", status: "Unknown", reason: "Pending", message: "", lastTransitionTime: before };
  const gateway = objectOf("Gateway", {}, { conditions: [{ ...other, type: "Accepted" }, other] });
  expect(gatewayApiStatus(gateway, [finding], now)).toEqual({ conditions: [other, said] });
  const written = objectOf("Gateway", {}, { conditions: [other, { ...said, lastTransitionTime: before }] });
  expect(gatewayApiStatus(written, [finding], now)).toBeUndefined();
});

test("a route's status speaks of each parent, and leaves other controllers' alone", () => {
  const parents = [{ name: "a" }, { name: "b" }];
  const foreign = { parentRef: { name: "a" }, controllerName: "example.com/a", conditions: [] };
  const gone = { parentRef: { name: "c" }, controllerName: ours, conditions: [said] };
  const route = objectOf("HTTPRoute", { parentRefs: parents }, { parents: [gone, foreign] });
  expect(gatewayApiStatus(route, [finding], now)).toEqual({
    parents: [foreign, ...parents.map((parentRef) => ({ parentRef, controllerName: ours, conditions: [said] }))],
  });
});

test("nothing is said of what has no findings, or no status", () => {
  expect(gatewayApiStatus(objectOf("Gateway", {}), [], now)).toBeUndefined();
  expect(gatewayApiStatus(objectOf("ReferenceGrant", {}), [finding], now)).toBeUndefined();
});
