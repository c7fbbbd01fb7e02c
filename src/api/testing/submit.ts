import type { Kind } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
import { type Admission, Validator } from "../validation.ts";

const validator = new Validator();

/** What is submitted beside an object's body. */
export interface Submission {
  /** Members of its metadata beside its name and namespace. */
  readonly metadata?: object;
  /** What it replaces. */
  readonly before?: ResourceObject | undefined;
}

/**
 * Submits an object called `sample`, in the namespace `shop` where its kind has namespaces.
 * @param body its members beside kind and metadata, such as `spec`.
 */
export function submit(kind: Kind | undefined, body: object, { metadata, before }: Submission = {}): Admission {
  if (kind === undefined) throw new Error("there is no such kind");
  const { group, versions, namespaced } = kind;
  const object = {
    apiVersion: group === "" ? versions[0].name : `${group}/${versions[0].name}`,
    kind: kind.kind,
    metadata: { name: "sample", ...(namespaced && { namespace: "shop" }), ...metadata },
    ...body,
  };
  return validator.admit(kind, object, before === undefined ? {} : { before });
}

/** What is wrong with a submitted object, a line an error. */
export function errorLines({ errors }: Admission): readonly string[] {
  return errors.map(({ field, message }) => `${field}: ${message}`);
}

/** A specification or a part of an object, and the one error that it gets. */
export type Case = readonly [part: object, error: string];
