import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { Addresses } from "./addresses.ts";
import { BaseIds } from "./base-ids.ts";

describe("Pod addresses", () => {
  it("are never given twice, whatever is freed in between, until all are taken", () => {
    const step = fc.oneof(fc.constant("next" as const), fc.nat(20));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const addresses = new Addresses("10.10.0.0/28");
        const taken: string[] = [];
        for (const one of steps) {
          if (one !== "next") {
            const [freed] = taken.splice(one % Math.max(taken.length, 1), 1);
            if (freed !== undefined) addresses.free(freed);
          } else if (taken.length === 13) expect(() => addresses.next()).toThrow("all 13 Pod addresses");
          else {
            const given = addresses.next();
            expect(taken).not.toContain(given);
            const last = Number(given.split(".")[3]);
            expect(last).toBeGreaterThanOrEqual(2);
            expect(last).toBeLessThanOrEqual(14);
            taken.push(given);
          }
        }
      }),
    );
  });

  it("that were freed rest, and those of an earlier agent's Pods stay theirs", () => {
    const addresses = new Addresses("10.10.0.0/24");
    addresses.take("10.10.0.2");
    const first = addresses.next();
    addresses.free(first);
    expect([first, addresses.next()]).toEqual(["10.10.0.3", "10.10.0.4"]);
  });
});

describe("base ids", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-base-ids-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("are the machine's: each is one Envoy's, and comes back with its owner's end", () => {
    const ids = join(folder, "ids");
    const [one, other] = [new BaseIds(ids), new BaseIds(ids)];
    const owner = join(folder, "pod");
    writeFileSync(owner, "");
    expect([one.allocate(owner), other.allocate(owner), one.allocate(owner)]).toEqual([1, 2, 3]);
    other.free(2);
    expect(one.allocate(owner)).toBe(2);
    rmSync(owner);
    expect(one.allocate(folder), "the owner went without giving it back").toBe(1);
    expect(readdirSync(ids).toSorted()).toEqual(["1", "2", "3"]);
    one.free(1);
    expect(existsSync(join(ids, "1"))).toBe(false);
  });
});
