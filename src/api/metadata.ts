import type { FieldError, Kind, NameForm } from "./kind.ts";
import type { OwnerReference, StringMap } from "./meta.ts";
import { FieldPath, forbidden, invalid, required } from "./field.ts";

const labelPattern = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const letterLabelPattern = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/;
const subdomainPattern = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const wordPattern = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** All annotations of an object together, in bytes. */
const annotationLimit = 256 * 1024;

/** What names of each form look like, for machines and for people. */
const forms: Readonly<
  Record<NameForm, { readonly pattern: RegExp; readonly limit: number; readonly message: string }>
> = {
  subdomain: {
    pattern: subdomainPattern,
    limit: 253,
    message:
      "must be a lowercase RFC 1123 subdomain: lower case letters, digits, '-' and '.', with a letter or digit at both ends, at most 253 characters",
  },
  label: {
    pattern: labelPattern,
    limit: 63,
    message:
      "must be a lowercase RFC 1123 label: lower case letters, digits and '-', with a letter or digit at both ends, at most 63 characters",
  },
  segment: {
    pattern: /^(?!\.{1,2}$)[^/%]+$/,
    limit: 253,
    message: "may not be '.' or '..' and may not contain '/' or '%'",
  },
  letterLabel: {
    pattern: letterLabelPattern,
    limit: 63,
    message:
      "must be an RFC 1035 label: lower case letters, digits and '-', a letter first and a letter or digit last, at most 63 characters",
  },
};

/** Says why a text is no name of a form; undefined where it is one. */
export function nameProblem(form: NameForm, name: string): string | undefined {
  const { pattern, limit, message } = forms[form];
  return name.length <= limit && pattern.test(name) ? undefined : message;
}

/** Says why a text cannot be a label's or annotation's key, with or without a prefix: `mesh.weft.dev/node`. */
export function keyProblem(key: string): string | undefined {
  const slash = key.indexOf("/");
  const name = key.slice(slash + 1);
  if (slash >= 0 && nameProblem("subdomain", key.slice(0, slash)) !== undefined) {
    return "the part before '/' must be a lowercase RFC 1123 subdomain";
  }
  if (name.length <= 63 && wordPattern.test(name)) return undefined;
  return "the name must be letters, digits, '-', '_' and '.', with a letter or digit at both ends, at most 63 characters";
}

/** Says why a text cannot be a label's value. */
export function labelValueProblem(value: string): string | undefined {
  if (value === "" || (value.length <= 63 && wordPattern.test(value))) return undefined;
  return "must be empty, or letters, digits, '-', '_' and '.', with a letter or digit at both ends, at most 63 characters";
}

/** Checks a value that must be a name of a form. */
export function* validateNamed(form: NameForm, name: string, path: FieldPath): Generator<FieldError> {
  const problem = nameProblem(form, name);
  if (problem !== undefined) yield invalid(path, name, problem);
}

/** Checks labels as Kubernetes does. */
export function* validateLabels(labels: StringMap | undefined, path: FieldPath): Generator<FieldError> {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const ofKey = keyProblem(key);
    if (ofKey !== undefined) yield invalid(path, key, ofKey);
    const ofValue = labelValueProblem(value);
    if (ofValue !== undefined) yield invalid(path, value, ofValue);
  }
}

function* validateAnnotations(annotations: StringMap | undefined, path: FieldPath): Generator<FieldError> {
  let size = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    const problem = keyProblem(key.toLowerCase());
    if (problem !== undefined) yield invalid(path, key, problem);
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > annotationLimit)
    yield invalid(path, `${size} bytes`, `must have ${annotationLimit} bytes or fewer in all`);
}

function* validateOwners(owners: readonly OwnerReference[], path: FieldPath): Generator<FieldError> {
  let controller: string | undefined;
  for (const [index, owner] of owners.entries()) {
    const at = path.item(index);
    for (const name of ["apiVersion", "kind", "name", "uid"] as const) {
      if (owner[name] === "") yield required(at.field(name));
    }
    if (!owner.controller) continue;
    if (controller !== undefined) {
      yield invalid(path, `${controller}, ${owner.kind} ${owner.name}`, "only one owner may be the controller");
    }
    controller = `${owner.kind} ${owner.name}`;
  }
}

/** Metadata as submitted, once it fits its schema. */
export interface SubmittedMeta {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly labels?: StringMap;
  readonly annotations?: StringMap;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

function* validateName(kind: Kind, meta: SubmittedMeta, path: FieldPath): Generator<FieldError> {
  const form = kind.nameForm ?? "subdomain";
  const { name = "", generateName = "" } = meta;
  if (generateName !== "") {
    // The server adds letters, so a '-' at the end is well.
    const problem = nameProblem(form, generateName.replace(/-$/, "a"));
    if (problem !== undefined) yield invalid(path.field("generateName"), generateName, problem);
  }
  if (name === "") {
    if (generateName === "") yield required(path.field("name"), "name or generateName is required");
    return;
  }
  const problem = nameProblem(form, name);
  if (problem !== undefined) yield invalid(path.field("name"), name, problem);
}

/** Checks an object's metadata as Kubernetes does; what the server itself fills in is not looked at. */
export function* validateMetadata(kind: Kind, meta: SubmittedMeta): Generator<FieldError> {
  const path = FieldPath.root.field("metadata");
  yield* validateName(kind, meta, path);
  const { namespace = "" } = meta;
  if (kind.namespaced) {
    if (namespace === "") yield required(path.field("namespace"));
    else if (nameProblem("label", namespace) !== undefined) {
      yield invalid(path.field("namespace"), namespace, forms.label.message);
    }
  } else if (namespace !== "") yield forbidden(path.field("namespace"), "not allowed on this type");
  yield* validateLabels(meta.labels, path.field("labels"));
  yield* validateAnnotations(meta.annotations, path.field("annotations"));
  yield* validateOwners(meta.ownerReferences ?? [], path.field("ownerReferences"));
  for (const [index, finalizer] of (meta.finalizers ?? []).entries()) {
    const problem = keyProblem(finalizer);
    if (problem !== undefined) yield invalid(path.field("finalizers").item(index), finalizer, problem);
  }
}
