import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { type AuthorityFiles, makeAuthority, readAuthority, readCertificates } from "./authority.ts";
import { rootId } from "./path.ts";
import { advance, needsProof, nextStage, objection, planRotation, rotationStages, stageOf } from "./rotation.ts";
import { pluggedAuthority } from "./testing/plugged-authority.ts";
import { type Happening, RotatingMesh } from "./testing/rotating-mesh.ts";

const now = Date.now();
const [old, next] = ["old", "next"].map((name) => makeAuthority("P-256", name, now)) as [
  AuthorityFiles,
  AuthorityFiles,
];
const idOf = ({ roots }: AuthorityFiles): string => readCertificates(roots, "roots").map(rootId)[0] ?? "";
const [oldRoot, newRoot] = [idOf(old), idOf(next)];
const plan = planRotation(old, next, now);

describe("the stages of a rotation", () => {
  it("are authorities that can sign, of which each but the first is one step from the one before", () => {
    for (const stage of rotationStages) expect(readAuthority(plan[stage].files, now).expires).toBeGreaterThan(now);
    expect(rotationStages.map((stage) => [plan[stage].signer, plan[stage].roots])).toEqual([
      [oldRoot, [oldRoot]],
      [oldRoot, [oldRoot, newRoot]],
      [newRoot, [newRoot, oldRoot]],
      [newRoot, [newRoot]],
    ]);
  });

  it("are told from what the Secret holds, and what somebody else wrote is none of them", () => {
    for (const stage of rotationStages) expect(stageOf(plan[stage].files, plan, "Unchanged")).toBe(stage);
    const other = makeAuthority("P-256", "other", now);
    expect(stageOf(other, plan, "BothTrusted")).toBeUndefined();
    expect(stageOf({ ...old, roots: old.roots + other.roots }, plan, "BothTrusted")).toBeUndefined();
    expect(
      stageOf({ ...old, roots: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" }, plan, "BothTrusted"),
    ).toBeUndefined();
  });

  it("of a root that was trusted before: the status tells the first two from each other", () => {
    const prepared = planRotation({ ...old, roots: old.roots + next.roots }, next, now);
    expect(stageOf(prepared.Unchanged.files, prepared, "Unchanged")).toBe("Unchanged");
    expect(stageOf(prepared.Unchanged.files, prepared, "BothTrusted")).toBe("BothTrusted");
    expect(prepared.OldDropped.roots).toEqual([newRoot]);
  });

  it("keep roots of others, and go by the root above an intermediate", () => {
    const folder = mkdtempSync(join(tmpdir(), "weft-rotation-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const plugged = pluggedAuthority(folder, "plugged", 1);
    const foreign = createAuthority("foreign").certificate;
    const staged = planRotation({ ...old, roots: old.roots + foreign }, plugged, Date.now() + 5000);
    const [root, kept] = readCertificates(plugged.roots + foreign, "roots").map(rootId);
    expect(staged.NewIssues).toMatchObject({ signer: root, roots: [root, oldRoot, kept] });
    expect(staged.OldDropped.roots).toEqual([root, kept]);
    expect(staged.BothTrusted.roots).toEqual([oldRoot, kept, root]);
  });

  it("keep lists of revoked certificates of both, in every stage that trusts both, and need them of both or of none", () => {
    const [one, two] = ["one", "two"].map((name) => createAuthority(name));
    const files = (authority = one!) => ({
      ...old,
      ...authority,
      roots: authority.certificate,
      revoked: authority.revoke(),
    });
    const [from, to] = [files(), files(two)];
    const listed = planRotation(from, to, now);
    for (const stage of ["BothTrusted", "NewIssues", "OldDropped"] as const) {
      const { revoked } = listed[stage].files;
      expect([revoked.includes(from.revoked.trim()), revoked.includes(to.revoked.trim())]).toEqual([true, true]);
      expect(revoked.match(/BEGIN X509 CRL/g)).toHaveLength(2);
    }
    const lacking = { ...files(two), revoked: "" };
    expect(() => planRotation(files(), lacking, now)).toThrow("the old authority has lists of revoked certificates");
    expect(() => planRotation(lacking, files(), now)).toThrow("the new authority has lists of revoked certificates");
  });

  it("are none for the same root, nor for an authority that cannot sign", () => {
    expect(() => planRotation(old, old, now)).toThrow("needs no rotation");
    expect(() => planRotation(old, { ...next, key: old.key }, now)).toThrow("does not belong to the key");
    expect(() => planRotation(old, { ...next, roots: old.roots }, now)).toThrow("no valid chain");
  });
});

describe("a step", () => {
  const both = { issuer: oldRoot, roots: [oldRoot, newRoot], controlPlane: [oldRoot, newRoot], version: "7" };

  it.each([
    ["BothTrusted", "new", both, undefined],
    ["BothTrusted", "new", { ...both, roots: [oldRoot] }, `does not trust the root ${newRoot}`],
    ["BothTrusted", "new", { ...both, controlPlane: [oldRoot] }, `its agent does not trust the root ${newRoot}`],
    ["NewIssues", "new", both, `still has a certificate of the root ${oldRoot}`],
    ["NewIssues", "new", { ...both, issuer: newRoot }, undefined],
    ["OldDropped", "new", { ...both, issuer: newRoot }, `still trusts the root ${oldRoot}`],
    ["OldDropped", "new", { ...both, issuer: newRoot, roots: [newRoot] }, undefined],
    ["OldDropped", "old", { ...both, issuer: newRoot, roots: [newRoot] }, undefined],
    ["NewIssues", "old", { ...both, issuer: newRoot, roots: [newRoot] }, `does not trust the root ${oldRoot}`],
    ["BothTrusted", "old", { ...both, issuer: newRoot }, `still has a certificate of the root ${newRoot}`],
    ["Unchanged", "old", both, `still trusts the root ${newRoot}`],
  ] as const)("from %s to the %s authority", (stage, goal, held, why) => {
    const said = objection(held, { plan, stage, goal, version: "7" });
    if (why === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(why);
  });

  it("does not go by what was told of an earlier stage", () => {
    const place = { plan, stage: "BothTrusted", goal: "new", version: "8" } as const;
    expect(objection(both, place)).toContain("since this stage began");
    expect(objection(both, { ...place, stage: "Unchanged" })).toBeUndefined();
  });

  it("waits for proof where it takes something away, and not where it adds a root", () => {
    const asks = (goal: "new" | "old") => rotationStages.map((stage) => needsProof(plan, stage, goal));
    expect(asks("new")).toEqual([false, true, true, true]);
    expect(asks("old")).toEqual([true, true, true, false]);
    expect(nextStage("OldDropped", "new")).toBeUndefined();
  });

  it("is not taken beyond where it is held, and back it is", () => {
    const view = { plan, stage: "BothTrusted", proven: true, holdAt: "BothTrusted" } as const;
    expect(advance({ ...view, goal: "new" })).toBe("stay");
    expect(advance({ ...view, goal: "old" })).toBe("Unchanged");
    expect(advance({ ...view, goal: "new", holdAt: "NewIssues" })).toBe("NewIssues");
  });
});

describe("whatever happens to the mesh while its root is replaced", () => {
  const happening: fc.Arbitrary<Happening> = fc.record({
    kind: fc.oneof(
      { weight: 30, arbitrary: fc.constant("tick" as const) },
      { weight: 6, arbitrary: fc.constantFrom("restart" as const, "join", "leave", "die", "return", "return") },
      { weight: 1, arbitrary: fc.constant("abort" as const) },
    ),
    who: fc.nat(9),
    late: fc.nat(),
  });
  const happenings = fc.array(happening, { minLength: 20, maxLength: 400, size: "max" });

  it("every proxy trusts every other's certificate at each moment, and the rotation ends", () => {
    const ends = new Set<string>();
    const property = fc.property(happenings, (all) => {
      const mesh = new RotatingMesh(plan);
      for (const each of all) {
        mesh.take(each);
        expect(mesh.broken).toBeUndefined();
      }
      mesh.end();
      expect(mesh.broken).toBeUndefined();
      expect([mesh.over, mesh.stage]).toEqual([true, mesh.goal === "new" ? "OldDropped" : "Unchanged"]);
      ends.add(mesh.stage);
    });
    fc.assert(property, { numRuns: runs(100), endOnFailure: true });
    expect(ends).toEqual(new Set(["OldDropped", "Unchanged"]));
  });

  it("that is because steps wait for proof: without it some do not", () => {
    const property = fc.property(happenings, (all) => {
      const mesh = new RotatingMesh(plan, true);
      for (const each of all) {
        mesh.take(each);
        expect(mesh.broken).toBeUndefined();
      }
    });
    expect(fc.check(property, { numRuns: 100, endOnFailure: true }).failed).toBe(true);
  });
});
