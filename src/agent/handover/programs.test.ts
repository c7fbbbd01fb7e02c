import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EnvoyPrograms } from "./programs.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weft-envoys-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A program that says what Envoy says of itself. */
function program(name: string, version: string, handsOver = "11.104"): string {
  const path = join(root, name);
  const said = `case $1 in --version) echo "${path}  version: 9e55/${version}/Clean/RELEASE/BoringSSL" ;; *) echo ${handsOver} ;; esac`;
  writeFileSync(path, `#!/bin/sh\n# ${name}\n${said}\n`);
  chmodSync(path, 0o755);
  return path;
}

const hashOf = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

function programs(others?: Readonly<Record<string, unknown>>): EnvoyPrograms {
  const options = { usual: program("usual", "1.40.0"), folder: join(root, "kept") };
  if (others === undefined) return new EnvoyPrograms(options);
  const catalog = join(root, "envoys.json");
  writeFileSync(catalog, JSON.stringify(others));
  return new EnvoyPrograms({ ...options, catalog });
}

describe("an agent's Envoys", () => {
  test("are the usual one and those of a list, each kept as a copy", async () => {
    const old = program("old", "1.37.0", "11.105");
    const own = programs({ "1.37.0": { program: old, sha256: hashOf(old) } });
    expect(await own.find("1.40.0")).toMatchObject({ version: "1.40.0", handsOver: "11.104" });
    const found = await own.find("1.37.0");
    expect(found).toMatchObject({ version: "1.37.0", handsOver: "11.105", sha256: hashOf(old) });
    rmSync(old);
    expect(readFileSync(found.path, "utf8")).toContain("1.37.0");
  });

  test("are not any others", async () => {
    await expect(programs({}).find("1.37.0")).rejects.toMatchObject({ code: "NotFound" });
    await expect(programs().find("1.37.0")).rejects.toThrow("this node has no Envoy 1.37.0, only 1.40.0");
  });

  test("are not run where they have another hash, and are what they are listed as", async () => {
    const old = program("old", "1.37.0");
    const trace = join(root, "ran");
    const bad = program("bad", "1.37.1");
    writeFileSync(bad, `#!/bin/sh\ntouch ${trace}\n`);
    const own = programs({
      "1.37.1": { program: bad, sha256: hashOf(old) },
      "1.38.0": { program: old, sha256: hashOf(old) },
    });
    await expect(own.find("1.37.1")).rejects.toThrow(`the program's SHA-256 is ${hashOf(bad)}, not ${hashOf(old)}`);
    expect(existsSync(trace)).toBe(false);
    await expect(own.find("1.38.0")).rejects.toThrow("is Envoy 1.37.0, not 1.38.0");
    await expect(own.find("1.37.1")).rejects.toThrow("it is corrupt");
  });

  test("are none while the list cannot be read", async () => {
    await expect(programs({ "1.37.0": { program: "old" } }).find("1.37.0")).rejects.toThrow(
      '1.37.0 lacks "program", an absolute path, or "sha256"',
    );
  });
});
