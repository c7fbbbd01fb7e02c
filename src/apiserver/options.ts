import type { JsonObject } from "./body.ts";
import { isObject } from "./body.ts";
import type { DeleteOptions, Propagation } from "./registry/delete.ts";
import type { WriteOptions } from "./registry/target.ts";
import { ApiError } from "./status.ts";
import type { Author } from "./user.ts";

/** A request as far as its options are in it. */
interface Asked {
  readonly query: URLSearchParams;
  readonly by: Author;
}

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

/** Reads the options of a write from a query. @throws ApiError `BadRequest`. */
export function parseWriteOptions({ query, warn, by }: Asked & Pick<WriteOptions, "warn">): WriteOptions {
  // As in Kubernetes, unknown fields are told of unless the client says otherwise.
  const fieldValidation = query.get("fieldValidation") || "Warn";
  if (fieldValidation !== "Strict" && fieldValidation !== "Warn" && fieldValidation !== "Ignore") {
    throw new ApiError(
      "BadRequest",
      `fieldValidation: Unsupported value: "${fieldValidation}": supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  return { dryRun: isDryRun(query.getAll("dryRun")), fieldValidation, warn, by };
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
