import { expect, test } from "vitest";
import { nothing, told } from "./base.ts";

test("what clients told is one starting point only where it is the same", () => {
  expect(told({ a: "1", b: "2" }).key).toBe(told({ b: "2", a: "1" }).key);
  const distinct = [
    told({ a: "1", b: "2" }),
    told({ "a\n1\nb": "2" }),
    told({ a: "1\nb\n2" }),
    told({ a: "1" }),
    nothing,
  ];
  expect(new Set(distinct.map(({ key }) => key)).size).toBe(distinct.length);
  expect(told({})).toBe(nothing);
});
