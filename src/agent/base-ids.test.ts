import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BaseIds } from "./base-ids.ts";

test("the mark of an Envoy that did not live to take over is taken away, and nothing else", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-base-ids-"));
  const id = 60_000 + (process.pid % 5000);
  const memory = `/dev/shm/envoy_shared_memory_${id * 10}`;
  try {
    const before = Buffer.alloc(104, 7);
    before.writeBigUInt64LE(104n, 0);
    writeFileSync(memory, before);
    new BaseIds(folder).unmark(id);
    expect(readFileSync(memory)).toEqual(Buffer.concat([before.subarray(0, 96), Buffer.alloc(8)]));
    before.writeBigUInt64LE(96n, 0);
    writeFileSync(memory, before);
    expect(() => new BaseIds(folder).unmark(id)).toThrow("has not the form of Envoy's shared memory");
  } finally {
    rmSync(memory, { force: true });
    rmSync(folder, { recursive: true });
  }
});
