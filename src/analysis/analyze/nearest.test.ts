import fc from "fast-check";
import { expect, test } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { nearest } from "./nearest.ts";

test.each([
  ["reviewz", ["details", "reviews"], "reviews"],
  ["egde", ["edge", "page"], "edge"],
  ["timeuot", ["timeout", "route"], "timeout"],
  ["http", ["https", "grpc"], "https"],
  ["v2", ["v1", "v3"], "v1"],
  ["ratings", ["details", "page"], undefined],
  ["a", ["xyz"], undefined],
  ["Host", ["host"], "host"],
])("%s among %j is %s", (word, known, meant) => expect(nearest(word, known)).toBe(meant));

test("a word with one mistake is found among others that are far from it", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c", "d", "e"), minLength: 3, maxLength: 12 });
  fc.assert(
    fc.property(letters, fc.nat(), fc.constantFrom("drop", "swap", "change"), (word, at, mistake) => {
      const index = at % (word.length - 1);
      const [one = "", two = ""] = [word[index], word[index + 1]];
      const middle = mistake === "drop" ? two : mistake === "swap" ? two + one : `x${two}`;
      const written = word.slice(0, index) + middle + word.slice(index + 2);
      fc.pre(written !== word);
      expect(nearest(written, ["0000000000000000", word, "1"])).toBe(word);
    }),
    { numRuns: runs(200) },
  );
});
