import type { TObject } from "typebox";
import type { ResourceObject } from "./meta.ts";

/** A served version of a kind. All versions are views of one stored object; only `apiVersion` differs. */
export interface KindVersion {
  readonly name: string;
  /** kubectl prints a warning when a deprecated version is used. */
  readonly deprecated?: boolean;
}

/** A column of kubectl's table, beside the name's, which the server puts first. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  /** Shown only with `-o wide`. */
  readonly wide?: boolean;
  readonly description: string;
  /**
   * The cell, from the object; `undefined` prints as `<none>`. Dates are RFC 3339 and print as ages. A text that tells
   * an age itself needs the time, in milliseconds since the epoch.
   */
  readonly cell: (object: ResourceObject, now?: number) => string | number | undefined;
}

/** One thing wrong with a submitted object. */
export interface FieldError {
  /** Path of the field, such as `spec.http[0].route[1].weight`. */
  readonly field: string;
  /** Kubernetes' reasons for field causes. */
  readonly reason:
    | "FieldValueInvalid"
    | "FieldValueRequired"
    | "FieldValueNotSupported"
    | "FieldValueDuplicate"
    | "FieldValueForbidden";
  readonly message: string;
}

/**
 * What names of a kind look like: a DNS name of several labels, one label, one label that begins with a letter, or
 * anything that can stand between two slashes of a URL.
 */
export type NameForm = "subdomain" | "label" | "letterLabel" | "segment";

/**
 * Where objects of a kind live: in each member cluster, or once in the mesh, readable and writable through
 * every cluster's endpoint.
 */
export type Home = "cluster" | "mesh" | "both";

/** How `kubectl scale` and autoscalers reach a kind's replica count. */
export interface ScaleFields {
  /** The label selector of the replicas, as text, from the object. */
  readonly selector: (object: ResourceObject) => string;
}

/** A resource kind: the single source of its type, validation, defaults, OpenAPI and table columns. */
export interface Kind {
  /** Empty for the core group. */
  readonly group: string;
  /** Served versions; the first is the preferred and stored one. */
  readonly versions: readonly [KindVersion, ...KindVersion[]];
  readonly kind: string;
  /** Lower case, as in URLs. */
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** `subdomain` unless told. */
  readonly nameForm?: NameForm;
  readonly home: Home;
  readonly description: string;
  /** The whole object but `apiVersion`, `kind` and `metadata`. */
  readonly schema: TObject;
  readonly columns: readonly Column[];
  /** The table has no name before its columns: events, as Kubernetes shows them. */
  readonly unnamedTable?: boolean;
  /** Has a `status` that only the `/status` subresource writes. */
  readonly status: boolean;
  readonly scale?: ScaleFields;
  /** Takes strategic merge patches, as Kubernetes' own kinds do; custom resources take the other forms only. */
  readonly strategicMerge?: boolean;
  /** Checks that a schema cannot say; called with a body that fits the schema, defaults filled in. */
  readonly validate?: (object: ResourceObject) => readonly FieldError[];
  /** What the user should know about an object that is accepted all the same; called as `validate` is. */
  readonly warnings?: (object: ResourceObject) => readonly string[];
  /** Checks a change, such as of fields that must stay. */
  readonly validateUpdate?: (object: ResourceObject, before: ResourceObject) => readonly FieldError[];
  /** Fills in what depends on other fields; constant defaults stand in the schema. */
  readonly complete?: (object: ResourceObject) => ResourceObject;
}

/** A kind's resource in full: `virtualservices.networking.istio.io`, `services` in the core group. */
export function resourceName(kind: Pick<Kind, "group" | "plural">): string {
  return kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`;
}
