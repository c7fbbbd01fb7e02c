import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kindOf } from "#api/kinds.ts";
import type { JsonObject } from "#api/json.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicPatch } from "#api/strategic/merge.ts";

function container(name: string, extra: object = {}): object {
  return { name, image: name, ...extra };
}

function namesOf(spec: JsonObject): string[] {
  return (spec["containers"] as { name: string }[]).map(({ name }) => name);
}

describe("JSON patch", () => {
  // The examples of RFC 6902, appendix A, and the edges of JSON pointers.
  test.each<[string, unknown, unknown, unknown]>([
    ["adds a member", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    [
      "adds an item",
      { foo: ["bar", "baz"] },
      [{ op: "add", path: "/foo/1", value: "qux" }],
      { foo: ["bar", "qux", "baz"] },
    ],
    ["appends an item", { foo: ["bar"] }, [{ op: "add", path: "/foo/-", value: ["abc"] }], { foo: ["bar", ["abc"]] }],
    ["removes a member", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    ["removes an item", { foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
    ["replaces a value", { baz: "qux" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo" }],
    ["moves a value", { a: { b: 1 }, c: {} }, [{ op: "move", from: "/a/b", path: "/c/d" }], { a: {}, c: { d: 1 } }],
    ["moves an item", { foo: [1, 2, 3, 4] }, [{ op: "move", from: "/foo/1", path: "/foo/3" }], { foo: [1, 3, 4, 2] }],
    [
      "copies deeply",
      { a: { b: [1] } },
      [
        { op: "copy", from: "/a", path: "/c" },
        { op: "add", path: "/c/b/-", value: 2 },
      ],
      { a: { b: [1] }, c: { b: [1, 2] } },
    ],
    [
      "tests a value",
      { baz: ["a", { x: 1 }] },
      [{ op: "test", path: "/baz", value: ["a", { x: 1 }] }],
      { baz: ["a", { x: 1 }] },
    ],
    [
      "knows escapes",
      { "a/b": 1, "m~n": 2 },
      [
        { op: "remove", path: "/a~1b" },
        { op: "replace", path: "/m~0n", value: 3 },
      ],
      { "m~n": 3 },
    ],
    ["adds a null", {}, [{ op: "add", path: "/child", value: null }], { child: null }],
    ["replaces the whole", { a: 1 }, [{ op: "replace", path: "", value: { b: 2 } }], { b: 2 }],
    ["reaches an empty name", { "": 1 }, [{ op: "replace", path: "/", value: 2 }], { "": 2 }],
  ])("%s", (_, target, patch, expected) => {
    const before = structuredClone(target);
    expect(applyJsonPatch(target, patch)).toEqual(expected);
    expect(target).toEqual(before);
  });

  test.each<[string, unknown, string]>([
    ["no list", {}, "BadRequest"],
    ["an unknown operation", [{ op: "spam", path: "/a" }], "BadRequest"],
    ["no path", [{ op: "remove" }], "BadRequest"],
    ["a relative pointer", [{ op: "remove", path: "a" }], "BadRequest"],
    ["no value", [{ op: "add", path: "/a" }], "BadRequest"],
    ["a missing parent", [{ op: "add", path: "/x/y", value: 1 }], "Invalid"],
    ["a missing member", [{ op: "replace", path: "/x", value: 1 }], "Invalid"],
    ["an index beyond the list", [{ op: "add", path: "/list/3", value: 1 }], "Invalid"],
    ["an index that is no number", [{ op: "remove", path: "/list/01" }], "Invalid"],
    ["a member of a text", [{ op: "add", path: "/a/b", value: 1 }], "Invalid"],
    ["a move into itself", [{ op: "move", from: "/o", path: "/o/x" }], "Invalid"],
    ["a failed test", [{ op: "test", path: "/a", value: 2 }], "Invalid"],
    ["an inherited member", [{ op: "remove", path: "/toString" }], "Invalid"],
    [
      "too many operations",
      Array.from({ length: 10_001 }, () => ({ op: "test", path: "/a", value: 1 })),
      "RequestEntityTooLarge",
    ],
  ])("with %s is refused", (_, patch, reason) => {
    expect(() => applyJsonPatch({ a: 1, list: [1, 2], o: {} }, patch)).toThrow(expect.objectContaining({ reason }));
  });

  test("that doubles its document again and again is refused before it is large", () => {
    const doubling = Array.from({ length: 20 }, (_, at) => ({ op: "copy", from: "", path: `/c${at}` }));
    expect(() => applyJsonPatch({ a: 1 }, doubling)).toThrow(
      expect.objectContaining({ reason: "RequestEntityTooLarge" }),
    );
  });

  test("cannot reach a prototype", () => {
    const patched = applyJsonPatch({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
    expect(Object.keys(patched as object)).toEqual(["__proto__"]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(() => applyJsonPatch({}, [{ op: "add", path: "/__proto__/polluted", value: true }])).toThrow("nothing at");
  });
});

describe("merge patch", () => {
  // The cases of RFC 7396, appendix A.
  test.each<[unknown, unknown, unknown]>([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("of %j with %j is %j", (target, patch, expected) => {
    expect(applyMergePatch(target, patch)).toEqual(expected);
  });

  const plain = fc.dictionary(
    fc.constantFrom("a", "b", "c"),
    fc.oneof(fc.integer(), fc.dictionary(fc.string(), fc.integer())),
  );

  test("of what there is changes nothing, twice is once, and an empty one is nothing", () => {
    fc.assert(
      fc.property(plain, plain, (target, patch) => {
        expect(applyMergePatch(target, target)).toEqual(target);
        expect(applyMergePatch(target, {})).toEqual(target);
        const once = applyMergePatch(target, patch);
        expect(applyMergePatch(once, patch)).toEqual(once);
      }),
    );
  });
});

describe("strategic merge patch", () => {
  const deployment = kindOf("apps", "Deployment")!;

  function patchPod(spec: object, patch: object): JsonObject {
    const target = { metadata: {}, spec: { template: { spec } } };
    const patched = applyStrategicPatch(deployment, target, { spec: { template: { spec: patch } } });
    return (patched["spec"] as { template: { spec: JsonObject } }).template.spec;
  }

  test("merges items that have a key, adds new ones, and replaces lists that have none", () => {
    const before = { containers: [container("a", { args: ["1", "2"] }), container("b")] };
    expect(patchPod(before, { containers: [{ name: "a", args: ["3"] }, container("c")] })).toEqual({
      containers: [container("a", { args: ["3"] }), container("b"), container("c")],
    });
  });

  test("removes fields by null and items by $patch: delete", () => {
    const before = { containers: [container("a", { args: ["1"] }), container("b")], nodeName: "n" };
    const patch = {
      nodeName: null,
      containers: [
        { $patch: "delete", name: "b" },
        { name: "a", args: null },
      ],
    };
    expect(patchPod(before, patch)).toEqual({ containers: [container("a")] });
  });

  test("replaces a list or an object where $patch: replace says so", () => {
    const before = { containers: [container("a"), container("b")], securityContext: { runAsUser: 1, runAsGroup: 2 } };
    const patch = {
      containers: [container("c"), { $patch: "replace" }],
      securityContext: { $patch: "replace", runAsUser: 3 },
    };
    expect(patchPod(before, patch)).toEqual({ containers: [container("c")], securityContext: { runAsUser: 3 } });
  });

  test("keeps only the keys of $retainKeys", () => {
    const target = { metadata: {}, spec: { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } } };
    const patch = { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } };
    expect(applyStrategicPatch(deployment, target, patch)["spec"]).toEqual({ strategy: { type: "Recreate" } });
    const wrong = { spec: { strategy: { $retainKeys: ["rollingUpdate"], type: "Recreate" } } };
    expect(() => applyStrategicPatch(deployment, target, wrong)).toThrow("does not list the field type");
  });

  test("takes values out of a list of plain values, and merges such lists as sets", () => {
    const target = { metadata: { finalizers: ["a", "b"] } };
    const patch = { metadata: { "$deleteFromPrimitiveList/finalizers": ["a"], finalizers: ["b", "c"] } };
    expect(applyStrategicPatch(deployment, target, patch)).toEqual({ metadata: { finalizers: ["b", "c"] } });
  });

  test("orders items, and leaves those of others in their places", () => {
    const before = { containers: [container("a"), container("others"), container("b")] };
    const order = { "$setElementOrder/containers": [{ name: "new" }, { name: "b" }, { name: "a" }] };
    expect(namesOf(patchPod(before, { ...order, containers: [container("new")] }))).toEqual([
      "new",
      "others",
      "b",
      "a",
    ]);
    expect(namesOf(patchPod(before, { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] }))).toEqual([
      "others",
      "b",
      "a",
    ]);
  });

  test("adds what is new without its directives and nulls", () => {
    const patch = {
      containers: [
        container("a", {
          args: null,
          env: [
            { $patch: "delete", name: "X" },
            { name: "Y", value: "1" },
          ],
        }),
      ],
    };
    expect(patchPod({}, patch)).toEqual({ containers: [container("a", { env: [{ name: "Y", value: "1" }] })] });
  });

  test.each([
    [{ spec: { template: { spec: { containers: [{ image: "x" }] } } } }, 'without its key "name"'],
    [{ spec: { $patch: "sideways" } }, "sideways"],
    [{ spec: { "$setElementOrder/x": 1 } }, "is not a list"],
    [[], "is not an object"],
  ])("is refused when it is %j", (patch, message) => {
    const target = { spec: { template: { spec: { containers: [container("a")] } } } };
    expect(() => applyStrategicPatch(deployment, target, patch)).toThrow(message);
  });

  test("that is an object itself changes nothing, and merging is idempotent", () => {
    const names = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { minLength: 1 });
    fc.assert(
      fc.property(names, names, (have, want) => {
        const spec = { containers: have.map((name) => container(name)) };
        const patch = { containers: want.map((name) => ({ name, image: "new" })) };
        expect(patchPod(spec, spec)).toEqual(spec);
        const once = patchPod(spec, patch);
        expect(patchPod(once, patch)).toEqual(once);
        const found = (once["containers"] as { name: string; image: string }[]).toSorted((a, b) =>
          a.name < b.name ? -1 : 1,
        );
        const expected = [...new Set([...have, ...want])].toSorted();
        expect(found.map(({ name }) => name)).toEqual(expected);
        for (const { name, image } of found) expect(image).toBe(want.some((wanted) => wanted === name) ? "new" : name);
      }),
    );
  });
});
