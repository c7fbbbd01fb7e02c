import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kinds } from "../kinds.ts";
import { schemaPaths } from "../testing/paths.ts";
import { kubernetesRelease } from "./meta.ts";

/** Groups of Kubernetes. */
const groups = new Set(["", "apps", "coordination.k8s.io", "discovery.k8s.io", "rbac.authorization.k8s.io"]);

/** A template's specification is a Pod's. */
const template = /^(?:Deployment|ReplicaSet) spec\.template\./;

// The list leaves out what stands under fields that Weft carries as they are.
test(`the schemas have every field of Kubernetes ${kubernetesRelease}, and no other`, () => {
  const file = new URL(`testdata/fields-${kubernetesRelease}.txt`, import.meta.url);
  const listed = readFileSync(file, "utf8").trim().split("\n");
  const own = kinds
    .filter(({ group }) => groups.has(group))
    .flatMap((kind) => schemaPaths(kind).map((path) => `${kind.kind} ${path}`))
    .filter((path) => !template.test(path));
  expect(listed.length).toBeGreaterThan(1300);
  expect(own.toSorted()).toEqual(listed.toSorted());
});
