import { expect, test } from "vitest";
import { typeUrls } from "#proto/encoded.ts";
import { HeldNames } from "./held-names.ts";
import { NameSets } from "./names.ts";

test("names are counted once for all that ask for the same, and the heaviest is who asks for most alone", () => {
  const sets = new NameSets();
  const held = new HeldNames<string>();
  const common = sets.of(["a", "b", "c", "d", "e", "f"]);
  for (const stream of ["x", "y", "z"]) held.set(stream, typeUrls.endpoints, common);
  expect([held.total, held.heaviest()]).toEqual([6, { stream: "x", names: 2 }]);
  held.set("y", typeUrls.route, sets.of(["1", "2", "3"]));
  held.set("z", typeUrls.route, sets.of(["1"]));
  expect([held.total, held.heaviest()]).toEqual([10, { stream: "y", names: 5 }]);
  held.set("y", typeUrls.route, sets.of(["1"]));
  expect(held.total).toBe(7);
  held.set("z", typeUrls.endpoints, sets.of(["g", "h", "i"]));
  expect([held.total, held.heaviest()]).toEqual([10, { stream: "y", names: 3.5 }]);
  held.set("z", typeUrls.endpoints, sets.of(["g", "h", "i"]));
  for (const stream of ["x", "y", "z", "z", "w"]) held.leave(stream);
  expect([held.total, held.heaviest()]).toEqual([0, undefined]);
});
