import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kindOf } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { parseFieldSelector } from "./field.ts";
import { parseLabelSelector } from "./label.ts";

describe("label selectors", () => {
  const labels = { app: "web", tier: "front", rank: "7", "example.com/x": "" };

  test.each<[string, boolean]>([
    ["", true],
    ["app=web", true],
    ["app==web,tier=front", true],
    ["app=web,tier=back", false],
    ["app!=web", false],
    ["none!=x", true],
    ["app", true],
    ["!app", false],
    ["!none", true],
    ["app in (web, api)", true],
    ["app in (api)", false],
    ["app notin (web)", false],
    ["none notin (web)", true],
    ["rank>6", true],
    ["rank > 7", false],
    ["rank<8,rank>6", true],
    ["app>1", false],
    ["none<5", false],
    ["example.com/x=", true],
    ["example.com/x in (,a)", true],
    [" app = web , !none ", true],
    ["in in (in)", false],
  ])("%j", (text, expected) => {
    expect(parseLabelSelector(text)(labels)).toBe(expected);
  });

  test.each([
    "=",
    "a=b=c",
    "a in",
    "a in (b",
    "a in b",
    "a,,b",
    "a=b,",
    "!",
    "a>x",
    "a b",
    "-a",
    "a=-b",
    "a/b/c",
    "(a)",
  ])("%j is refused", (text) => {
    expect(() => parseLabelSelector(text)).toThrow(expect.objectContaining({ reason: "BadRequest" }));
  });

  test("any text is read or refused, never a fault", () => {
    const part = fc.constantFrom("a", "b", "in", "notin", "(", ")", ",", "=", "==", "!=", "!", "<", ">", " ", "1");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join("")),
        ),
        (text) => {
          try {
            expect(typeof parseLabelSelector(text)({ a: "b" })).toBe("boolean");
          } catch (error) {
            expect(error).toMatchObject({ reason: "BadRequest" });
          }
        },
      ),
    );
  });

  test("in and notin are opposites, and so are a label and its absence", () => {
    const word = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(fc.dictionary(word, word), word, fc.array(word, { minLength: 1 }), (labels, key, values) => {
        const matches = (text: string): boolean => parseLabelSelector(text)(labels);
        const set = `(${values.join(",")})`;
        expect(matches(`${key} in ${set}`)).toBe(!matches(`${key} notin ${set}`));
        expect(matches(key)).toBe(!matches(`!${key}`));
        expect(matches(`${key} in ${set}`)).toBe(values.some((value) => matches(`${key}=${value}`)));
      }),
    );
  });
});

describe("field selectors", () => {
  const pod = kindOf("", "Pod")!;
  const event = kindOf("", "Event")!;
  const object = {
    metadata: { name: "a,b", namespace: "n" },
    spec: { nodeName: "n1" },
    status: { phase: "Running" },
    source: { component: "agent" },
    involvedObject: { kind: "Pod", name: "web" },
  } as unknown as ResourceObject;

  test.each<[string, boolean]>([
    ["", true],
    ["metadata.namespace=n", true],
    ["metadata.name=a\\,b", true],
    ["metadata.name==a\\,b,spec.nodeName!=n2", true],
    ["status.phase!=Running", false],
    ["status.podIP=", true],
    ["spec.hostNetwork=false", true],
  ])("%j of a Pod", (text, expected) => {
    expect(parseFieldSelector(pod, "v1", text)(object)).toBe(expected);
  });

  test("of an Event know what it happened to and who tells", () => {
    expect(
      parseFieldSelector(event, "v1", "involvedObject.kind=Pod,involvedObject.name=web,source=agent")(object),
    ).toBe(true);
    expect(parseFieldSelector(event, "v1", "involvedObject.kind=Node")(object)).toBe(false);
  });

  test.each(["spec.image=x", "metadata.labels=x", "status.phase", "=x", "a=b=c"])("%j is refused", (text) => {
    expect(() => parseFieldSelector(pod, "v1", text)).toThrow(expect.objectContaining({ reason: "BadRequest" }));
  });
});
