import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { systemClock as clock } from "#base/clock.ts";
import { readLog } from "./log.ts";
import type { LogOptions } from "./log.ts";

const root = mkdtempSync(join(tmpdir(), "weft-log-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function folder(files: Readonly<Record<string, string>>): string {
  const made = mkdtempSync(join(root, "one-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text);
  return made;
}

async function read(
  at: string,
  options: LogOptions,
  running = (): boolean => false,
  seen: (text: string) => void = () => undefined,
): Promise<string> {
  let text = "";
  for await (const chunk of readLog(at, options, running, clock, new AbortController().signal)) {
    text += String(chunk);
    seen(text);
  }
  return text;
}

const old = "2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n";
const now = "2026-01-01T00:00:03Z three\n2026-01-01T00:00:04Z vier ä\n";

describe("a process's log", () => {
  const whole = folder({ "log.1": old, log: now });

  it("is read across the part that was put aside", async () => {
    expect(await read(whole, {})).toBe("one\ntwo\nthree\nvier ä\n");
    expect(await read(whole, { timestamps: true })).toBe(old + now);
    expect(await read(folder({}), {})).toBe("");
  });

  it("can be cut to its end, to a time, to a size", async () => {
    expect(await read(whole, { tailLines: 3 })).toBe("two\nthree\nvier ä\n");
    expect(await read(whole, { tailLines: 0 })).toBe("");
    expect(await read(whole, { since: Date.parse("2026-01-01T00:00:03Z") })).toBe("three\nvier ä\n");
    expect(await read(whole, { limitBytes: 6 })).toBe("one\ntw");
  });

  it("is followed over its turn to a new file, until the process ends", async () => {
    const at = folder({ log: now });
    let running = true;
    let seen = "";
    const following = read(
      at,
      { follow: true, tailLines: 1 },
      () => running,
      (text) => (seen = text),
    );
    await expect.poll(() => seen).toBe("vier ä\n");
    appendFileSync(join(at, "log"), "2026-01-01T00:00:05Z fi");
    await clock.sleep(150);
    appendFileSync(join(at, "log"), "ve\n");
    renameSync(join(at, "log"), join(at, "log.1"));
    writeFileSync(join(at, "log"), "2026-01-01T00:00:06Z six\n");
    await expect.poll(() => seen).toBe("vier ä\nfive\nsix\n");
    appendFileSync(join(at, "log"), "2026-01-01T00:00:07Z seven\n");
    running = false;
    expect(await following).toBe("vier ä\nfive\nsix\nseven\n");
  });
});
