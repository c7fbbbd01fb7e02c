import type { Kind } from "#api/kind.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { checkDepth, parseJson } from "../body.ts";
import { ApiError } from "../status.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicPatch } from "#api/strategic/merge.ts";

/** A patch that has been read: gives the changed object. */
export type Patch = (object: JsonObject) => JsonObject;

function asObject(value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw new ApiError("BadRequest", "the patch leaves no object");
}

/**
 * Reads a patch.
 * @throws ApiError `UnsupportedMediaType` for types that are not patches, `BadRequest`.
 */
export function parsePatch(kind: Kind, type: string, body: Buffer): Patch {
  switch (type) {
    case "application/json-patch+json": {
      const patch = parseJson(body);
      return (object) => {
        const patched = applyJsonPatch(object, patch);
        // Other patches nest no deeper than what they are made of.
        checkDepth(patched);
        return asObject(patched);
      };
    }
    case "application/merge-patch+json": {
      const patch = parseJson(body);
      return (object) => asObject(applyMergePatch(object, asObject(patch)));
    }
    case "application/strategic-merge-patch+json": {
      const patch = parseJson(body);
      return (object) => applyStrategicPatch(kind, object, patch);
    }
    default:
      throw new ApiError(
        "UnsupportedMediaType",
        `the body of the request was in an unknown format (${type || "none"}) - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml`,
      );
  }
}
