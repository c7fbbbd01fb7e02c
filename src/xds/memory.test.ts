import { expect, test } from "vitest";
import { EncodedMemory } from "./memory.ts";

const entry = (bytes: number) => Buffer.alloc(bytes);

test("what was used longest ago is forgotten first", () => {
  const memory = new EncodedMemory<Buffer>(100);
  for (const key of ["a", "b", "c"]) memory.set(key, entry(30));
  expect(memory.get("a")).toBeDefined();
  memory.set("d", entry(30));
  expect(["a", "b", "c", "d"].filter((key) => memory.get(key))).toEqual(["a", "c", "d"]);
  memory.set("a", entry(90));
  expect(["a", "c", "d"].filter((key) => memory.get(key))).toEqual(["a"]);
});

test("one that is larger than everything is remembered until the next", () => {
  const memory = new EncodedMemory<Buffer>(100);
  memory.set("a", entry(500));
  expect(memory.get("a")?.length).toBe(500);
  memory.set("b", entry(1));
  expect(memory.get("a")).toBeUndefined();
});
