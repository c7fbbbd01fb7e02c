import { expect, test } from "vitest";
import { readable } from "./readable.ts";

test("what a terminal would obey is shown, what people wrote stays", () => {
  expect(readable("a\u001B[2Jb\rc\u009Dd")).toBe(String.raw`a\u001b[2Jb\u000dc\u009dd`);
  expect(readable("Größe: 5\n\tx")).toBe("Größe: 5\n\tx");
});
