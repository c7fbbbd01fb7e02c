import fc from "fast-check";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { keyword } from "#api/schema.ts";
import { accepted, type Redraw } from "./accepted-part.ts";
import { patchValues } from "./envoy-filters.ts";
import { durations, keys, odd, texts, words } from "./words.ts";

/** A JSON schema as kinds have it. */
interface Node {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly additionalProperties?: Node;
  readonly [keyword.oneOf]?: readonly (readonly string[])[];
}

/** Values of fields that hold any object, by name. */
const structures: Readonly<Record<string, readonly object[]>> = { value: patchValues, pluginConfig: [{}, { a: 1 }] };

const ports = [0, 80, 443, 8080, 5432, 9999];

function textOf(node: Node, path: readonly string[]): fc.Arbitrary<string> {
  if (node.enum) return fc.constantFrom(...node.enum);
  if (node.format === "duration" || node.format === "positive-duration") return fc.constantFrom(...durations);
  const name = path.at(-1) ?? "";
  return fc.constantFrom(...(ownValue(words, `${path.at(-2)}.${name}`) ?? ownValue(words, name) ?? texts));
}

function numberOf(
  { type, minimum = -2, maximum = 4_294_967_295 }: Node,
  path: readonly string[],
): fc.Arbitrary<number> {
  const name = path.at(-1) ?? "";
  if (name === "number" || name === "port" || name === "targetPort") return fc.constantFrom(...ports);
  const values = [0, 1, 3, 50, 100, 301, 503, minimum, maximum, ...(type === "number" ? [0.1, 33.3333] : [])];
  return fc.constantFrom(...values.filter((value) => value >= minimum && value <= maximum));
}

/** Of each group of fields of which only one may be set the wanted one, or else the first that is there. */
function onlyOneOf(groups: readonly (readonly string[])[], wanted: string | undefined, made: object): object {
  const extra = groups.flatMap((group) => {
    const there = group.filter((name) => Object.hasOwn(made, name));
    const kept = there.find((name) => name === wanted) ?? there[0];
    return there.filter((name) => name !== kept);
  });
  const left = new Set(extra);
  return Object.fromEntries(Object.entries(made).filter(([name]) => !left.has(name)));
}

/** How many of four optional fields are set. */
type Density = 1 | 2;

/** Makes values of the schemas of one kind. */
class Values {
  readonly #density: Density;
  /** Of fields that nobody aims at, by schema and then by the names that choose words. */
  readonly #made = new Map<Node, Map<string, fc.Arbitrary<unknown>>>();

  constructor(density: Density) {
    this.#density = density;
  }

  /**
   * Any value of a schema, though not of every value: texts and numbers are those that a mesh may well hold.
   * @param path names of the fields that lead to it
   * @param aim the rest of a path as `stepsOf` has it, whose every step the value has
   */
  of(node: Node, path: readonly string[], aim: readonly string[]): fc.Arbitrary<unknown> {
    if (aim.length > 0) return this.#make(node, path, aim);
    const byNames = this.#made.getOrInsertComputed(node, () => new Map<string, fc.Arbitrary<unknown>>());
    return byNames.getOrInsertComputed(path.slice(-2).join("."), () => this.#make(node, path, aim));
  }

  #make(node: Node, path: readonly string[], aim: readonly string[]): fc.Arbitrary<unknown> {
    if (node.items) return this.#list(node, node.items, path, aim);
    if (node.additionalProperties) return this.#map(node.additionalProperties, path, aim);
    if (node.properties) return this.#object(node, path, aim);
    if (node.type === "boolean") return fc.boolean();
    if (node.type === "integer" || node.type === "number") return numberOf(node, path);
    if (node.type !== "object") return textOf(node, path);
    return fc.constantFrom(...(ownValue(structures, path.at(-1) ?? "") ?? [{}]));
  }

  #list(node: Node, items: Node, path: readonly string[], aim: readonly string[]): fc.Arbitrary<unknown> {
    const aimed = aim.length > 0 ? 1 : 0;
    const most = Math.min(node.maxItems ?? 2, 2) - aimed;
    const others = fc.array(this.of(items, path, []), {
      minLength: Math.min(Math.max((node.minItems ?? 0) - aimed, 0), most),
      maxLength: most,
    });
    if (aimed === 0) return others;
    return fc.tuple(this.of(items, path, aim.slice(1)), others).map(([first, rest]) => [first, ...rest]);
  }

  #map(entry: Node, path: readonly string[], aim: readonly string[]): fc.Arbitrary<unknown> {
    const key = fc.constantFrom(...(ownValue(keys, path.at(-1) ?? "") ?? ["app", "x-user", ...odd]));
    const others = fc.dictionary(key, this.of(entry, path, []), { maxKeys: 2 });
    if (aim.length === 0) return others;
    return fc
      .tuple(others, key, this.of(entry, path, aim.slice(1)))
      .map(([rest, name, value]) => Object.fromEntries([...Object.entries(rest), [name, value]]));
  }

  #object(node: Node, path: readonly string[], [step, ...aim]: readonly string[]): fc.Arbitrary<unknown> {
    const required = new Set(node.required);
    const fields = Object.entries(node.properties ?? {}).map(([name, field]) => {
      const value = this.of(field, [...path, name], name === step ? aim : []);
      if (required.has(name) || name === step) return [name, value] as const;
      const absent = { arbitrary: fc.constant(undefined), weight: 4 - this.#density };
      return [name, fc.oneof(absent, { arbitrary: value, weight: this.#density })] as const;
    });
    return fc.record(Object.fromEntries(fields)).map((made) => {
      const present = Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined));
      return onlyOneOf(node[keyword.oneOf] ?? [], step, present);
    });
  }
}

/** The steps of a path: `spec`, `http`, `[]`, `match`, `[]`, `headers`, `{}`, `exact`. */
function stepsOf(path: string): readonly string[] {
  return path.match(/[^.[\]{}]+|\[\]|\{\}/g) ?? [];
}

/** The schema of the field that steps lead to, and the names among the steps. */
function nodeAt(root: Node, steps: readonly string[]): readonly [node: Node | undefined, names: readonly string[]] {
  let node: Node | undefined = root;
  const names: string[] = [];
  for (const step of steps) {
    const field: Node | undefined = ownValue(node?.properties, step);
    if (field) names.push(step);
    node = field ?? node?.items ?? node?.additionalProperties;
  }
  return [node, names];
}

/** What is left of an aim behind some steps of an object; undefined where they lead elsewhere. */
function aimBehind(steps: readonly string[], aim: readonly string[]): readonly string[] | undefined {
  const there = steps.length <= aim.length && steps.every((step, at) => [step, "[]", "{}"].includes(aim[at] ?? ""));
  return there ? aim.slice(steps.length) : undefined;
}

/** Draws values of a schema, each time others. */
function redrawOf(values: Values, root: Node, aim: readonly string[], seed: number): Redraw {
  let draws = 0;
  return {
    draw: (steps) => {
      const [node, names] = nodeAt(root, steps);
      const left = aimBehind(steps, aim) ?? [];
      return node && fc.sample(fc.noBias(values.of(node, names, left)), { numRuns: 1, seed: seed + ++draws })[0];
    },
    wanted: (steps) => aim.length > 0 && aimBehind(steps, aim) !== undefined,
  };
}

const metadata = fc.record({
  name: fc.constantFrom("g", "a", "b"),
  namespace: fc.constantFrom("shop", "bank", "istio-system", "constructor"),
  creationTimestamp: fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
});

/** Objects of a kind that the API accepts, of values of a schema that has some of the kind's parts. */
function objectsOf(kind: Kind, values: Values, parts: readonly string[], aim: readonly string[]) {
  const fields = Object.entries(kind.schema.properties).filter(([name]) => parts.includes(name));
  const root: Node = { properties: Object.fromEntries(fields), required: ["spec"] };
  const body = values.of(root, [], aim) as fc.Arbitrary<object>;
  return fc
    .tuple(metadata, body, fc.nat())
    .map(([meta, made, seed]) => {
      const head = { apiVersion: `${kind.group}/${kind.versions[0].name}`, kind: kind.kind };
      const uid = `${kind.kind}/${meta.namespace}/${meta.name}`;
      const submitted = { ...head, metadata: { uid, resourceVersion: "1", generation: 1, ...meta }, ...made };
      return accepted(kind, submitted, redrawOf(values, root, aim, seed));
    })
    .filter((object) => object !== undefined);
}

/** Objects of a kind that the API accepts, of any field that its schema has. */
export function acceptedObjects(kind: Kind): fc.Arbitrary<ResourceObject> {
  return objectsOf(kind, new Values(2), ["spec"], []);
}

/**
 * For each of some fields of a kind, objects that the API accepts and that have this field unless the rest of what was
 * made does not allow it.
 * @param paths as `schemaPaths` writes them
 */
export function objectsWith(kind: Kind, paths: readonly string[]): readonly fc.Arbitrary<ResourceObject>[] {
  const values = new Values(1);
  return paths.map((path) => {
    const steps = stepsOf(path);
    return objectsOf(kind, values, ["spec", ...steps.slice(0, 1)], steps);
  });
}
