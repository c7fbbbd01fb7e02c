import { describe, expect, test } from "vitest";
import { blamed, halves, Refusals } from "./refusal.ts";
import { cluster } from "./testing/resources.ts";

describe("whom a refusal names", () => {
  const names = ["outbound|80||a.shop.svc.cluster.local", "outbound|80|v1|a.shop.svc.cluster.local", "a", "b"];

  test.each([
    ["Error adding/updating cluster(s) a: bad, b: worse", ["a", "b"]],
    [`Error adding/updating cluster(s) ${names[0]}: no such thing`, [names[0]]],
    [`Error adding/updating listener(s) ${names[1]}: error adding listener`, [names[1]]],
    ['Proto constraint validation failed (ClusterValidationError): name: "b"\nconnect_timeout', ["b"]],
    ["something that names nothing", []],
    ["abc xb b-c", []],
    ["it was b.", ["b"]],
  ])("%s", (message, guilty) => {
    expect(blamed(message, names)).toEqual(guilty);
  });
});

test("halves cover everything, until one is left", () => {
  expect(halves(["a", "b", "c"])).toEqual([["a", "b"], ["c"]]);
  expect(halves(["a"])).toEqual([["a"]]);
  expect(halves([])).toEqual([]);
});

test("the search for the guilty ends, however many there are", () => {
  const refusals = new Refusals();
  const sent = Array.from({ length: 1000 }, (_, at) => cluster(`c${at}`));
  refusals.record("all of it", sent, () => undefined);
  let trials = 0;
  for (let group = refusals.nextTrial(); group; group = refusals.nextTrial()) {
    trials += 1;
    const tried = new Set(group);
    refusals.record(
      "no",
      sent.filter(({ name }) => tried.has(name)),
      () => undefined,
    );
  }
  expect(trials).toBeLessThanOrEqual(130);
  expect(refusals.names.length).toBe(1000);
  refusals.clear(refusals.names);
  expect(refusals.size).toBe(0);
});

test("the last version that was taken stands, over several refusals", () => {
  const refusals = new Refusals();
  const [good, bad, worse] = [cluster("a", 1), cluster("a", 2), cluster("a", 3)];
  refusals.record("no", [bad], () => ({ version: good.version, resource: good }));
  refusals.record("no", [worse], () => ({ version: bad.version, resource: bad }));
  expect(refusals.against(bad)).toBeUndefined();
  expect(refusals.against(worse)?.lastGood?.resource).toBe(good);
});
