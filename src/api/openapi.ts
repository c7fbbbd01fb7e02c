import type { Kind } from "./kind.ts";
import { apiVersionOf } from "./meta.ts";
import { ObjectMeta } from "./kubernetes/meta.ts";
import { pathsOf, scaleGvk, scaleName } from "./openapi/operations.ts";
import type { Operation, Parameter, Path } from "./openapi/operations.ts";
import { kindSchemaName, Schemas, version2, version3 } from "./openapi/schemas.ts";
import type { Dialect, Json } from "./openapi/schemas.ts";
import { int32, object, string } from "./schema.ts";
import type { SchemaNode } from "./shape.ts";

const info = { title: "Weft", version: "v1alpha1" } as const;

const statusName = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

const Status = object(
  "How a request ended.",
  {},
  {
    apiVersion: string("v1."),
    kind: string("Status."),
    status: string("Success or Failure."),
    message: string("What happened."),
    reason: string("Why, in one word."),
    code: int32("The answer's HTTP status."),
  },
);

const Scale = object(
  "How many replicas an object has.",
  {},
  {
    apiVersion: string("autoscaling/v1."),
    kind: string("Scale."),
    metadata: ObjectMeta,
    spec: object("What is wanted.", {}, { replicas: int32("How many replicas.") }),
    status: object(
      "What there is.",
      { replicas: int32("How many replicas.") },
      { selector: string("Labels of the replicas, as text.") },
    ),
  },
);

/** The schemas that a document for some versions of kinds needs. */
function schemasOf(dialect: Dialect, served: readonly (readonly [Kind, string])[]): Json {
  const schemas = new Schemas(dialect);
  schemas.add(statusName, Status as unknown as SchemaNode);
  if (served.some(([kind]) => kind.scale !== undefined)) {
    schemas.add(scaleName, Scale as unknown as SchemaNode, { "x-kubernetes-group-version-kind": [scaleGvk] });
  }
  for (const [kind, version] of served) schemas.addKind(kind, version);
  return schemas.sorted();
}

function pathsDocument(served: readonly (readonly [Kind, string])[], item: (path: Path) => Json): Json {
  const paths = served.flatMap(([kind, version]) => pathsOf(kind, version, kindSchemaName(kind, version)));
  return Object.fromEntries(paths.map((path) => [path.path, item(path)]));
}

/** What both versions of OpenAPI say of an operation. */
function common({ id, description, action }: Operation, gvk: Json): Json {
  return { operationId: id, description, "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk };
}

const variableText = (name: string): string =>
  name === "namespace" ? "The object's namespace." : "The object's name.";

function content3(name: string): Json {
  return { schema: { $ref: version3.reference(name) } };
}

function parameter3({ name, type, description }: Parameter): Json {
  return { name, in: "query", description, schema: { type } };
}

function operation3(operation: Operation, gvk: Json): Json {
  const body = operation.consumes.map((type) => [type, operation.body === undefined ? {} : content3(operation.body)]);
  return {
    ...common(operation, gvk),
    parameters: operation.parameters.map(parameter3),
    ...(body.length === 0 ? {} : { requestBody: { content: Object.fromEntries(body) as Json } }),
    responses: { 200: { description: "OK", content: { "application/json": content3(operation.answer) } } },
  };
}

function path3({ variables, operations, gvk }: Path): Json {
  return {
    parameters: variables.map((name) => ({
      name,
      in: "path",
      required: true,
      description: variableText(name),
      schema: { type: "string" },
    })),
    ...Object.fromEntries(operations.map((operation) => [operation.method, operation3(operation, gvk)])),
  };
}

function operation2(operation: Operation, gvk: Json): Json {
  const parameters: Json[] = operation.parameters.map(({ name, type, description }) => ({
    name,
    in: "query",
    type,
    description,
  }));
  if (operation.consumes.length > 0) {
    const schema = operation.body === undefined ? { type: "object" } : { $ref: version2.reference(operation.body) };
    parameters.unshift({ name: "body", in: "body", required: operation.method !== "delete", schema });
  }
  return {
    ...common(operation, gvk),
    ...(operation.consumes.length === 0 ? {} : { consumes: operation.consumes }),
    produces: ["application/json"],
    parameters,
    responses: { 200: { description: "OK", schema: { $ref: version2.reference(operation.answer) } } },
  };
}

function path2({ variables, operations, gvk }: Path): Json {
  return {
    parameters: variables.map((name) => ({
      name,
      in: "path",
      required: true,
      type: "string",
      description: variableText(name),
    })),
    ...Object.fromEntries(operations.map((operation) => [operation.method, operation2(operation, gvk)])),
  };
}

/**
 * The OpenAPI 3.0 document of one group and version, as `/openapi/v3/api/v1` and `/openapi/v3/apis/GROUP/VERSION`
 * serve it. kubectl reads it for `explain`, to learn whether the server checks unknown fields, and which patches it takes.
 * @param groupVersion `v1` for the core group, else `GROUP/VERSION`.
 * @param kinds the kinds that the endpoint serves; those of other groups and versions are passed over.
 */
export function openApiV3(groupVersion: string, kinds: readonly Kind[]): Json {
  const served = kinds.flatMap((kind) =>
    kind.versions
      .filter(({ name }) => apiVersionOf(kind.group, name) === groupVersion)
      .map(({ name }) => [kind, name] as const),
  );
  return {
    openapi: "3.0.0",
    info,
    paths: pathsDocument(served, path3),
    components: { schemas: schemasOf(version3, served) },
  };
}

/** The OpenAPI 2.0 document of all versions of the kinds, as `/openapi/v2` serves it in JSON. */
export function openApiV2(kinds: readonly Kind[]): Json {
  const served = kinds.flatMap((kind) => kind.versions.map(({ name }) => [kind, name] as const));
  return {
    swagger: "2.0",
    info,
    paths: pathsDocument(served, path2),
    definitions: schemasOf(version2, served),
  };
}
