import type { ResourceObject } from "#api/meta.ts";
import { storedText } from "#store/object-text.ts";

/** The text of each stored object, which many readers share. */
const texts = new WeakMap<ResourceObject, Map<string, string>>();

/** A stored object as a served version shows it: only `apiVersion` differs. */
export function asVersion(object: ResourceObject, apiVersion: string): ResourceObject {
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/**
 * A stored object as JSON text of a served version. The text is made once and kept as long as the object: a list or a
 * watch event that a thousand clients read costs one serialisation.
 */
export function textOf(object: ResourceObject, apiVersion: string): string {
  let versions = texts.get(object);
  if (versions === undefined) {
    versions = new Map();
    texts.set(object, versions);
  }
  let text = versions.get(apiVersion);
  if (text === undefined) {
    const stored = object.apiVersion === apiVersion ? storedText(object) : undefined;
    text = stored ?? JSON.stringify(asVersion(object, apiVersion));
    versions.set(apiVersion, text);
  }
  return text;
}
