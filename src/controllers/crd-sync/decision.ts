/** An object on one side as it is now: the hash of its content and its resource version, both empty where there is none. */
export interface Side {
  readonly hash: string;
  readonly version: string;
}

/** A side that has no such object. */
export const absent: Side = { hash: "", version: "" };

/** The two sides that are kept the same. */
export type SideName = "mesh" | "member";

/** A write that was begun: whether it came to be is not known until its target is looked at. */
export interface Pending {
  readonly to: SideName;
  /** The hash of what was to be written. */
  readonly hash: string;
  /** The resource version of the target before; empty where there was none. */
  readonly at: string;
}

/** What is remembered of an object that both sides have had: the hashes of the contents by which they last agreed. */
export interface Agreement {
  readonly mesh: string;
  /** Unlike the mesh's where the member's API stores the same content otherwise, with defaults of its own for instance. */
  readonly member: string;
  /** What the member's API dropped of the mesh's content, which a write back would take from the mesh. */
  readonly dropped?: string;
  readonly pending?: Pending;
}

/** What is to be done with an object. */
export type Decision =
  /** Both sides are as they should be. */
  | { readonly kind: "settled" }
  /** Both say the same: that is to be remembered. */
  | { readonly kind: "agree" }
  /** One side changed: the other follows. */
  | { readonly kind: "copy"; readonly to: SideName }
  /** Both changed: one stands, and what the other said is kept for people. */
  | { readonly kind: "conflict"; readonly to: SideName; readonly why: ConflictReason };

/** Why what one side said does not stand. */
export type ConflictReason = "BothChanged" | "ChangedAndDeleted" | "FieldsDropped";

function other(side: SideName): SideName {
  return side === "mesh" ? "member" : "mesh";
}

/** What the sides agreed on; undefined where a write was cut off and somebody may have written after it. */
function base(known: Agreement, sides: Readonly<Record<SideName, Side>>): Agreement | undefined {
  const { pending } = known;
  if (pending === undefined) return known;
  const target = sides[pending.to];
  // What was to be made and is not there was not made, or was made and deleted.
  if (target.version === pending.at) return target.version === "" ? undefined : known;
  if (target.hash === pending.hash) return { mesh: pending.hash, member: pending.hash };
  return undefined;
}

/** Of two changes an edit goes before a deletion, and of two edits the mesh's. */
function conflict({ mesh, member }: Readonly<Record<SideName, Side>>): Decision {
  if (mesh.hash === "") return { kind: "conflict", to: "mesh", why: "ChangedAndDeleted" };
  return { kind: "conflict", to: "member", why: member.hash === "" ? "ChangedAndDeleted" : "BothChanged" };
}

/** Compares what both sides say with what they last agreed on. */
export function decide(known: Agreement | undefined, sides: Readonly<Record<SideName, Side>>): Decision {
  const { mesh, member } = sides;
  if (mesh.hash === member.hash) {
    const same = known !== undefined && known.mesh === mesh.hash && known.member === member.hash;
    return same && known.pending === undefined ? { kind: "settled" } : agreed(known, mesh.hash);
  }
  const agreement = base(known ?? { mesh: "", member: "" }, sides);
  if (agreement === undefined) return conflict(sides);
  const changed = { mesh: mesh.hash !== agreement.mesh, member: member.hash !== agreement.member };
  if (changed.mesh && changed.member) return conflict(sides);
  if (!changed.mesh && !changed.member) return { kind: "settled" };
  const to = other(changed.mesh ? "mesh" : "member");
  // A member that does not know all fields would take them from the mesh.
  if (to === "mesh" && member.hash !== "" && agreement.dropped !== undefined)
    return { kind: "conflict", to: "member", why: "FieldsDropped" };
  return { kind: "copy", to };
}

/** Nothing is remembered of what neither side has. */
function agreed(known: Agreement | undefined, hash: string): Decision {
  return hash === "" && known === undefined ? { kind: "settled" } : { kind: "agree" };
}
