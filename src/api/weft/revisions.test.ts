import { describe, expect, test } from "vitest";
import { boundTo, isAmong } from "./revisions.ts";

describe("who is bound to a revision", () => {
  test.each([
    [{}, {}, undefined],
    [{ "istio-injection": "enabled" }, {}, "default"],
    [{ "istio.io/rev": "canary" }, {}, "canary"],
    [{ "istio.io/rev": "canary", "istio-injection": "enabled" }, {}, "default"],
    [{}, { "istio.io/rev": "canary" }, "canary"],
    [{ "istio.io/rev": "prod" }, { "istio.io/rev": "canary" }, "prod"],
  ])("namespace %o and Pod %o: %s", (namespace, pod, expected) => {
    expect(boundTo(namespace, pod)).toBe(expected);
  });
});

test("a percentage takes about that many namespaces, and a higher one adds to them", () => {
  const names = Array.from({ length: 2000 }, (_, index) => `team-${index}`);
  let before: readonly string[] = [];
  for (const percentage of [0, 1, 20, 50, 99, 100]) {
    const chosen = names.filter((name) => isAmong(name, percentage));
    expect(Math.abs(chosen.length - 20 * percentage)).toBeLessThan(100);
    expect(chosen).toEqual(expect.arrayContaining([...before]));
    before = chosen;
  }
  expect(before).toEqual(names);
});
