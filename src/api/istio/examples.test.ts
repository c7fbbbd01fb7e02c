import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { ResourceObject } from "../meta.ts";
import { kindOfObject, kinds } from "../kinds.ts";
import { Validator } from "../validation.ts";

const folder = new URL("testdata/examples/", import.meta.url);
const validator = new Validator();

/** Objects that use what Istio's reference shows of each kind. */
const examples = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(new URL(file, folder), "utf8")).map((one) => one.toJS() as ResourceObject),
);

describe("what Istio's reference shows", () => {
  test.each(examples.map((one) => [`${one.kind} ${one.metadata.name} (${one.apiVersion})`, one] as const))(
    "%s is accepted without a word, and kept as it is",
    (_, object) => {
      const kind = kindOfObject(object);
      if (kind === undefined) throw new Error(`no kind for ${object.apiVersion} ${object.kind}`);
      expect(validator.admit(kind, object)).toEqual({ object, errors: [], unknown: [], warnings: [] });
    },
  );

  test("is of every kind", () => {
    const shown = new Set(examples.map(({ kind }) => kind));
    const all = kinds.filter(({ group }) => group.endsWith(".istio.io")).map(({ kind }) => kind);
    expect([...shown].toSorted()).toEqual(all.toSorted());
  });
});
