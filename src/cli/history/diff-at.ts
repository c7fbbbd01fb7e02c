import { stringify } from "yaml";
import type { ResourceObject } from "#api/meta.ts";
import { patchText, type Paint } from "../analysis/patch-text.ts";
import { objectAt, openHistory, written, type ObjectFlags } from "./records.ts";

function text(object: ResourceObject | undefined): string {
  return object === undefined ? "" : stringify(written(object), { lineWidth: 0 });
}

/** What a revision of an object and what it is by now differ in; nothing when they are the same. */
export async function diffAt(named: string, at: number, flags: ObjectFlags, paint: Paint): Promise<string> {
  using history = await openHistory(named, flags);
  const newest = history.records.findLast(({ minor }) => !minor);
  const before = text(objectAt(history, at));
  const after = text(newest?.object);
  if (before === after) return "";
  const now = newest?.object === undefined ? "is gone" : `now (revision ${newest.revision})`;
  return `${history.title}: revision ${at}, and ${now}\n${patchText(before, after, paint)}`;
}
