import { flag } from "../options.ts";
import { ApiError } from "../status.ts";

/** How a list's `resourceVersion` is meant. */
export type VersionMatch = "" | "Exact" | "NotOlderThan";

function refuse(field: string, problem: string): ApiError {
  return new ApiError("Invalid", `ListOptions.meta.k8s.io "" is invalid: ${field}: ${problem}`, {
    details: {
      group: "meta.k8s.io",
      kind: "ListOptions",
      causes: [
        {
          reason: problem.startsWith("Unsupported") ? "FieldValueNotSupported" : "FieldValueForbidden",
          message: problem,
          field,
        },
      ],
    },
  });
}

/** Reads a `resourceVersion`; empty counts as 0. @throws ApiError `BadRequest`. */
export function parseRevision(text: string): number {
  if (text === "") return 0;
  const revision = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(revision)) return revision;
  throw new ApiError("BadRequest", `Invalid value: "${text}": the resource version is not a whole number`);
}

/** Checks `resourceVersionMatch` with what stands beside it. @throws ApiError `Invalid`. */
export function checkVersionMatch(query: URLSearchParams): VersionMatch {
  const match = query.get("resourceVersionMatch") ?? "";
  const version = query.get("resourceVersion") ?? "";
  const field = "resourceVersionMatch";
  if (match === "") {
    if (flag(query, "sendInitialEvents")) {
      throw refuse(field, "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    return match;
  }
  if (match !== "Exact" && match !== "NotOlderThan") {
    throw refuse(field, `Unsupported value: "${match}": supported values: "Exact", "NotOlderThan"`);
  }
  if (query.has("sendInitialEvents")) {
    if (match === "NotOlderThan") return match;
    throw refuse(field, "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (flag(query, "watch")) throw refuse(field, "Forbidden: resourceVersionMatch is forbidden for watch");
  if (version === "")
    throw refuse(field, "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
  if ((query.get("continue") ?? "") !== "") {
    throw refuse(field, "Forbidden: resourceVersionMatch is forbidden when continue is provided");
  }
  if (match === "Exact" && version === "0") {
    throw refuse(field, 'Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
  }
  return match;
}

/** The version is of the future: the client may try again. */
export function notReached(wanted: number, newest: number): ApiError {
  const message = `Too large resource version: ${wanted}, current: ${newest}`;
  return new ApiError("Timeout", message, {
    details: {
      causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
      retryAfterSeconds: 1,
    },
  });
}
