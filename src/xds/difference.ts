import type { EncodedResource } from "#proto/encoded.ts";
import { At, type Base } from "./base.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { View } from "./view.ts";

/** What must be sent to bring a client from what it holds to what its view shows. Shared by all clients at that point. */
export interface Difference {
  /** Resources that are new or other, or that must be sent again. */
  readonly upserts: readonly EncodedResource[];
  /** What the client held of the upserts and the removed, by name, where its bytes are known. */
  readonly past: ReadonlyMap<string, EncodedResource>;
  /** Names that the client holds and that are no more. */
  readonly removed: NameSet;
  /** Names that the client asked for, never held, and that do not exist. */
  readonly unknown: readonly string[];
  /** Names of other resources that Envoy will wait for, because of the upserts. */
  readonly awaits: NameSet;
  /** Names of the upserts, the removed and the unknown. */
  readonly names: NameSet;
}

function candidates(base: Base, view: View, forced: NameSet): Iterable<string> {
  const names = new Set<string>();
  if (base instanceof At && base.view === view) {
    for (const name of base.changes().keys()) names.add(name);
  } else {
    for (const resource of view.resources()) names.add(resource.name);
    for (const name of base.names()) names.add(name);
  }
  for (const name of forced) names.add(name);
  return names;
}

/**
 * Works out a difference.
 * @param forced names that go out whether they changed or not: those newly asked for, or that Envoy waits for.
 */
export function differenceOf(base: Base, view: View, forced: NameSet, sets: NameSets): Difference {
  const upserts: EncodedResource[] = [];
  const past = new Map<string, EncodedResource>();
  const removed: string[] = [];
  const unknown: string[] = [];
  for (const name of candidates(base, view, forced)) {
    const resource = view.get(name);
    const held = base.versionOf(name);
    if (resource && (held !== resource.version || forced.has(name))) {
      upserts.push(resource);
    } else if (!resource && view.asksFor(name)) {
      if (held !== undefined) removed.push(name);
      else if (forced.has(name)) unknown.push(name);
    }
    const before = held === undefined ? undefined : base.resourceOf(name);
    if (before && before !== resource) past.set(name, before);
  }
  return finished({ upserts, past, removed: sets.of(removed), unknown }, sets);
}

/** The same difference for a client that refuses some of it. */
export function withoutRefused(
  difference: Difference,
  refused: (resource: EncodedResource) => boolean,
  sets: NameSets,
): Difference {
  const upserts = difference.upserts.filter((resource) => !refused(resource));
  return upserts.length === difference.upserts.length ? difference : finished({ ...difference, upserts }, sets);
}

function finished(parts: Omit<Difference, "awaits" | "names">, sets: NameSets): Difference {
  const { upserts, removed, unknown } = parts;
  const awaits = sets.of(upserts.flatMap((resource) => resource.awaits));
  const names = sets.of([...upserts.map((resource) => resource.name), ...removed, ...unknown]);
  return { ...parts, awaits, names };
}
