import { structuredPatch } from "diff";

/** A line of YAML: how deep it stands, and the key that it begins with. */
interface YamlLine {
  readonly depth: number;
  readonly item: boolean;
  readonly key: string;
  readonly value: string;
}

function yamlLine(text: string): YamlLine {
  const [, indent = "", dash = "", key = "", value = ""] = /^( *)((?:- )*)(?:"?([^":]+)"?:)? ?(.*)$/.exec(text) ?? [];
  return { depth: indent.length + dash.length, item: dash !== "", key, value };
}

/** How the element of a list that a line is part of is called, if it has a name. */
function elementName(lines: readonly YamlLine[], at: number, depth: number): string | undefined {
  for (let next = at; next < lines.length; next += 1) {
    const line = lines[next];
    if (!line || line.depth < depth || (line.item && line.depth === depth && next > at)) return undefined;
    if (line.depth === depth && line.key === "name") return line.value.replaceAll('"', "");
  }
  return undefined;
}

/** The keys above a line, outermost first; elements of lists by their names. */
export function yamlPath(text: readonly string[], at: number): readonly string[] {
  const lines = text.map(yamlLine);
  const path: string[] = [];
  let depth = (lines[at]?.depth ?? 0) + 1;
  for (let line = at; line >= 0; line -= 1) {
    const { depth: own, item, key } = lines[line] ?? { depth: 0, item: false, key: "" };
    if (own < depth) {
      if (line < at && key !== "" && !item) path.unshift(key);
      depth = own;
    }
    if (item && own === depth) {
      const name = elementName(lines, line, own);
      if (name !== undefined) path.unshift(name);
      // What stands above belongs to other elements, up to the key of the list.
      depth = own - 1;
    }
  }
  return path;
}

/** Marks removed and added lines; the identity where there is no terminal. */
export interface Paint {
  readonly removed: (line: string) => string;
  readonly added: (line: string) => string;
  readonly place: (line: string) => string;
}

/** What changes from one YAML text to another: hunks, each below the path of keys at which it stands. */
export function patchText(before: string, after: string, paint: Paint): string {
  const { hunks } = structuredPatch("", "", before, after, "", "", { context: 2 });
  const [old, made] = [before.split("\n"), after.split("\n")];
  const parts = hunks.map(({ oldStart, newStart, lines }) => {
    const first = lines.findIndex((line) => !line.startsWith(" "));
    const path = (lines[first] ?? "").startsWith("-")
      ? yamlPath(old, oldStart - 1 + first)
      : yamlPath(made, newStart - 1 + first);
    const shown = lines
      .filter((line) => !line.startsWith("\\"))
      .map((line) => (line.startsWith("-") ? paint.removed(line) : line.startsWith("+") ? paint.added(line) : line));
    return [paint.place(`@@ ${path.join(" > ")}`.trimEnd()), ...shown].map((line) => `  ${line}\n`).join("");
  });
  return parts.join("");
}
