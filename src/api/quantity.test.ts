import { expect, test } from "vitest";
import { quantityValue } from "./quantity.ts";

test.each([
  ["2", 2],
  ["0.5", 0.5],
  [".5", 0.5],
  ["500m", 0.5],
  ["100u", 0.0001],
  ["3n", 3e-9],
  ["1k", 1000],
  ["1Ki", 1024],
  ["1.5Gi", 1.5 * 2 ** 30],
  ["2E", 2e18],
  ["1e3", 1000],
  ["1E-3", 0.001],
  ["-1M", -1e6],
])("%s is %d", (text, value) => {
  expect(quantityValue(text)).toBeCloseTo(value, 12);
});

test.each(["", "k", "1 Gi", "1KB", "1ki", "1e", "0x1", "one", "1.2.3"])("%j is no quantity", (text) => {
  expect(quantityValue(text)).toBeNaN();
});
