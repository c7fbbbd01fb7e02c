import { canonical } from "#base/canonical.ts";
import { isObject } from "#api/json.ts";
import type { ItemsType } from "./merge-type.ts";

/** The element of a member of an object. */
export function fieldElement(name: string): string {
  return `f:${name}`;
}

/**
 * The element of a list's item: its keys, or for sets its value.
 * @returns undefined for what cannot be told from other items: without any key, or no plain value in a set.
 */
export function itemElement({ keys }: ItemsType, item: unknown): string | undefined {
  if (keys.length === 0) {
    return item === null || typeof item === "object" ? undefined : `v:${JSON.stringify(item)}`;
  }
  if (!isObject(item)) return undefined;
  let text = "";
  for (const { name, label, standard } of keys) {
    const value = Object.hasOwn(item, name) ? item[name] : standard;
    // A key that may be absent tells this item from one that has it.
    if (value !== undefined && value !== null) text += `${text === "" ? "" : ","}${label}:${canonical(value)}`;
  }
  return text === "" ? undefined : `k:{${text}}`;
}

function valueText(value: unknown): string {
  return JSON.stringify(value) ?? "";
}

/** An element as messages show it: `.spec`, `[name="http"]`, `[="a"]`, `[0]`. */
function elementText(element: string): string {
  const content = element.slice(2);
  switch (element.slice(0, 2)) {
    case "f:":
      return `.${content}`;
    case "k:": {
      const keys = Object.entries(JSON.parse(content) as Readonly<Record<string, unknown>>);
      return `[${keys.map(([name, value]) => `${name}=${valueText(value)}`).join(",")}]`;
    }
    case "v:":
      return `[=${content}]`;
    default:
      return `[${content}]`;
  }
}

/** A path as messages show it: `.spec.ports[name="http"].number`. */
export function pathText(path: readonly string[]): string {
  return path.map(elementText).join("");
}

/** An element as this server writes it, from one that a client wrote; undefined for what is none. */
export function normalElement(element: string): string | undefined {
  const content = element.slice(2);
  switch (element.slice(0, 2)) {
    case "f:":
      return element;
    case "i:":
      return /^-?\d{1,15}$/.test(content) ? element : undefined;
    case "k:": {
      const keys = jsonOf(content);
      return isObject(keys) && Object.keys(keys).length > 0 ? `k:${canonical(keys)}` : undefined;
    }
    case "v:": {
      const value = jsonOf(content);
      return value === undefined ? undefined : `v:${canonical(value)}`;
    }
    default:
      return undefined;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
