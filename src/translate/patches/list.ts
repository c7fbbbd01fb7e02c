import { clone, type DescMessage } from "@bufbuild/protobuf";
import { type ApplyTo, type Patch, type Patched, patchedSchemas } from "./patch.ts";

/** How a patch sees the items of the list that it is for. */
export interface ItemMatch<Item> {
  /** Whether the patch asks for a certain item. */
  readonly named: boolean;
  /** Whether an item is the one; all are where none is asked for. */
  readonly matches: (item: Item) => boolean;
}

function inserted<Item>(list: readonly Item[], at: number, item: Item): Item[] {
  return at < 0 ? [...list] : list.toSpliced(at, 0, item);
}

/** A copy of what a patch puts in. */
export function copyOfValue<A extends ApplyTo>(applyTo: A, value: Patched<A>): Patched<A> {
  const schema: DescMessage = patchedSchemas[applyTo];
  // A clone is of the message's own type.
  return clone(schema, value) as Patched<A>;
}

/**
 * A list after a patch that adds, replaces or removes an item. Without a certain item, what is inserted before goes to the
 * beginning, what is inserted after to the end, and nothing is replaced or removed.
 */
export function patchedList<A extends ApplyTo>(
  list: readonly Patched<A>[],
  patch: Patch<A>,
  { named, matches }: ItemMatch<Patched<A>>,
): Patched<A>[] {
  if (patch.operation === "REMOVE") return list.filter((item) => !named || !matches(item));
  const { applyTo, value } = patch;
  const copy = (): Patched<A> => copyOfValue(applyTo, value);
  const found = list.findIndex(matches);
  switch (patch.operation) {
    case "ADD":
      return [...list, copy()];
    case "INSERT_FIRST":
      return [copy(), ...list];
    case "INSERT_BEFORE":
      return named ? inserted(list, found, copy()) : [copy(), ...list];
    case "INSERT_AFTER":
      return named ? inserted(list, found < 0 ? found : found + 1, copy()) : [...list, copy()];
    case "REPLACE":
      return named && found >= 0 ? list.with(found, copy()) : [...list];
    case "MERGE":
    case "MERGE_AND_REPLACE_LIST":
      return [...list];
  }
}
