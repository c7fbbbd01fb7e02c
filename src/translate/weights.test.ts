import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { fittingWeights } from "./weights.ts";

const most = 2 ** 32 - 1;

function fitted(...weights: readonly number[]): readonly number[] {
  return fittingWeights(weights.map((weight) => ({ weight }))).map(({ weight }) => weight);
}

describe("weights", () => {
  it("stay as they are while their sum fits", () => {
    expect(fitted(1, 99, 0)).toEqual([1, 99, 0]);
    expect(fitted(most - 1, 1)).toEqual([most - 1, 1]);
  });

  it("keep their proportions otherwise", () => {
    const [first = 0, second = 0] = fitted(most, most);
    expect(first).toBe(second);
    expect(first + second).toBeLessThanOrEqual(most);
    expect(fitted(most, 1)).toEqual([most - 3, 1]);
  });

  it("always have a sum that fits, and none of them vanishes", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: most }), { minLength: 1, maxLength: 40 }), (weights) => {
        const all = fitted(...weights);
        expect(all.reduce((sum, weight) => sum + weight, 0)).toBeLessThanOrEqual(most);
        expect(Math.min(...all)).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: runs(200) },
    );
  });
});
