import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import { selects } from "#api/kubernetes/selector.ts";
import type { Service } from "#api/kubernetes/service.ts";
import type { Kind } from "#api/kind.ts";
import { kinds } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";

const root = join(import.meta.dirname, "..", "..");
const programs = JSON.parse(readFileSync(join(root, "samples", "programs.json"), "utf8")) as Record<string, string[]>;

function objectsOf(name: string, folder = "manifests"): readonly ResourceObject[] {
  const text = readFileSync(join(import.meta.dirname, folder, `${name}.yaml`), "utf8");
  return parseAllDocuments(text).map((document) => document.toJS() as ResourceObject);
}

const clusters = { east: objectsOf("east"), west: objectsOf("west"), mesh: objectsOf("mesh") };
const validator = new Validator();

function ofKind(objects: readonly ResourceObject[], kind: string): readonly ResourceObject[] {
  return objects.filter((object) => object.kind === kind);
}

function deploymentsOf(objects: readonly ResourceObject[]): readonly Deployment[] {
  return ofKind(objects, "Deployment") as unknown as readonly Deployment[];
}

function kindOf({ kind, apiVersion }: ResourceObject): Kind | undefined {
  return kinds.find((one) => one.kind === kind && apiVersion.startsWith(one.group));
}

test.each(readdirSync(join(import.meta.dirname, "rules")))(
  "the rule %s is accepted, and names services and versions that there are",
  (file) => {
    const deployments = [...deploymentsOf(clusters.east), ...deploymentsOf(clusters.west)].map(
      ({ metadata }) => metadata.name,
    );
    for (const object of objectsOf(file.replace(".yaml", ""), "rules")) {
      expect(validator.admit(kindOf(object)!, object)).toMatchObject({ errors: [], unknown: [], warnings: [] });
      const text = JSON.stringify(object);
      const named = [...text.matchAll(/"host":"([a-z]+)","subset":"(v\d)"/g)].map(
        ([, host, subset]) => `${host}-${subset}`,
      );
      expect(deployments).toEqual(expect.arrayContaining(named));
      expect(object.metadata.namespace).toBe("shop");
    }
  },
);

describe.each(Object.entries(clusters))("the manifests of %s", (_name, objects) => {
  test("are objects that the API accepts, without unknown fields, in namespaces that they make", () => {
    const namespaces = ofKind(objects, "Namespace").map(({ metadata }) => metadata.name);
    for (const object of objects) {
      const kind = kindOf(object);
      expect(validator.admit(kind!, object)).toMatchObject({ errors: [], unknown: [], warnings: [] });
      if (kind?.namespaced === true) expect(namespaces).toContain(object.metadata.namespace);
    }
  });

  test("run programs that there are, as service accounts that they make", () => {
    const accounts = ofKind(objects, "ServiceAccount").map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    for (const { metadata, spec } of deploymentsOf(objects)) {
      expect(accounts).toContain(`${metadata.namespace}/${spec.template.spec.serviceAccountName}`);
      for (const { image = "" } of spec.template.spec.containers) {
        if (image === "auto") continue;
        const [program, ...words] = programs[image.split(":")[0]!] ?? [];
        expect(program).toBe("node");
        expect(existsSync(join(root, words.at(-1)!))).toBe(true);
      }
    }
  });

  test("select what they make, and every port that a Service names is one", () => {
    const templates = deploymentsOf(objects).map(({ spec }) => spec);
    for (const { selector, template } of templates)
      expect(selects(selector, template.metadata?.labels ?? {})).toBe(true);
    for (const { spec } of ofKind(objects, "Service") as unknown as readonly Service[]) {
      const fitting = templates.filter(({ template }) =>
        selects({ matchLabels: spec.selector ?? {} }, template.metadata?.labels ?? {}),
      );
      expect(fitting.length).toBeGreaterThan(0);
      for (const { targetPort } of spec.ports ?? []) {
        if (typeof targetPort !== "string") continue;
        for (const { template } of fitting) {
          const names = template.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
          expect(names).toContain(targetPort);
        }
      }
    }
  });
});

test("the shop is spread: reviews in both clusters, and what it needs across the border", () => {
  expect(deploymentsOf(clusters.east).map(({ metadata }) => metadata.name)).toEqual([
    "page-v1",
    "details-v1",
    "reviews-v1",
    "reviews-v2",
    "legacy-v1",
    "istio-ingressgateway",
  ]);
  expect(deploymentsOf(clusters.west).map(({ metadata }) => metadata.name)).toEqual([
    "reviews-v3",
    "ratings-v1",
    "stock-v1",
    "ticker-v1",
  ]);
  for (const objects of [clusters.east, clusters.west])
    expect(ofKind(objects, "Service").map(({ metadata }) => metadata.name)).toContain("reviews");
});
