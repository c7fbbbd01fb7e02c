import { randomUUID } from "node:crypto";
import type { ResourceObject } from "#api/meta.ts";
import type { ObjectKey, Stored } from "../port.ts";

/** What became of a write. */
export interface Outcome {
  readonly revision: number;
  /** Absent for a removal. */
  readonly stored: Stored | undefined;
}

/** A write of this process that is under way. */
export interface OwnWrite extends Disposable {
  /** Stands in etcd beside the change, by which it is known again. */
  readonly id: string;
  /** What became of it, once that has come back from etcd. */
  readonly outcome: Outcome | undefined;
}

/** An object as it is at a revision. */
export function atRevision(object: ResourceObject, revision: number): ResourceObject {
  const metadata = Object.freeze({ ...object.metadata, resourceVersion: String(revision) });
  return Object.freeze({ ...object, metadata });
}

/**
 * The writes of this process that have not come back from etcd: when they do, their objects need not be read again. A write whose
 * answer was lost is found here too, if it was carried out.
 */
export class OwnWrites {
  /** Before the number of a write, so that no two processes' writes have one id. */
  readonly #process = randomUUID();
  readonly #pending = new Map<string, (revision: number) => Stored | undefined>();
  #count = 0;

  /** Begins a write. @param object frozen; absent for a removal. */
  begin(key: ObjectKey, object: ResourceObject | undefined): OwnWrite {
    this.#count += 1;
    const id = `${this.#process}.${this.#count}`;
    let outcome: Outcome | undefined;
    const frozen = Object.freeze({ ...key });
    this.#pending.set(id, (revision) => {
      const stored = object && Object.freeze({ key: frozen, object: atRevision(object, revision), revision });
      outcome = { revision, stored };
      return stored;
    });
    return {
      id,
      get outcome() {
        return outcome;
      },
      [Symbol.dispose]: () => this.#pending.delete(id),
    };
  }

  /** What this process knows of a change that came from etcd; undefined for others' writes. */
  take(id: string, revision: number): { readonly stored: Stored | undefined } | undefined {
    const make = this.#pending.get(id);
    if (make === undefined) return undefined;
    this.#pending.delete(id);
    return { stored: make(revision) };
  }
}
