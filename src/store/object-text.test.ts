import fc from "fast-check";
import { expect, test } from "vitest";
import type { FieldSet, ManagedFieldsEntry, ResourceObject } from "#api/meta.ts";
import { runs } from "#base/testing/runs.ts";
import { storable, storedText } from "./object-text.ts";

const element = fc.oneof(
  fc.string().map((name) => `f:${name}`),
  fc.constantFrom('k:{"name":"a"}', "."),
);
const set = [1, 2, 3].reduce<fc.Arbitrary<FieldSet>>(
  (below) => fc.dictionary(element, below, { maxKeys: 3 }),
  fc.constant({}),
);
const entry = fc.record<ManagedFieldsEntry>({
  manager: fc.string(),
  operation: fc.constantFrom("Apply", "Update"),
  apiVersion: fc.constant("v1"),
  fieldsType: fc.constant("FieldsV1"),
  fieldsV1: set,
});
const json = fc.jsonValue().filter((value) => value !== undefined);
/** Objects whose members stand in any order, and have members of the name of what is put in. */
const object = fc
  .tuple(
    fc.option(fc.array(entry, { maxLength: 3 }), { nil: undefined }),
    fc.dictionary(fc.constantFrom("spec", "data", "status", "x"), json),
    fc.boolean(),
  )
  .map(([managedFields, body, first]) => {
    const metadata = { name: "a", annotations: { metadata: '"metadata":{' }, ...(managedFields && { managedFields }) };
    const members = first ? { metadata, ...body } : { ...body, metadata };
    return { apiVersion: "v1", kind: "Thing", ...members } as unknown as ResourceObject;
  });

test("an object is kept as it was, frozen, and its text says the same", () => {
  fc.assert(
    fc.property(object, (given) => {
      const plain = JSON.parse(JSON.stringify(given)) as unknown;
      const { object: kept, text } = storable(given);
      expect(JSON.parse(text)).toEqual(plain);
      expect(JSON.parse(JSON.stringify(kept))).toEqual(plain);
      expect(storedText(kept)).toBe(text);
      expect([kept, kept.metadata, kept.metadata.managedFields ?? kept].every(Object.isFrozen)).toBe(true);
      // Nothing of the caller's object is frozen or shared but what it says of managers.
      expect(Object.isFrozen(given.metadata.annotations)).toBe(false);
      expect(kept.metadata.managedFields).toBe(given.metadata.managedFields);
      // What is stored can be stored again, with another member, and keeps what it was.
      expect(JSON.parse(storable({ ...kept, y: 1 }).text)).toEqual({ ...(plain as object), y: 1 });
    }),
    { numRuns: runs(200) },
  );
});
