import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kinds } from "#api/kinds.ts";
import type { ManagedFieldsEntry, ResourceObject } from "#api/meta.ts";
import { map, mergeList, mergeSet, list, object, string } from "#api/schema.ts";
import type { Kind } from "#api/kind.ts";
import { equal } from "#base/canonical.ts";
import { runs } from "#base/testing/runs.ts";
import { ApiError } from "../status.ts";
import { readManagers } from "./managers.ts";
import { MergeTypes, type MergeType } from "./merge-type.ts";
import { applyConfiguration, updateOwners, type Writing } from "./ownership.ts";
import { pathsOf } from "./field-set.ts";

const text = string("");

/** A kind with every way in which values are merged. */
const kind: Kind = {
  group: "example.com",
  versions: [{ name: "v1" }],
  kind: "Thing",
  plural: "things",
  singular: "thing",
  shortNames: [],
  categories: [],
  namespaced: true,
  home: "mesh",
  description: "",
  columns: [],
  status: false,
  schema: object(
    "",
    {},
    {
      data: map("", text),
      items: mergeList("", object("", { name: text }, { x: text, y: text }), "name"),
      set: mergeSet("", text),
      whole: list("", text),
    },
  ),
};
const type = new MergeTypes().of(kind);

/**
 * What an object says, field by field, the simplest way: `data.a`, `items.a.x`, `set.a`, `whole`. What the code under test does
 * with trees is done here with this flat table.
 */
type Flat = ReadonlyMap<string, string>;

function objectOf(flat: Flat): ResourceObject {
  const data: Record<string, string> = {};
  const items = new Map<string, Record<string, string>>();
  const set: string[] = [];
  const rest: Record<string, unknown> = {};
  for (const [path, value] of flat) {
    const [part = "", key = "", field = ""] = path.split(".");
    if (part === "data") data[key] = value;
    else if (part === "items") items.set(key, { ...(items.get(key) ?? { name: key }), [field]: value });
    else if (part === "set") set.push(key);
    else rest["whole"] = [value];
  }
  const body = {
    ...(Object.keys(data).length === 0 ? {} : { data }),
    ...(items.size === 0 ? {} : { items: [...items.values()] }),
    ...(set.length === 0 ? {} : { set }),
    ...rest,
  };
  return { apiVersion: "example.com/v1", kind: "Thing", metadata: { name: "t" }, ...body } as unknown as ResourceObject;
}

function flatOf(value: Readonly<Record<string, unknown>>): Flat {
  const {
    data = {},
    items = [],
    set = [],
    whole,
  } = value as {
    data?: Record<string, string>;
    items?: Record<string, string>[];
    set?: string[];
    whole?: string[];
  };
  return new Map([
    ...Object.entries(data).map(([key, one]) => [`data.${key}`, one] as const),
    ...items.flatMap((item) =>
      Object.entries(item).map(([field, one]) => [`items.${item["name"]}.${field}`, one] as const),
    ),
    ...set.map((one) => [`set.${one}`, ""] as const),
    ...(whole === undefined ? [] : [["whole", whole[0] ?? ""] as const]),
  ]);
}

/** The flat name of a path of a set; undefined for what is no field of the flat table but around some. */
function flatPath(path: readonly string[]): string | undefined {
  const [part = "", key = "", field = ""] = path.map((element) => element.slice(2));
  if (part === "data") return key === "" ? undefined : `data.${key}`;
  if (part === "set") return key === "" ? undefined : `set.${JSON.parse(key) as string}`;
  if (part !== "items") return part;
  return field === "" ? undefined : `items.${(JSON.parse(key) as { name: string }).name}.${field}`;
}

function ownedBy({ fieldsV1 }: ManagedFieldsEntry): ReadonlySet<string> {
  return new Set([...pathsOf(fieldsV1)].map(flatPath).filter((path) => path !== undefined));
}

/** The table of a server that knows nothing but what the documentation says of fields, owners and conflicts. */
class Model {
  flat: Flat = new Map();
  readonly owners = new Map<string, Set<string>>();

  #lose(path: string, but: string): void {
    for (const [manager, paths] of this.owners) if (manager !== but) paths.delete(path);
  }

  conflicts(manager: string, applied: Flat): boolean {
    return [...applied].some(
      ([path, value]) =>
        this.flat.get(path) !== value && [...this.owners].some(([name, paths]) => name !== manager && paths.has(path)),
    );
  }

  apply(manager: string, applied: Flat): void {
    const next = new Map(this.flat);
    const last = this.owners.get(manager) ?? new Set();
    for (const path of last) {
      const others = [...this.owners].some(([name, paths]) => name !== manager && paths.has(path));
      if (!applied.has(path) && !others) next.delete(path);
    }
    for (const [path, value] of applied) {
      if (next.get(path) !== value) this.#lose(path, manager);
      next.set(path, value);
    }
    // An item whose key nobody owns any more goes, with what others have put into it.
    for (const path of next.keys()) {
      if (path.startsWith("items.") && !next.has(path.replace(/\.[xy]$/, ".name"))) next.delete(path);
    }
    for (const path of this.flat.keys()) if (!next.has(path)) this.#lose(path, "");
    this.owners.set(manager, new Set(applied.keys()));
    this.flat = next;
  }

  update(manager: string, next: Flat): void {
    const own = this.owners.get(manager) ?? new Set<string>();
    this.owners.set(manager, own);
    for (const path of this.flat.keys()) if (!next.has(path)) this.#lose(path, "");
    for (const [path, value] of next) {
      if (this.flat.get(path) === value) continue;
      this.#lose(path, manager);
      own.add(path);
    }
    this.flat = next;
  }
}

const value = fc.constantFrom("1", "2");
const data = fc.tuple(fc.constantFrom("data.a", "data.b", "data.c"), value);
const itemField = fc.tuple(fc.constantFrom("items.a.x", "items.a.y", "items.b.x", "items.b.y", "items.c.x"), value);
const member = fc.tuple(fc.constantFrom("set.a", "set.b"), fc.constant(""));
const whole = fc.tuple(fc.constant("whole"), value);

/** An item of a list always says which it is. */
function withKeys(entries: readonly (readonly [string, string])[]): Flat {
  const keys = entries
    .filter(([path]) => path.startsWith("items."))
    .map(([path]) => path.split(".")[1] ?? "")
    .map((name) => [`items.${name}.name`, name] as const);
  return new Map([...keys, ...entries]);
}

const flat = fc.array(fc.oneof(data, itemField, member, whole), { maxLength: 8 }).map(withKeys);
const step = fc.record({
  by: fc.constantFrom("a", "b", "c"),
  how: fc.constantFrom("apply", "force", "update"),
  flat,
});

function writing(manager: string, operation: "Apply" | "Update", time: string): Writing {
  const by = { manager, operation, apiVersion: "example.com/v1" };
  return { type, by, part: "all", time, served: () => true };
}

const all = <T>(conflicts: readonly T[]): readonly T[] => conflicts;

function expectAsModel(object: ResourceObject | undefined, model: Model): void {
  expect(new Map(flatOf(object ?? {}))).toEqual(new Map(model.flat));
  const owners = [...model.owners].filter(([, paths]) => paths.size > 0).map(([name, paths]) => [name, new Set(paths)]);
  const entries = object?.metadata.managedFields ?? [];
  const seen = entries
    .map((entry) => [`${entry.manager} ${entry.operation}`, ownedBy(entry)] as const)
    .filter(([, paths]) => paths.size > 0);
  expect(new Map(seen)).toEqual(new Map(owners as [string, Set<string>][]));
}

/** What a server does with a step, and the model with it. */
class Both {
  object: ResourceObject | undefined;
  readonly model = new Model();
  /** Whether whatever was applied twice wrote nothing the second time. */
  idle = true;
  #now = 0;

  #stored(object: object, entries: readonly ManagedFieldsEntry[]): void {
    this.object = {
      ...(object as ResourceObject),
      metadata: {
        name: "t",
        ...(entries.length === 0 ? {} : { managedFields: entries }),
      } as ResourceObject["metadata"],
    };
  }

  apply(by: string, applied: Flat, force: boolean): void {
    const manager = `${by} Apply`;
    const refused = !force && this.model.conflicts(manager, applied);
    this.#now += 1;
    const at = writing(by, "Apply", new Date(this.#now * 1000).toISOString());
    const run = () => applyConfiguration(this.object, objectOf(applied), force ? () => [] : all, at);
    if (refused) {
      try {
        run();
      } catch (error) {
        if (error instanceof ApiError && error.reason === "Conflict") return;
        throw error;
      }
      throw new Error("what conflicts was applied");
    }
    const { object, entries } = run();
    this.#stored(object, entries);
    this.model.apply(manager, applied);
    this.#again(by, applied);
  }

  /** The same again, later: nothing of it is to be written. */
  #again(by: string, applied: Flat): void {
    // Nobody may own anything any more, and then to apply is to begin anew.
    if ((this.object?.metadata.managedFields ?? []).length === 0) return;
    const at = writing(by, "Apply", "2030-01-01T00:00:00Z");
    const { object, entries } = applyConfiguration(this.object, objectOf(applied), all, at);
    this.idle &&= equal(object, this.object) && equal(entries, this.object?.metadata.managedFields ?? []);
  }

  update(by: string, next: Flat): void {
    const wanted = objectOf(next);
    this.#now += 1;
    const at = writing(by, "Update", new Date(this.#now * 1000).toISOString());
    const entries = updateOwners(this.object, wanted, this.object?.metadata.managedFields ?? [], at);
    // An object that nobody manages is not watched over before somebody applies.
    const watched = this.object === undefined || (this.object.metadata.managedFields ?? []).length > 0;
    this.#stored(wanted, entries);
    if (watched) this.model.update(`${by} Update`, next);
    else this.model.flat = next;
  }
}

describe("owners of fields", () => {
  test("are those who set them last or agree on them, whatever several managers do", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const both = new Both();
        for (const { by, how, flat } of steps) {
          // Who applies nothing to what nobody manages makes all of it somebody's: the model has no name for that.
          if (both.object !== undefined && (both.object.metadata.managedFields ?? []).length === 0) return;
          if (how === "update") both.update(by, flat);
          else both.apply(by, flat, how === "force");
          expectAsModel(both.object, both.model);
          expect(both.idle).toBe(true);
        }
      }),
      { numRuns: runs(400) },
    );
  });

  test("have the time of their last change, and who only agrees has none", () => {
    const applied = (object: ResourceObject | undefined, by: string, set: readonly string[], time: string) => {
      const body = { ...objectOf(new Map()), set };
      const { object: next, entries } = applyConfiguration(object, body, all, writing(by, "Apply", time));
      return { ...next, metadata: { name: "t", managedFields: entries } } as unknown as ResourceObject;
    };
    const times = ({ metadata }: ResourceObject): object =>
      Object.fromEntries((metadata.managedFields ?? []).map(({ manager, time }) => [manager, time]));
    const first = applied(undefined, "a", ["x", "y"], "2026-01-01T00:00:01Z");
    const again = applied(first, "a", ["x", "y"], "2026-01-01T00:00:02Z");
    expect(times(again)).toEqual({ a: "2026-01-01T00:00:01Z" });
    const shared = applied(again, "b", ["x"], "2026-01-01T00:00:03Z");
    expect(times(shared)).toEqual({ a: "2026-01-01T00:00:01Z", b: undefined });
    const turned = applied(shared, "a", ["y", "x"], "2026-01-01T00:00:04Z");
    expect(times(turned)).toEqual({ a: "2026-01-01T00:00:04Z", b: undefined });
    const more = applied(turned, "b", ["x", "z"], "2026-01-01T00:00:05Z");
    expect(times(more)).toEqual({ a: "2026-01-01T00:00:04Z", b: "2026-01-01T00:00:05Z" });
  });

  test("are read again as they were written", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const both = new Both();
        for (const { by, how, flat } of steps) {
          if (how === "update") both.update(by, flat);
          else both.apply(by, flat, true);
        }
        const entries = both.object?.metadata.managedFields ?? [];
        if (entries.length === 0) return;
        const submitted = JSON.parse(JSON.stringify({ managedFields: entries })) as Record<string, unknown>;
        const read = readManagers(submitted, undefined);
        expect(read.kind === "given" ? [...read.entries] : read).toEqual([...entries]);
      }),
      { numRuns: runs(200) },
    );
  });

  test("of a set follow the documented order of a merged list", () => {
    const apply = (live: readonly string[], applied: readonly string[]): unknown =>
      applyConfiguration({ ...objectOf(new Map()), set: live }, { set: applied }, () => [], writing("a", "Apply", ""))
        .object["set"];
    expect(apply(["a", "b", "c"], ["c", "a"])).toEqual(["b", "c", "a"]);
    expect(apply(["a", "x", "b", "y"], ["a", "b", "n"])).toEqual(["a", "x", "b", "y", "n"]);
    expect(apply(["x", "a"], ["n", "a"])).toEqual(["x", "n", "a"]);
  });
});

describe("managers that a client writes", () => {
  const entry = { manager: "a", operation: "Apply", apiVersion: "v1", fieldsType: "FieldsV1" };

  test.each<[string, unknown]>([
    ["no list", {}],
    ["an entry that is none", ["x"]],
    ["an unknown operation", [{ ...entry, operation: "Steal" }]],
    ["no version", [{ ...entry, apiVersion: "" }]],
    ["another form of fields", [{ ...entry, fieldsType: "FieldsV2" }]],
    ["a time that is none", [{ ...entry, time: "soon" }]],
    ["an element without a type", [{ ...entry, fieldsV1: { spec: {} } }]],
    ["a key that is no object", [{ ...entry, fieldsV1: { "k:1": {} } }]],
    ["a value that is no JSON", [{ ...entry, fieldsV1: { "v:x": {} } }]],
    ["a set that is none", [{ ...entry, fieldsV1: { "f:a": 1 } }]],
  ])("with %s count as absent", (_, managedFields) => {
    expect(readManagers({ managedFields }, undefined)).toEqual({ kind: "stored" });
  });

  test("have one form, however their keys stand", () => {
    const fieldsV1 = { 'k:{"b": 2, "a":1}': { ".": {} }, "f:x": { ".": {}, "f:y": {} } };
    expect(readManagers({ managedFields: [{ ...entry, fieldsV1 }] }, undefined)).toEqual({
      kind: "given",
      entries: [{ ...entry, fieldsV1: { 'k:{"a":1,"b":2}': {}, "f:x": { ".": {}, "f:y": {} } } }],
    });
  });
});

/** Lists of a kind whose items lack a field by which they are told apart, by the paths of the lists. */
function withoutKeys(type: MergeType, path: string, seen: Set<MergeType>): readonly string[] {
  if (seen.has(type) || type.kind === "leaf") return [];
  seen.add(type);
  if (type.kind === "fields") {
    const below = [...type.fields].flatMap(([name, field]) => withoutKeys(field, `${path}.${name}`, seen));
    return type.others === undefined ? below : [...below, ...withoutKeys(type.others, `${path}.*`, seen)];
  }
  const { keys, item } = type;
  const missing = keys.filter(({ name }) => item.kind === "fields" && !item.fields.has(name));
  return [...missing.map(({ name }) => `${path}[${name}]`), ...withoutKeys(item, `${path}[]`, seen)];
}

test("keys of lists are fields of their items, in every kind", () => {
  const types = new MergeTypes();
  expect(kinds.flatMap((one) => withoutKeys(types.of(one), one.kind, new Set()))).toEqual([]);
});
