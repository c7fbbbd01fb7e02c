/** Who owns an object, so that it goes when its owner goes. Kubernetes `meta/v1.OwnerReference`. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
  /** As stored: the cluster that has the owner, and alone is shown the reference; absent for an owner that every cluster sees. */
  readonly cluster?: string;
}

/** Labels or annotations. */
export type StringMap = Readonly<Record<string, string>>;

/**
 * A set of fields, as Kubernetes' `meta/v1.FieldsV1` writes it: elements of paths (`f:NAME` a member, `k:{KEYS}` an item of a list
 * by its keys, `v:VALUE` one of a set) with what is below them. `.` below an element says that the field itself is in the set
 * too; an element with nothing below it is.
 */
export interface FieldSet {
  readonly [element: string]: FieldSet;
}

/** Who set which fields of an object, and how. Kubernetes `meta/v1.ManagedFieldsEntry`. */
export interface ManagedFieldsEntry {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  /** RFC 3339, whole seconds. */
  readonly time?: string;
  readonly fieldsType: "FieldsV1";
  readonly fieldsV1: FieldSet;
  /** Where it was not the object itself that was written. */
  readonly subresource?: string;
}

/** Kubernetes `meta/v1.ObjectMeta`, as stored: what the server always fills in is not optional. */
export interface ObjectMeta {
  readonly name: string;
  /** Absent on cluster-wide kinds. */
  readonly namespace?: string;
  readonly uid: string;
  /** Decimal number of the store's revision that wrote the object. */
  readonly resourceVersion: string;
  /** Counts changes of the specification, from 1. */
  readonly generation: number;
  /** RFC 3339, whole seconds. */
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly generateName?: string;
  readonly labels?: StringMap;
  readonly annotations?: StringMap;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFieldsEntry[];
}

/** An object of any kind, as the API serves it. Bodies are plain JSON. */
export interface ResourceObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [member: string]: unknown;
}

/** An object with a known body: `Resource<{ spec: ...; status?: ... }>`. */
export type Resource<Body> = Readonly<Omit<ResourceObject, keyof Body>> & {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
} & Body;

/** Names one object of a mesh, for findings and messages. */
export interface ObjectRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  /** The member cluster that holds the object; absent for the mesh's own. */
  readonly cluster?: string;
}

/**
 * The name of an object.
 * @param cluster the member cluster that holds it; empty for the mesh's own.
 */
export function refOf(object: ResourceObject, cluster = ""): ObjectRef {
  const { name, namespace } = object.metadata;
  return {
    group: groupOf(object.apiVersion),
    kind: object.kind,
    name,
    ...(namespace !== undefined && { namespace }),
    ...(cluster !== "" && { cluster }),
  };
}

/** An object's name as people write it: `VirtualService shop/reviews`, `Service shop/reviews (east)`. */
export function refText(ref: ObjectRef): string {
  const name = ref.namespace === undefined ? ref.name : `${ref.namespace}/${ref.name}`;
  return ref.cluster === undefined ? `${ref.kind} ${name}` : `${ref.kind} ${name} (${ref.cluster})`;
}

/** `group/version` as an object's `apiVersion` has it; the core group has no name. */
export function apiVersionOf(group: string, version: string): string {
  return group === "" ? version : `${group}/${version}`;
}

/** The group of an object's `apiVersion`; empty for the core group. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? "" : apiVersion.slice(0, slash);
}

/** An object's key among all of a mesh: groups and clusters may have objects of one kind and name. */
export function refKey({ group, kind, namespace = "", name, cluster = "" }: ObjectRef): string {
  return [cluster, group, kind, namespace, name].join("|");
}
