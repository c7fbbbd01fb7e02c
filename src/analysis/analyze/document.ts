import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
} from "yaml";
import { fieldSteps } from "#api/field-path.ts";

/** A place in a file; lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A value of a file, with the places of its fields. */
export interface Sourced {
  readonly value: unknown;
  /** Where a field stands, such as `spec.http[0].route`; of one that is absent, the nearest field around it that is there. */
  position(field?: string): Position;
}

/** What cannot be read of a file, and where. */
export interface Unreadable {
  readonly message: string;
  readonly position: Position;
}

/** What a file holds. */
export interface ParsedFile {
  readonly values: readonly Sourced[];
  readonly unreadable: readonly Unreadable[];
}

type Places = (offset: number) => Position;

/** The node under a key or an index, and where it begins; a field of a map begins with its key. */
function step(node: unknown, name: string): { readonly node: unknown; readonly offset: number } | undefined {
  if (isSeq(node)) {
    const item = /^\d+$/.test(name) ? node.items[Number(name)] : undefined;
    return isNode(item) && item.range ? { node: item, offset: item.range[0] } : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === name);
  if (!pair || !isPair(pair) || !isScalar(pair.key) || !pair.key.range) return undefined;
  return { node: pair.value, offset: pair.key.range[0] };
}

function sourced(document: Document.Parsed, root: ParsedNode, places: Places): Sourced {
  return {
    value: root.toJS(document),
    position(field = "") {
      let node: unknown = root;
      let offset = root.range[0];
      for (const name of fieldSteps(field)) {
        const next = step(node, name);
        if (!next) break;
        ({ node, offset } = next);
      }
      return places(offset);
    },
  };
}

/** The objects of a document: of a List, its items. */
function nodesOf(document: Document.Parsed): readonly ParsedNode[] {
  const root = document.contents;
  if (root === null) return [];
  const items = isMap(root) ? root.get("items", true) : undefined;
  const isList = isMap(root) && String(root.get("kind")).endsWith("List") && isSeq(items);
  if (isList) return items.items.filter((item) => isNode(item)) as ParsedNode[];
  return isScalar(root) && (root.value === null || root.value === undefined) ? [] : [root];
}

function parsedDocument(document: Document.Parsed, places: Places): ParsedFile {
  const unreadable = document.errors.map(({ message, pos }) => ({
    message: message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? "",
    position: places(pos[0]),
  }));
  if (unreadable.length > 0) return { values: [], unreadable };
  const values: Sourced[] = [];
  for (const node of nodesOf(document)) {
    try {
      values.push(sourced(document, node, places));
    } catch (error) {
      // Aliases that grow beyond bounds are found out only when the value is made.
      const message = error instanceof Error ? error.message : String(error);
      return { values, unreadable: [{ message, position: places(node.range[0]) }] };
    }
  }
  return { values, unreadable: [] };
}

/** Reads the documents of a YAML or JSON text, with the places of all fields. What cannot be read does not hide the rest. */
export function parseFile(text: string, file: string): ParsedFile {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter });
  const places: Places = (offset) => {
    const { line, col } = lineCounter.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const parsed = documents.map((document) => parsedDocument(document, places));
  return { values: parsed.flatMap(({ values }) => values), unreadable: parsed.flatMap(({ unreadable }) => unreadable) };
}
