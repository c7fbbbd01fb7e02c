import { describe, expect, test } from "vitest";
import { typeUrls } from "#proto/encoded.ts";
import { NameSets } from "./names.ts";
import type { Subscription } from "./shown.ts";
import { deltaStep, sotwStep, type Asked } from "./subscription.ts";

const { cluster, endpoints } = typeUrls;
const sets = new NameSets();
const told = ({ subscription, answer, whole }: Asked) => ({
  wildcard: subscription.wildcard,
  names: [...subscription.names],
  answer: [...answer],
  whole,
});
const nothing: Subscription = { wildcard: false, names: sets.empty };
const everything: Subscription = { wildcard: true, names: sets.empty };
const named = (...names: string[]): Subscription => ({ wildcard: false, names: sets.of(names) });

describe("delta", () => {
  test.each([
    ["an empty first request asks for everything", undefined, [], [], true, [], [], true],
    ["so does *", undefined, ["*"], [], true, [], [], true],
    ["names on the first request do not", undefined, ["a"], [], false, ["a"], ["a"], false],
    ["an unsubscription on the first request does not", undefined, [], ["a"], false, [], [], false],
    ["an empty later request changes nothing", nothing, [], [], false, [], [], false],
    ["names beside everything are answered", everything, ["a"], [], true, ["a"], ["a"], false],
    ["a name asked for again is answered again", named("a"), ["a"], [], false, ["a"], ["a"], false],
    ["names can be added and dropped at once", named("a", "b"), ["c"], ["a"], false, ["b", "c"], ["c"], false],
    ["dropping * leaves the names", { ...named("a"), wildcard: true }, [], ["*"], false, ["a"], [], false],
    ["a name dropped beside * is answered", { ...named("a"), wildcard: true }, [], ["a"], true, [], ["a"], false],
    ["* can come later", named("a"), ["*"], [], true, ["a"], [], true],
  ] as const)("%s", (_title, before, subscribe, unsubscribe, wildcard, names, answer, whole) => {
    const asked = deltaStep(cluster, before, { subscribe, unsubscribe }, sets);
    expect(told(asked)).toEqual({ wildcard, names, answer, whole });
  });

  test("endpoints are never asked for as a whole", () => {
    const asked = deltaStep(endpoints, undefined, { subscribe: ["*", "a"], unsubscribe: [] }, sets);
    expect(told(asked)).toEqual({ wildcard: false, names: ["a"], answer: ["a"], whole: false });
  });
});

describe("state of the world", () => {
  test.each([
    ["an empty first request asks for everything", undefined, [], true, [], [], true],
    ["an empty later one goes on with it", everything, [], true, [], [], false],
    ["an empty one after names ends them", named("a"), [], false, [], [], false],
    ["names end everything", everything, ["a"], false, ["a"], ["a"], false],
    ["only new names are answered", named("a", "b"), ["b", "c"], false, ["b", "c"], ["c"], false],
    ["names beside *", undefined, ["*", "a"], true, ["a"], ["a"], true],
  ] as const)("%s", (_title, before, names, wildcard, held, answer, whole) => {
    expect(told(sotwStep(cluster, before, names, sets))).toEqual({ wildcard, names: held, answer, whole });
  });
});
