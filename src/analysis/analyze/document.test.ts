import { describe, expect, test } from "vitest";
import { fieldPointer, fieldSteps, parentField, valueAt } from "#api/field-path.ts";
import { parseFile } from "./document.ts";

const text = `# a comment
apiVersion: v1
kind: Service
metadata: {name: a, annotations: {example.com/x: "1"}}
---
kind: ServiceList
items:
- kind: Service
  spec:
    ports:
      - name: http
        port: 80
      -   name: tcp
- {kind: Pod}
---
{"kind": "Pod", "spec": {"containers": [{"name": "a"}]}}
---
---
# nothing here
`;

const { values, unreadable } = parseFile(text, "f.yaml");

function place(index: number, field?: string): string | undefined {
  const position = values[index]?.position(field);
  return position && `${position.file}:${position.line}:${position.column}`;
}

describe("places in files", () => {
  test("documents, the items of lists and JSON are values; empty documents are none", () => {
    expect(unreadable).toEqual([]);
    expect(values.map(({ value }) => (value as { kind: string }).kind)).toEqual(["Service", "Service", "Pod", "Pod"]);
  });

  test.each([
    [0, undefined, "f.yaml:2:1"],
    [0, "kind", "f.yaml:3:1"],
    [0, "metadata.annotations[example.com/x]", "f.yaml:4:35"],
    [1, undefined, "f.yaml:8:3"],
    [1, "spec.ports[0].port", "f.yaml:12:9"],
    [1, "spec.ports[1]", "f.yaml:13:11"],
    [3, "spec.containers[0].name", "f.yaml:16:42"],
  ])("value %i, field %s", (index, field, expected) => expect(place(index, field)).toBe(expected));

  test.each([
    [1, "spec.ports[1].port", "f.yaml:13:11"],
    [1, "spec.ports[7]", "f.yaml:10:5"],
    [1, "spec.selector", "f.yaml:9:3"],
    [1, "status", "f.yaml:8:3"],
  ])("what is absent from value %i, %s, is at what is nearest around it", (index, field, expected) =>
    expect(place(index, field)).toBe(expected),
  );

  test("a broken document does not hide the others", () => {
    const { values: found, unreadable: broken } = parseFile("a: 1\n---\nb: [\n---\nc: 1\nc: 2\n---\nd: 1\n", "g.yaml");
    expect(found.map(({ value }) => value)).toEqual([{ a: 1 }, { d: 1 }]);
    expect(broken.map(({ position }) => position.line)).toEqual([4, 6]);
  });

  test("aliases that would grow without bounds are told", () => {
    const lines = ["a0: &a0 [x, x]"];
    for (let at = 1; at < 12; at++)
      lines.push(`a${at}: &a${at} [${Array.from({ length: 9 }, () => `*a${at - 1}`).join(", ")}]`);
    expect(parseFile(lines.join("\n"), "h.yaml")).toMatchObject({
      values: [],
      unreadable: [{ message: expect.stringContaining("alias") }],
    });
  });

  test("fields around fields, values and pointers", () => {
    const field = "metadata.annotations[a.b/c~d]";
    expect(fieldPointer(field)).toBe("/metadata/annotations/a.b~1c~0d");
    expect(["spec.http[0].match", "spec.http[0]", "spec", field].map(parentField)).toEqual([
      "spec.http[0]",
      "spec.http",
      "",
      "metadata.annotations",
    ]);
    expect(valueAt({ metadata: { annotations: { "a.b/c~d": 1 } } }, field)).toBe(1);
    expect(valueAt({ spec: [] }, "spec.constructor")).toBeUndefined();
  });

  test("steps of paths; names in brackets may hold points", () => {
    expect(fieldSteps("spec.http[0].headers[x.y/z].exact")).toEqual(["spec", "http", "0", "headers", "x.y/z", "exact"]);
  });
});
