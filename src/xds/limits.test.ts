import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { defaultLimits } from "./limits.ts";

/** What is no limit of one proxy, or told in the text. */
const elsewhere = new Set(["unsentBytes", "rememberedBytes", "orderTimeoutMs", "longestHoldMs", "findingMs"]);

test("the page for operators names every limit", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/misbehaving-proxies.md"), "utf8");
  const named = new Set([...page.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  expect(Object.keys(defaultLimits).filter((name) => !named.has(name) && !elsewhere.has(name))).toEqual([]);
});
