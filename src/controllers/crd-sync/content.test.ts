import { expect, test } from "vitest";
import type { ResourceObject } from "#api/meta.ts";
import { droppedField, sideOf, stubOf, stubSide, withContent, contentOf } from "./content.ts";

function object(more: object = {}, meta: object = {}): ResourceObject {
  const metadata = { name: "a", namespace: "shop", uid: "u", resourceVersion: "7", generation: 1, ...meta };
  const types = { apiVersion: "networking.istio.io/v1", kind: "Sidecar" };
  return { ...types, metadata, spec: { x: 1, y: [2] }, ...more } as unknown as ResourceObject;
}

test("what belongs to one cluster is not content, and the order of fields makes no difference", () => {
  const local = {
    uid: "other",
    generation: 9,
    finalizers: ["a"],
    ownerReferences: [{ uid: "o" }],
    managedFields: [],
    annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
  };
  const other = object(
    { spec: { y: [2], x: 1 }, status: { held: [] }, apiVersion: "networking.istio.io/v1beta1" },
    local,
  );
  expect(sideOf(other)).toEqual(sideOf(object()));
  expect(sideOf(object({}, { labels: { app: "a" } })).hash).not.toBe(sideOf(object()).hash);
});

test("an object that is being deleted is gone, and a stub says of one what it itself does", () => {
  expect(sideOf(object({}, { deletionTimestamp: "2026-01-01T00:00:00Z" })).hash).toBe("");
  expect(stubSide(stubOf(object()))).toEqual(sideOf(object()));
  expect(stubOf(object())["spec"]).toBeUndefined();
});

test("content is put over what is there, whose own parts stay", () => {
  const there = object(
    { status: { held: [] } },
    { annotations: { gone: "x", "kubectl.kubernetes.io/last-applied-configuration": "{}" }, finalizers: ["f"] },
  );
  const written = withContent(
    { name: "a" },
    contentOf(object({ spec: { z: 1 } }, { annotations: { note: "n" } })),
    there,
  );
  expect(written).toMatchObject({
    spec: { z: 1 },
    status: { held: [] },
    metadata: { uid: "u", resourceVersion: "7", finalizers: ["f"] },
  });
  expect(written.metadata.annotations).toEqual({
    note: "n",
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
  });
});

test.each([
  [{ a: 1 }, { a: 1, b: 2 }, undefined],
  [{ a: { b: [{ c: 1 }, { d: 2 }] } }, { a: { b: [{ c: 1 }, {}] } }, "a.b[1].d"],
  [{ a: [1, 2] }, { a: [1] }, "a"],
  [{ a: 1 }, { a: 2 }, "a"],
  [{ a: null }, {}, undefined],
])("what was sent and is not stored: %o in %o", (sent, stored, path) => {
  expect(droppedField(sent, stored)).toBe(path);
});
