import type { FieldSet, ManagedFieldsEntry, ResourceObject } from "#api/meta.ts";
import { deepFreeze } from "./frozen.ts";

/** Texts of sets of fields, which most writes of an object leave as they are. */
const setTexts = new WeakMap<FieldSet, string>();

/** Texts of stored objects. */
const objectTexts = new WeakMap<ResourceObject, string>();

/** The JSON text of an object that was written by this process, as it was stored. */
export function storedText(object: ResourceObject): string | undefined {
  return objectTexts.get(object);
}

function setText(fields: FieldSet): string {
  let text = setTexts.get(fields);
  if (text === undefined) {
    text = JSON.stringify(fields);
    // What has a text is frozen, so that the text stays true.
    setTexts.set(deepFreeze(fields), text);
  }
  return text;
}

/** An entry as JSON, its set of fields encoded once for all writes that leave it. */
function entryText({ fieldsV1, ...entry }: ManagedFieldsEntry): string {
  return `${JSON.stringify(entry).slice(0, -1)},"fieldsV1":${setText(fieldsV1)}}`;
}

/** An object as a store keeps it: frozen, with its JSON text. */
interface Storable {
  readonly object: ResourceObject;
  readonly text: string;
}

function remembered(object: ResourceObject, text: string): Storable {
  objectTexts.set(object, text);
  return { object, text };
}

/** Members of an object as JSON. */
function memberTexts(object: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  return new Map(members.map(([name, value]) => [name, JSON.stringify(value)]));
}

function textOf(members: ReadonlyMap<string, string>): string {
  return `{${[...members].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

/**
 * An object as a store keeps it, and its JSON text. The object is read back from the text, so that it shares nothing with the
 * caller's; managed fields alone are not copied but frozen where they are, since they are the larger part of many objects and
 * a write replaces few of them.
 */
export function storable(object: ResourceObject): Storable {
  const { managedFields, ...metadata } = object.metadata;
  if (managedFields === undefined) {
    const text = JSON.stringify(object);
    return remembered(deepFreeze(JSON.parse(text) as ResourceObject), text);
  }
  const members = memberTexts({ ...object, metadata });
  const copy = deepFreeze(JSON.parse(textOf(members)) as ResourceObject);
  const own = `${(members.get("metadata") ?? "").slice(0, -1)},"managedFields":[${managedFields.map(entryText).join(",")}]}`;
  for (const entry of managedFields) Object.freeze(entry);
  const owned = Object.freeze({ ...copy.metadata, managedFields: Object.freeze(managedFields) });
  return remembered(Object.freeze({ ...copy, metadata: owned }), textOf(new Map([...members, ["metadata", own]])));
}
