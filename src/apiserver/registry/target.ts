import type { Kind } from "#api/kind.ts";
import { apiVersionOf, type ObjectMeta, type ResourceObject } from "#api/meta.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { ApiError } from "../status.ts";
import type { Author } from "../user.ts";

/** What a request is about: a kind in one of its versions, where. */
export interface Target {
  readonly kind: Kind;
  /** The version asked for. */
  readonly version: string;
  /** Absent for cluster-wide kinds, and for all namespaces. */
  readonly namespace: string | undefined;
}

/** How a write is done. */
export interface WriteOptions {
  /** Say what would be written, and write nothing. */
  readonly dryRun: boolean;
  /** What becomes of fields that nobody knows. */
  readonly fieldValidation: "Strict" | "Warn" | "Ignore";
  /** Takes what the user should know. */
  readonly warn: (message: string) => void;
  /** Who writes; the server itself unless told. */
  readonly by?: Author;
  /** Who manages what is written; the server itself unless told. */
  readonly manager?: string;
  /** What of the object the write is to, such as `status` or `scale`; the object itself unless told. */
  readonly subresource?: string;
}

/** A submitted object whose `apiVersion`, `kind` and `metadata` are of the right type and fit the URL. */
export interface Submitted extends JsonObject {
  readonly metadata: JsonObject & { readonly name?: string };
}

function expectText(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string") return value;
  throw new ApiError("BadRequest", `${field} is not a text`);
}

function checkType(target: Target, object: JsonObject): void {
  const { kind, version } = target;
  const apiVersion = apiVersionOf(kind.group, version);
  const submitted = expectText(object["apiVersion"], "apiVersion") ?? apiVersion;
  const submittedKind = expectText(object["kind"], "kind") ?? kind.kind;
  if (submitted !== apiVersion) {
    throw new ApiError(
      "BadRequest",
      `the API version in the data (${submitted}) does not match the expected API version (${apiVersion})`,
    );
  }
  if (submittedKind !== kind.kind) {
    throw new ApiError(
      "BadRequest",
      `${submittedKind} in version "${version}" cannot be handled as a ${kind.kind}: the kind in the data does not match the URL`,
    );
  }
}

/**
 * Checks that a submitted object is of the target's kind and place, and fills in what it leaves to the URL. It gets the
 * stored version's `apiVersion`.
 * @throws ApiError `BadRequest`.
 */
export function identify(target: Target, object: JsonObject, name: string | undefined): Submitted {
  checkType(target, object);
  const { kind, namespace } = target;
  const submitted = object["metadata"] ?? {};
  if (!isObject(submitted)) throw new ApiError("BadRequest", "metadata is not an object");
  // Who manages what is read on its own, where the write has a say in it.
  const { managedFields: _, ...metadata } = submitted;
  const submittedNamespace = expectText(metadata["namespace"], "metadata.namespace");
  if (submittedNamespace !== undefined && submittedNamespace !== namespace && kind.namespaced) {
    throw new ApiError(
      "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request",
    );
  }
  const submittedName = expectText(metadata["name"], "metadata.name");
  if (name !== undefined && submittedName !== undefined && submittedName !== name) {
    throw new ApiError(
      "BadRequest",
      `the name of the object (${submittedName}) does not match the name on the URL (${name})`,
    );
  }
  const place = {
    ...(kind.namespaced && namespace !== undefined ? { namespace } : {}),
    ...(name === undefined ? {} : { name }),
  };
  return {
    ...object,
    apiVersion: apiVersionOf(kind.group, kind.versions[0].name),
    kind: kind.kind,
    metadata: { ...metadata, ...place },
  };
}

/** An object with its members in the order in which people expect them. */
export function ordered(object: ResourceObject): ResourceObject {
  const { apiVersion, kind, metadata, status, ...body } = object;
  return { apiVersion, kind, metadata, ...body, ...(status === undefined ? {} : { status }) };
}

/** What clients say in an object's metadata beside its name; what is empty is not there. */
export function givenMetadata({
  labels = {},
  annotations = {},
  finalizers = [],
  ownerReferences = [],
}: ObjectMeta): Pick<ObjectMeta, "labels" | "annotations" | "finalizers" | "ownerReferences"> {
  return {
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(finalizers.length === 0 ? {} : { finalizers }),
    ...(ownerReferences.length === 0 ? {} : { ownerReferences }),
  };
}
