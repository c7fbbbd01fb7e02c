import fc from "fast-check";
import { expect, test } from "vitest";
import { addressText, cidrsOverlap, mergedCidrs } from "./cidr.ts";
import { runs } from "./testing/runs.ts";

test.each([
  ["10.0.0.0/8", "10.64.0.0/16", true],
  ["10.64.0.0/16", "10.0.0.0/8", true],
  ["10.64.0.0/16", "10.65.0.0/16", false],
  ["fd00::/16", "fd00:1::/32", true],
  ["fd00::/16", "10.0.0.0/8", false],
  ["nothing", "10.0.0.0/8", false],
])("%s and %s overlap: %s", (a, b, expected) => {
  expect(cidrsOverlap(a, b)).toBe(expected);
});

test("neighbouring ranges become one", () => {
  const nodes = Array.from({ length: 256 }, (_, index) => `10.64.${index}.0/24`);
  expect(mergedCidrs(nodes)).toEqual(["10.64.0.0/16"]);
  expect(mergedCidrs(["10.64.3.0/24", "10.64.1.0/24", "10.64.2.0/24", "fd00::/64", "10.64.2.128/25"])).toEqual([
    "10.64.1.0/24",
    "10.64.2.0/23",
    "fd00::/64",
  ]);
});

test("merged ranges hold the same addresses", () => {
  const range = fc
    .tuple(fc.nat(63), fc.integer({ min: 26, max: 32 }))
    .map(([at, prefix]) => `${addressText(at - (at % 2 ** (32 - prefix)))}/${prefix}`);
  fc.assert(
    fc.property(fc.array(range), (ranges) => {
      const merged = mergedCidrs(ranges);
      for (let address = 0; address < 64; address += 1) {
        const one = `${addressText(address)}/32`;
        const holders = merged.filter((each) => cidrsOverlap(each, one));
        expect(holders).toHaveLength(ranges.some((each) => cidrsOverlap(each, one)) ? 1 : 0);
      }
    }),
    { numRuns: runs(50) },
  );
});
