import type { ResourceObject } from "#api/meta.ts";

/** An object that may be stored. */
export interface Admitted {
  readonly object: ResourceObject;
  /** Call it when the object is stored, or will not be. */
  readonly release: () => void;
}

/** An object with nothing to release. */
export function admitted(object: ResourceObject): Admitted {
  return { object, release: () => undefined };
}
