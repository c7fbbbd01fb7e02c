import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { manifestsOf, threeWayPatch } from "./apply.ts";

/** RFC 7386, as its own text gives it in pseudocode. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

describe("apply", () => {
  test("what was applied before and is gone is dropped, what others wrote stays", () => {
    const before = { spec: { hosts: ["a"], gateways: ["g"] } };
    const live = { spec: { hosts: ["a"], gateways: ["g"], exportTo: ["."] }, status: { ok: true } };
    const patch = threeWayPatch(before, { spec: { hosts: ["b"] } }, live);
    expect(patch).toEqual({ spec: { gateways: null, hosts: ["b"] } });
  });

  const leaf = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant("x"), fc.array(fc.nat(2), { maxLength: 2 }));
  const key = fc.constantFrom("a", "b", "c");
  const tree = fc.letrec<{ node: Record<string, unknown> }>((tie) => ({
    node: fc.dictionary(key, fc.oneof({ maxDepth: 3 }, leaf, tie("node"))),
  })).node;

  test("the patched object holds everything wanted, and nothing that only the last one applied", () => {
    const holds = (live: unknown, wanted: unknown): void => {
      if (typeof wanted !== "object" || wanted === null || Array.isArray(wanted)) expect(live).toEqual(wanted);
      else for (const [name, value] of Object.entries(wanted)) holds((live as Record<string, unknown>)[name], value);
    };
    fc.assert(
      fc.property(tree, tree, tree, (before, wanted, live) => {
        const patch = threeWayPatch(before, wanted, live);
        const after = mergePatch(live, patch) as Record<string, unknown>;
        holds(after, wanted);
        for (const name of Object.keys(before)) if (!(name in wanted)) expect(after).not.toHaveProperty(name);
        for (const name of Object.keys(live))
          if (!(name in before) && !(name in wanted)) expect(after[name]).toEqual(live[name]);
        expect(threeWayPatch(wanted, wanted, after)).toEqual({});
      }),
    );
  });

  test("lists and several documents are taken apart, empty ones passed over", () => {
    const text = `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
---
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}
`;
    expect(manifestsOf(text, "f.yaml").map((one) => one.metadata.name)).toEqual(["a", "b"]);
  });

  test.each([
    ["kind: ConfigMap\nmetadata: {name: a}", "f.yaml: an object needs apiVersion, kind and metadata.name"],
    ["a: [1", "f.yaml: "],
  ])("%j is refused with the file's name", (text, message) => {
    expect(() => manifestsOf(text, "f.yaml")).toThrow(message);
  });
});
