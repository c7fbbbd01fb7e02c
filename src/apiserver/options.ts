import type { FieldError } from "#api/kind.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { managerOfAgent, managerProblem } from "./fields/managers.ts";
import type { DeleteOptions, Propagation } from "./registry/delete.ts";
import type { WriteOptions } from "./registry/target.ts";
import { ApiError, invalid } from "./status.ts";
import type { Author } from "./user.ts";

/** A request as far as its options are in it. */
interface Asked {
  readonly query: URLSearchParams;
  readonly by: Author;
}

/** What Kubernetes calls the options of each verb. */
const optionsOf: Readonly<Record<string, string>> = { create: "CreateOptions", patch: "PatchOptions" };

/** A query parameter as yes or no, the way Go's `strconv.ParseBool` reads it. @throws ApiError `BadRequest`. */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === "") return false;
  if (/^(?:1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(?:0|f|F|FALSE|false|False)$/.test(value)) return false;
  throw new ApiError("BadRequest", `the query parameter ${name} must be true or false, not "${value}"`);
}

/** A query parameter as a whole number of at least 0. @throws ApiError `BadRequest`. */
export function count(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === "") return undefined;
  const number = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(number)) return number;
  throw new ApiError("BadRequest", `the query parameter ${name} must be a whole number, not "${value}"`);
}

function isDryRun(values: readonly unknown[]): boolean {
  for (const value of values) {
    if (value === "All" || value === "") continue;
    throw new ApiError("BadRequest", `dryRun: Unsupported value: ${JSON.stringify(value)}: supported values: "All"`);
  }
  return values.includes("All");
}

/** A refusal of a write's options, in Kubernetes' words. */
function refuseOption(options: string, reason: FieldError["reason"], field: string, message: string): ApiError {
  return invalid({ group: "meta.k8s.io", kind: options }, "", [{ field, reason, message }]);
}

/** The name that a request gives to who manages what it writes; empty for none. @throws ApiError `Invalid`. */
function givenManager(query: URLSearchParams, options: string): string {
  const name = query.get("fieldManager") ?? "";
  const problem = managerProblem(name);
  if (problem === undefined) return name;
  const message = `Invalid value: ${JSON.stringify(name.slice(0, 200))}: ${problem}`;
  throw refuseOption(options, "FieldValueInvalid", "fieldManager", message);
}

/**
 * Reads the options of an application from a query.
 * @throws ApiError `BadRequest`, and `Invalid` where it does not say who applies.
 */
export function parseApplyOptions(asked: Asked & Pick<WriteOptions, "warn">): {
  readonly options: WriteOptions;
  readonly force: boolean;
} {
  if (givenManager(asked.query, "PatchOptions") === "") {
    const message = "Required value: is required for apply patch";
    throw refuseOption("PatchOptions", "FieldValueRequired", "fieldManager", message);
  }
  return { options: readWriteOptions(asked), force: flag(asked.query, "force") };
}

/** Reads the options of a write from a query. @throws ApiError `BadRequest`, `Invalid`. */
export function parseWriteOptions(asked: Asked & Pick<WriteOptions, "warn">): WriteOptions {
  if (asked.by.verb.startsWith("patch") && asked.query.has("force")) {
    const message = "Forbidden: may not be specified for non-apply patch";
    throw refuseOption("PatchOptions", "FieldValueForbidden", "force", message);
  }
  return readWriteOptions(asked);
}

function readWriteOptions({ query, warn, by }: Asked & Pick<WriteOptions, "warn">): WriteOptions {
  // As in Kubernetes, unknown fields are told of unless the client says otherwise.
  const fieldValidation = query.get("fieldValidation") || "Warn";
  if (fieldValidation !== "Strict" && fieldValidation !== "Warn" && fieldValidation !== "Ignore") {
    throw new ApiError(
      "BadRequest",
      `fieldValidation: Unsupported value: "${fieldValidation}": supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  const [verb = "", subresource] = by.verb.split(" ");
  const manager = givenManager(query, optionsOf[verb] ?? "UpdateOptions") || managerOfAgent(by.agent);
  const dryRun = isDryRun(query.getAll("dryRun"));
  return { dryRun, fieldValidation, warn, by, manager, ...(subresource === undefined ? {} : { subresource }) };
}

function parsePropagation(value: unknown): Propagation | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (value === "Background" || value === "Foreground" || value === "Orphan") return value;
  throw new ApiError(
    "BadRequest",
    `propagationPolicy: Unsupported value: ${JSON.stringify(value)}: supported values: "Background", "Foreground", "Orphan"`,
  );
}

function optionalText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Reads the options of a deletion from a query and, with more weight, from a body. @throws ApiError `BadRequest`. */
export function parseDeleteOptions({ query, by }: Asked, body: JsonObject): DeleteOptions {
  const preconditions = isObject(body["preconditions"]) ? body["preconditions"] : {};
  const inBody = Array.isArray(body["dryRun"]) ? (body["dryRun"] as unknown[]) : [];
  const grace = body["gracePeriodSeconds"] ?? count(query, "gracePeriodSeconds");
  if (grace !== undefined && !(Number.isSafeInteger(grace) && (grace as number) >= 0)) {
    throw new ApiError("BadRequest", "gracePeriodSeconds must be a whole number of at least 0");
  }
  const orphan = body["orphanDependents"] === true || flag(query, "orphanDependents") ? "Orphan" : undefined;
  const propagation = parsePropagation(body["propagationPolicy"] ?? query.get("propagationPolicy")) ?? orphan;
  const uid = optionalText(preconditions["uid"]);
  const resourceVersion = optionalText(preconditions["resourceVersion"]);
  return {
    dryRun: isDryRun([...query.getAll("dryRun"), ...inBody]),
    by,
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace as number }),
    ...(propagation === undefined ? {} : { propagation }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
