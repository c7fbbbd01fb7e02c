import { canonical } from "#base/canonical.ts";
import { isObject } from "#api/json.ts";

/** An operation of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: "add" | "remove" | "replace";
  readonly path: string;
  readonly value?: unknown;
}

function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** What makes one value of the other. Members of maps are told one by one; a list that is another is told as a whole. */
export function jsonPatch(before: unknown, after: unknown, path = ""): readonly PatchOperation[] {
  if (canonical(before) === canonical(after)) return [];
  if (!isObject(before) || !isObject(after)) return [{ op: "replace", path, value: after }];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name): readonly PatchOperation[] => {
    const place = `${path}/${escaped(name)}`;
    const [was, is] = [before[name], after[name]];
    if (is === undefined) return was === undefined ? [] : [{ op: "remove", path: place }];
    return was === undefined ? [{ op: "add", path: place, value: is }] : jsonPatch(was, is, place);
  });
}
