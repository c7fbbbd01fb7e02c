import { describe, expect, test } from "vitest";
import { messageTypes } from "#api/message-types.ts";
import { Validator } from "#api/validation.ts";
import { analyze } from "./analyze.ts";
import { analyzers } from "./analyzers.ts";
import { loadFile, type Loaded } from "./load.ts";
import type { Message } from "./message.ts";
import { otherCases } from "./testing/other-cases.ts";
import { routingCases } from "./testing/routing-cases.ts";
import { type Case, fine } from "./testing/written.ts";

const cases = [...routingCases, ...otherCases];
const validator = new Validator();

function load(text: string, cluster = "east"): Loaded {
  return loadFile(text, `${cluster}.yaml`, {
    namespace: "default",
    cluster,
    created: "2026-01-01T00:00:00Z",
    validator,
  });
}

function messagesOf(text: string, { code, live, west }: Partial<Case> = {}): readonly Message[] {
  // Alpha annotations are told of only where asked for.
  const chosen = analyzers.filter(({ onRequest }) => onRequest !== true || code === "IST0136");
  const parts = [load(`${fine}---\n${text}`), ...(west === undefined ? [] : [load(west, "west")])];
  const files = {
    objects: parts.flatMap(({ objects }) => objects),
    problems: parts.flatMap(({ problems }) => problems),
  };
  const all = analyze({ snapshot: [], live: live === true, files, analyzers: chosen, validator });
  // What is not carried out changes from release to release.
  return all.filter(({ type }) => type.code !== "NotImplemented");
}

function place({ resource, field }: Message): string {
  return `${resource?.kind ?? ""} ${resource?.name ?? ""}: ${field ?? ""}`;
}

function told(messages: readonly Message[]): readonly string[] {
  return messages.map((message) => `${message.type.code} ${place(message)}`);
}

test("nothing is wrong with objects that are fine", () => {
  expect(told(messagesOf("{}").filter(({ type }) => type.code !== "InvalidYAML"))).toEqual([]);
});

describe.each(cases)("$code $title", (each) => {
  const { code, bad, at, good, fix, beside = [] } = each;
  const messages = messagesOf(bad, each);

  test("is told of, at its place, and nothing else is", () => {
    expect(told(messages)).toContain(`${code} ${at}`);
    const others = messages.map(({ type }) => type.code).filter((other) => other !== code && !beside.includes(other));
    expect(others).toEqual([]);
  });

  test("is not told of where it is not", () => {
    const left = messagesOf(good, each).map(({ type }) => type.code);
    expect(left.filter((other) => !beside.includes(other))).toEqual([]);
  });

  test("has a repair where it can have one", () => {
    const found = messages.find((message) => `${message.type.code} ${place(message)}` === `${code} ${at}`);
    expect(found?.fix !== undefined).toBe(fix === true);
  });
});

test("every kind of message has a case", () => {
  // The API refuses objects with some of them; others depend on more than objects, or on what is carried out.
  const refused = ["AddressNotIP", "TooManyEndpoints", "InvalidHash"];
  const patches = ["NoEffect", "InvalidPatch", "UnknownField"];
  const delegates = ["DelegateConflict", "DelegateNotVisible"];
  const elsewhere = ["InvalidYAML", "IST0171", "NotImplemented", ...patches, ...delegates, ...refused];
  const missing = messageTypes.map(({ code }) => code).filter((code) => !cases.some((each) => each.code === code));
  expect(missing.toSorted()).toEqual(elsewhere.toSorted());
});
