import type { TObject } from "typebox";
import type { Column, FieldError, Kind } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { FieldPath, forbidden } from "../field.ts";
import { object } from "../schema.ts";
import { IstioStatus } from "./status.ts";

/** What tells one kind of Istio's networking group from another. */
interface NetworkingKind {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: TObject;
  /** Columns between the name and the age. */
  readonly columns: readonly Column[];
  readonly validate: (object: ResourceObject) => Iterable<FieldError>;
  readonly warnings?: (object: ResourceObject) => Iterable<string>;
}

/** Annotations that Istio keeps for itself, or for kinds that can be tried out. */
const reservedAnnotations = [
  "istio.io/dry-run",
  "internal.istio.io/webhook-always-reject",
  "internal.istio.io/parents",
  "internal.istio.io/parent-namespace",
];

function* validateAnnotations({ metadata }: ResourceObject): Generator<FieldError> {
  const path = FieldPath.root.field("metadata", "annotations");
  for (const name of reservedAnnotations) {
    if (metadata.annotations?.[name] !== undefined) yield forbidden(path.key(name), "may not be set on this type");
  }
}

/** A kind of the group `networking.istio.io`: its objects belong to the mesh, and v1 is stored. */
export function networkingKind(parts: NetworkingKind): Kind {
  const { spec, columns, validate, warnings, ...rest } = parts;
  return {
    ...rest,
    group: "networking.istio.io",
    versions: [{ name: "v1" }, { name: "v1beta1" }, { name: "v1alpha3" }],
    singular: parts.kind.toLowerCase(),
    categories: ["istio-io", "networking-istio-io"],
    namespaced: true,
    home: "mesh",
    // An absent spec is an empty one, so that what it lacks is named.
    schema: object(parts.description, { spec: { ...spec, default: {} } }, { status: IstioStatus }),
    columns: columns.concat(ageColumn),
    status: true,
    validate: (object) => [...validateAnnotations(object), ...validate(object)],
    ...(warnings === undefined ? {} : { warnings: (object) => [...warnings(object)] }),
  };
}
