import { describe, expect, test } from "vitest";
import { kinds } from "./kinds.ts";
import { openApiV2, openApiV3 } from "./openapi.ts";

type Json = Readonly<Record<string, unknown>>;

const groupVersions = [
  ...new Set(
    kinds.flatMap(({ group, versions }) => versions.map(({ name }) => (group === "" ? name : `${group}/${name}`))),
  ),
];

/** Every object in a JSON value, with where it stands. */
function* objects(value: unknown, path: string): Generator<readonly [string, Json]> {
  if (value === null || typeof value !== "object") return;
  if (!Array.isArray(value)) yield [path, value as Json];
  for (const [name, member] of Object.entries(value)) yield* objects(member, `${path}/${name}`);
}

/** What a reference names. */
function resolve(document: Json, reference: string): Json {
  let value: unknown = document;
  for (const step of reference.replace("#/", "").split("/")) value = (value as Json)[step];
  if (value === undefined) throw new Error(`nothing at ${reference}`);
  return value as Json;
}

/** The schema itself, where a schema is a reference with something beside it. */
function target(document: Json, schema: Json): Json {
  const [first] = (schema["allOf"] as readonly Json[] | undefined) ?? [];
  const reference = (first ?? schema)["$ref"];
  return typeof reference === "string" ? resolve(document, reference) : schema;
}

/** The schema of a field, as kubectl finds it: through items, entries and references. */
function field(document: Json, schema: Json, ...names: readonly string[]): Json {
  let found = schema;
  for (const name of names) {
    found = target(document, found);
    while (found["items"] !== undefined || found["additionalProperties"] !== undefined) {
      found = target(document, (found["items"] ?? found["additionalProperties"]) as Json);
    }
    const next = (found["properties"] as Readonly<Record<string, Json>> | undefined)?.[name];
    if (next === undefined) throw new Error(`no field ${name}`);
    found = next;
  }
  return found;
}

/** The schema of a kind, as kubectl finds it. */
function schemaOf(schemas: Json, gvk: Json): Json {
  const found = Object.values(schemas).find((schema) =>
    ((schema as Json)["x-kubernetes-group-version-kind"] as readonly Json[] | undefined)?.some(
      (one) => JSON.stringify(one) === JSON.stringify(gvk),
    ),
  );
  if (found === undefined) throw new Error(`no schema for ${JSON.stringify(gvk)}`);
  return found as Json;
}

const documents = [
  ...groupVersions.map((name) => [`OpenAPI 3, ${name}`, openApiV3(name, kinds)] as const),
  ["OpenAPI 2", openApiV2(kinds)] as const,
];

describe.each(documents)("%s", (_, document) => {
  const schemas = (document["definitions"] ?? (document["components"] as Json)["schemas"]) as Json;

  test("has everything that it refers to", () => {
    const references = [...objects(document, "")]
      .map(([, object]) => object["$ref"])
      .filter((one) => typeof one === "string");
    expect(references.length).toBeGreaterThan(0);
    for (const reference of references) expect(resolve(document, reference)).toBeTypeOf("object");
  });

  test("describes every schema and every field", () => {
    for (const [name, schema] of Object.entries(schemas)) {
      expect([name, (schema as Json)["description"]]).toEqual([name, expect.stringMatching(/\w\.$/)]);
      for (const [path, object] of objects(schema, name)) {
        const properties = path.endsWith("/properties") ? [] : Object.entries((object["properties"] ?? {}) as Json);
        for (const [label, one] of properties) {
          expect([path, label, (one as Json)["description"]]).toEqual([path, label, expect.stringMatching(/\S\.$/)]);
        }
      }
    }
  });

  test("says nothing that only Weft understands", () => {
    expect(JSON.stringify(document)).not.toContain("x-weft");
    expect(JSON.stringify(document)).not.toContain("positive-duration");
  });

  test("names every operation differently", () => {
    const ids = [...objects(document["paths"], "")]
      .map(([, object]) => object["operationId"])
      .filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("has the paths of each kind, with what kubectl looks for in them", () => {
    const paths = document["paths"] as Readonly<Record<string, Json>>;
    for (const [path, item] of Object.entries(paths)) {
      const patch = item["patch"] as Json | undefined;
      expect(patch !== undefined).toBe(/\{name\}(?:\/\w+)?$/.test(path));
      if (patch === undefined) continue;
      const names = (patch["parameters"] as readonly Json[]).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(["fieldValidation", "dryRun", "fieldManager"]));
      const gvk = patch["x-kubernetes-group-version-kind"] as Json;
      expect(schemaOf(schemas, gvk)).toBeTypeOf("object");
      const types = document["swagger"]
        ? (patch["consumes"] as readonly string[])
        : Object.keys((patch["requestBody"] as { readonly content: Json }).content);
      const custom = /istio|weft|gateway/.test(String(gvk["group"]));
      expect(types.includes("application/strategic-merge-patch+json")).toBe(!custom);
      expect(types).toContain("application/merge-patch+json");
    }
  });
});

function schemasOf(document: Json): Json {
  return (document["components"] as Json)["schemas"] as Json;
}

describe("fields as kubectl explains them", () => {
  const istio = openApiV3("networking.istio.io/v1beta1", kinds);
  const core = openApiV3("v1", kinds);
  const apps = openApiV3("apps/v1", kinds);

  test("a part of a VirtualService", () => {
    const gvk = { group: "networking.istio.io", kind: "VirtualService", version: "v1beta1" };
    const root = schemaOf(schemasOf(istio), gvk);
    expect(field(istio, root, "spec", "http", "match")).toMatchObject({
      type: "array",
      description: "Conditions, of which one must hold. Every request matches unless set.",
      items: { allOf: [{ $ref: "#/components/schemas/io.istio.networking.v1.HTTPMatchRequest" }] },
    });
    const match = field(istio, root, "spec", "http", "match", "headers");
    expect(match["additionalProperties"]).toMatchObject({
      allOf: [{ $ref: expect.stringContaining("StringMatch") as string }],
    });
    expect(target(istio, field(istio, root, "spec", "http", "route", "destination"))["required"]).toEqual(["host"]);
  });

  test("what has a default is not required", () => {
    const pod = schemaOf(schemasOf(core), { group: "", kind: "Pod", version: "v1" });
    expect(target(core, field(core, pod, "spec"))["required"]).toEqual(["containers"]);
    expect(field(core, pod, "spec", "restartPolicy")).toMatchObject({
      default: "Always",
      enum: ["Always", "OnFailure", "Never"],
    });
    const service = schemaOf(schemasOf(core), { group: "", kind: "Service", version: "v1" });
    expect(target(core, field(core, service, "spec", "ports", "targetPort"))).toMatchObject({
      format: "int-or-string",
    });
  });

  test("lists tell how strategic merge patches merge them", () => {
    const deployment = schemaOf(schemasOf(apps), { group: "apps", kind: "Deployment", version: "v1" });
    const merged = (...path: readonly string[]): unknown => {
      const found = field(apps, deployment, ...path);
      return [found["x-kubernetes-patch-strategy"], found["x-kubernetes-patch-merge-key"]];
    };
    const pod = ["spec", "template", "spec"];
    expect(merged(...pod, "containers")).toEqual(["merge", "name"]);
    expect(merged(...pod, "containers", "ports")).toEqual(["merge", "containerPort"]);
    expect(merged(...pod, "containers", "env")).toEqual(["merge", "name"]);
    expect(merged(...pod, "containers", "volumeMounts")).toEqual(["merge", "mountPath"]);
    expect(merged(...pod, "volumes")).toEqual(["merge,retainKeys", "name"]);
    expect(merged(...pod, "tolerations")).toEqual([undefined, undefined]);
    expect(merged("spec", "strategy")).toEqual(["retainKeys", undefined]);
    expect(merged("status", "conditions")).toEqual(["merge", "type"]);
    expect(merged("metadata", "finalizers")).toEqual(["merge", undefined]);
    expect(merged("metadata", "ownerReferences")).toEqual(["merge", "uid"]);
  });
});
