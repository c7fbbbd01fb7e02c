import { fieldPointer } from "#api/field-path.ts";
import type { StringMap } from "#api/meta.ts";
import { discoveryKey, discoveryModes } from "#api/weft/discovery-mode.ts";
import { hijackKey, hijackModes } from "#api/weft/hijack-mode.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { Fix, PatchOperation, Problem } from "../message.ts";
import { nearest } from "../nearest.ts";
import { type Annotated, annotated } from "./annotations.ts";

/** Where an object's metadata may say which mode holds. */
type Section = "labels" | "annotations";

/** A place where the word counts, in the same object, and what else stands there. */
interface Target {
  readonly at: string;
  readonly section: Section;
  readonly entries: StringMap;
}

/** A label of Namespaces and annotation of Pods that names one of several modes. */
interface ModeKey {
  readonly key: string;
  readonly modes: readonly string[];
  readonly code: string;
}

const discovery: ModeKey = { key: discoveryKey, modes: discoveryModes, code: "InvalidDiscovery" };
const hijack: ModeKey = { key: hijackKey, modes: hijackModes, code: "InvalidHijack" };

function fieldOf({ at }: { readonly at: string }, section: Section, { key }: ModeKey): string {
  return `${at}.${section}[${key}]`;
}

/** Where the word counts: as a label of a Namespace, and as an annotation of Pods. Nowhere in objects of other kinds. */
function targetOf({ kind, at, labels, annotations, template }: Annotated): Target | undefined {
  if (kind === "Namespace") return { at, section: "labels", entries: labels };
  if (kind === "Pod") return { at, section: "annotations", entries: annotations };
  return template && { at: template.at, section: "annotations", entries: template.annotations ?? {} };
}

function moved(from: string, { at, section, entries }: Target, value: string, of: ModeKey): readonly PatchOperation[] {
  const remove = { op: "remove", path: fieldPointer(from) } as const;
  if (entries[of.key] !== undefined) return [remove];
  const isEmpty = Object.keys(entries).length === 0;
  const fresh = { op: "add", path: fieldPointer(`${at}.${section}`), value: {} } as const;
  const added = { op: "add", path: fieldPointer(fieldOf({ at }, section, of)), value } as const;
  return isEmpty ? [remove, fresh, added] : [remove, added];
}

function* judged(of: Annotated, mode: ModeKey): Generator<Problem> {
  const { key, modes, code } = mode;
  const target = targetOf(of);
  for (const section of ["labels", "annotations"] as const) {
    const value = of[section][key];
    if (value === undefined) continue;
    const field = fieldOf(of, section, mode);
    if (target?.at !== of.at || target.section !== section) {
      const where = "it is a label of Namespaces and an annotation of Pods";
      const message = `${key} means nothing here: ${where}.`;
      const fix: Fix = target
        ? { text: `Move it to ${target.at}.${target.section}.`, patch: moved(field, target, value, mode) }
        : { text: "Remove it.", patch: [{ op: "remove", path: fieldPointer(field) }] };
      yield problemOf(of.ref, { code, field, message, fix });
    } else if (!modes.includes(value)) {
      const meant = nearest(value, modes);
      const path = fieldPointer(field);
      const fix: Fix | undefined =
        meant === undefined ? undefined : { text: `Write ${meant}.`, patch: [{ op: "replace", path, value: meant }] };
      const message = `${key} says ${JSON.stringify(value)}, which is none of ${modes.join(", ")}, so that it counts for nothing.`;
      yield problemOf(of.ref, { code, field, message, fix });
    }
  }
}

/** What is to say how much of the mesh proxies hold, and does not. */
export const discoveryAnalyzer: Analyzer = {
  name: "discovery.ModeAnalyzer",
  description: `Checks the values and places of the label and annotation ${discoveryKey}`,
  *problems(objects) {
    for (const of of annotated(objects)) yield* judged(of, discovery);
  },
};

/** What is to say how connections are led to proxies, and does not. */
export const hijackAnalyzer: Analyzer = {
  name: "hijack.ModeAnalyzer",
  description: `Checks the values and places of the label and annotation ${hijackKey}`,
  *problems(objects) {
    for (const of of annotated(objects)) yield* judged(of, hijack);
  },
};
