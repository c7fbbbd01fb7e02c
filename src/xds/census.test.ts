import { expect, test } from "vitest";
import { Census } from "./census.ts";

test("a name is there while some scope has a resource by it", () => {
  const census = new Census();
  expect(census.has("a")).toBe(false);
  census.came("a");
  census.came("a");
  census.came("b");
  census.went("a");
  expect(census.has("a")).toBe(true);
  census.went("a");
  expect([census.has("a"), census.has("b")]).toEqual([false, true]);
});
