import type { Finding } from "#api/finding.ts";
import type { MessageType } from "#api/message-types.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { Position } from "./document.ts";

/** One operation of a JSON patch (RFC 6902). */
export type PatchOperation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "move"; readonly from: string; readonly path: string };

/** How a problem can be repaired mechanically. */
export interface Fix {
  /** What the patch does, in one sentence. */
  readonly text: string;
  /** Changes of the object that has the problem. */
  readonly patch: readonly PatchOperation[];
}

/** A finding of analysis, with a repair where there is one. */
export interface Problem extends Finding {
  readonly fix?: Fix;
}

/** What analysis says: a problem, which kind of message it is, and where it stands. */
export interface Message {
  readonly type: MessageType;
  /** Absent where a file holds something that is no object. */
  readonly resource?: ObjectRef;
  readonly field?: string;
  readonly message: string;
  /** Absent for objects that are read from an API. */
  readonly position?: Position;
  readonly fix?: Fix;
}

/** An object as `istioctl` writes it: `VirtualService shop/reviews`. */
export function friendlyName({ kind, namespace, name }: ObjectRef): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
