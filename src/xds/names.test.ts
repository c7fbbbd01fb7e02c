import * as fc from "fast-check";
import { expect, test } from "vitest";
import { NameSets } from "./names.ts";

const someNames = fc.array(fc.string({ maxLength: 3 }), { maxLength: 8 });

test("equal sets are the same object, whatever way they came about", () => {
  fc.assert(
    fc.property(someNames, someNames, someNames, (start, more, fewer) => {
      const sets = new NameSets();
      const expected = new Set([...start, ...more].filter((name) => !fewer.includes(name)));
      const set = sets.minus(sets.plus(sets.of(start), more), fewer);
      expect(new Set(set)).toEqual(expected);
      expect(set).toBe(sets.of([...expected].toReversed()));
      expect(sets.minus(sets.plus(sets.of(start), sets.of(more)), sets.of(fewer))).toBe(set);
      expect(sets.filter(sets.plus(sets.of(start), more), (name) => !fewer.includes(name))).toBe(set);
      expect(set.size === 0).toBe(set === sets.empty);
    }),
  );
});

test("different sets are different objects with different ids", () => {
  fc.assert(
    fc.property(someNames, someNames, (one, other) => {
      const sets = new NameSets();
      const same = [...new Set(one)].toSorted().join("\n") === [...new Set(other)].toSorted().join("\n");
      const sameSize = new Set(one).size === new Set(other).size;
      const [a, b] = [sets.of(one), sets.of(other)];
      expect(a === b).toBe(same && sameSize);
      expect(a.id === b.id).toBe(a === b);
    }),
  );
});

test("sets whose members hash alike are told apart", () => {
  const sets = new NameSets();
  const found = new Map<string, object>();
  // Many small sets: were the hash all that counts, some of these would meet.
  for (let index = 0; index < 20_000; index += 1) {
    const names = [`svc-${index}`, `svc-${index + 1}`];
    const set = sets.of(names);
    expect(set.has(names[0] ?? "")).toBe(true);
    found.set(names.join(), set);
  }
  expect(new Set(found.values()).size).toBe(20_000);
});
