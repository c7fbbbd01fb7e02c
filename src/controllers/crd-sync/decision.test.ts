import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Agreement, type Side, absent, decide } from "./decision.ts";

function side(hash: string, version = hash): Side {
  return hash === "" ? absent : { hash, version };
}

const cases: readonly [what: string, known: Agreement | undefined, mesh: string, member: string, decision: object][] = [
  ["neither has it", undefined, "", "", { kind: "settled" }],
  ["both have the same, unknown", undefined, "a", "a", { kind: "agree" }],
  ["both have the same, known", { mesh: "a", member: "a" }, "a", "a", { kind: "settled" }],
  ["both deleted it", { mesh: "a", member: "a" }, "", "", { kind: "agree" }],
  ["stored otherwise by the member", { mesh: "a", member: "b" }, "a", "b", { kind: "settled" }],
  ["new in the mesh", undefined, "a", "", { kind: "copy", to: "member" }],
  ["new in the member", undefined, "", "a", { kind: "copy", to: "mesh" }],
  ["deleted in the mesh", { mesh: "a", member: "a" }, "", "a", { kind: "copy", to: "member" }],
  ["deleted in the member", { mesh: "a", member: "a" }, "a", "", { kind: "copy", to: "mesh" }],
  ["edited in the mesh", { mesh: "a", member: "b" }, "c", "b", { kind: "copy", to: "member" }],
  ["edited in the member", { mesh: "a", member: "b" }, "a", "c", { kind: "copy", to: "mesh" }],
  [
    "edited in a member that lacks fields",
    { mesh: "a", member: "b", dropped: "spec.x" },
    "a",
    "c",
    { kind: "conflict", to: "member", why: "FieldsDropped" },
  ],
  [
    "deleted in a member that lacks fields",
    { mesh: "a", member: "b", dropped: "spec.x" },
    "a",
    "",
    { kind: "copy", to: "mesh" },
  ],
  ["two edits", { mesh: "a", member: "a" }, "b", "c", { kind: "conflict", to: "member", why: "BothChanged" }],
  ["two objects", undefined, "b", "c", { kind: "conflict", to: "member", why: "BothChanged" }],
  [
    "deleted in the mesh and edited in the member",
    { mesh: "a", member: "a" },
    "",
    "b",
    { kind: "conflict", to: "mesh", why: "ChangedAndDeleted" },
  ],
  [
    "edited in the mesh and deleted in the member",
    { mesh: "a", member: "a" },
    "b",
    "",
    { kind: "conflict", to: "member", why: "ChangedAndDeleted" },
  ],
];

test.each(cases)("%s", (_, known, mesh, member, decision) => {
  expect(decide(known, { mesh: side(mesh), member: side(member) })).toEqual(decision);
});

const begun: Agreement = { mesh: "a", member: "a", pending: { to: "member", hash: "b", at: "1" } };

test("a write that was cut off before it was done is done", () => {
  expect(decide(begun, { mesh: side("b"), member: side("a", "1") })).toEqual({ kind: "copy", to: "member" });
});

test("of a write that was done before it was known, both sides' next changes are told apart", () => {
  expect(decide(begun, { mesh: side("b"), member: side("b", "2") })).toEqual({ kind: "agree" });
  expect(decide(begun, { mesh: side("c"), member: side("b", "2") })).toEqual({ kind: "copy", to: "member" });
});

test("where somebody wrote after a write that may have been done, what is there is kept", () => {
  for (const there of ["a", "c"])
    expect(decide(begun, { mesh: side("b"), member: side(there, "3") })).toMatchObject({ kind: "conflict" });
});

test("an object that was to be made and is not there may have been deleted: that is told", () => {
  const making: Agreement = { mesh: "", member: "", pending: { to: "member", hash: "b", at: "" } };
  const decision = { kind: "conflict", to: "member", why: "ChangedAndDeleted" };
  expect(decide(making, { mesh: side("b"), member: absent })).toEqual(decision);
});

test("nothing that somebody wrote since both agreed is written over without being a conflict", () => {
  const hash = fc.constantFrom("", "a", "b", "c");
  fc.assert(
    fc.property(hash, hash, hash, hash, (agreedMesh, agreedMember, mesh, member) => {
      const decision = decide({ mesh: agreedMesh, member: agreedMember }, { mesh: side(mesh), member: side(member) });
      const [written, agreed] =
        decision.kind === "copy" && decision.to === "mesh" ? [mesh, agreedMesh] : [member, agreedMember];
      if (decision.kind === "copy") expect(written).toBe(agreed);
      if (decision.kind === "settled" && mesh !== member) expect([mesh, member]).toEqual([agreedMesh, agreedMember]);
    }),
  );
});
