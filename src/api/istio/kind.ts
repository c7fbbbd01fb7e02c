import type { TObject } from "typebox";
import type { Column, FieldError, Kind } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { FieldPath, forbidden } from "../field.ts";
import { object } from "../schema.ts";
import { heldColumn } from "./holding.ts";
import { IstioStatus } from "./status.ts";

/** What tells one kind of Istio's from another. */
interface IstioKind {
  readonly group: "extensions.istio.io" | "networking.istio.io" | "security.istio.io" | "telemetry.istio.io";
  /** Served versions; the first is the preferred and stored one. */
  readonly versions: Kind["versions"];
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: TObject;
  /** Columns between the name and the age, or with the age where it is not the last. */
  readonly columns: readonly Column[];
  readonly validate: (object: ResourceObject) => Iterable<FieldError>;
  readonly warnings?: (object: ResourceObject) => Iterable<string>;
  /** Its objects may have the annotation `istio.io/dry-run`, which `validate` checks. */
  readonly dryRun?: boolean;
}

/** Tries an object out: what it would refuse is only told. */
export const dryRunAnnotation = "istio.io/dry-run";

/** Annotations that Istio keeps for itself. */
const reservedAnnotations = [
  "internal.istio.io/webhook-always-reject",
  "internal.istio.io/parents",
  "internal.istio.io/parent-namespace",
];

function* validateAnnotations({ metadata }: ResourceObject, dryRun: boolean): Generator<FieldError> {
  const path = FieldPath.root.field("metadata", "annotations");
  for (const name of dryRun ? reservedAnnotations : [dryRunAnnotation, ...reservedAnnotations]) {
    if (metadata.annotations?.[name] !== undefined) yield forbidden(path.key(name), "may not be set on this type");
  }
}

/** A kind of the group `networking.istio.io` that has come to v1. */
export function networkingKind(parts: Omit<IstioKind, "group" | "versions">): Kind {
  return istioKind({
    ...parts,
    group: "networking.istio.io",
    versions: [{ name: "v1" }, { name: "v1beta1" }, { name: "v1alpha3" }],
  });
}

/** A kind of Istio's: its objects belong to the mesh. */
export function istioKind(parts: IstioKind): Kind {
  const { spec, columns, validate, warnings, dryRun = false, ...rest } = parts;
  return {
    ...rest,
    singular: parts.kind.toLowerCase(),
    categories: ["istio-io", parts.group.replaceAll(".", "-")],
    namespaced: true,
    home: "mesh",
    // An absent spec is an empty one, so that what it lacks is named.
    schema: object(parts.description, { spec: { ...spec, default: {} } }, { status: IstioStatus }),
    columns: [...(columns.includes(ageColumn) ? columns : columns.concat(ageColumn)), heldColumn],
    status: true,
    validate: (object) => [...validateAnnotations(object, dryRun), ...validate(object)],
    ...(warnings === undefined ? {} : { warnings: (object) => [...warnings(object)] }),
  };
}
