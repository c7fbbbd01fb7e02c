import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { proveHeadroom } from "./headroom.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weft-headroom-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const mebibyte = 1 << 20;

function write(path: string, text: string | number): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), `${text}\n`);
}

/** A machine with a process of 50 MiB in a Pod's group. */
function machine(cgroup: string, available = 4096): () => void {
  write("proc/meminfo", `MemTotal: 99 kB\nMemAvailable:   ${available * 1024} kB`);
  write("proc/7/status", "VmRSS:  90000 kB\nRssAnon:\t   51200 kB");
  write("proc/7/cgroup", cgroup);
  return () => proveHeadroom(7, { processes: join(root, "proc"), groups: join(root, "groups") });
}

function groupOfTwo(path: string, max: string | number, current: number, idle = 0): void {
  write(`groups/${path}/memory.max`, max);
  write(`groups/${path}/memory.current`, current);
  write(`groups/${path}/memory.stat`, `anon 1\ninactive_file ${idle}`);
}

describe("memory for a second process", () => {
  test("is enough without limits", () => {
    groupOfTwo("pod/weft", "max", 60 * mebibyte);
    groupOfTwo("pod", "max", 60 * mebibyte);
    expect(machine("0::/pod/weft")).not.toThrow();
  });

  test("is what the Pod's group above leaves, with what the kernel can take back", () => {
    groupOfTwo("pod/weft", "max", 60 * mebibyte);
    groupOfTwo("pod", 128 * mebibyte, 70 * mebibyte);
    const prove = machine("0::/pod/weft");
    expect(prove).toThrow("the control group /pod has 58 MiB left, and a second Envoy beside this one may take 68 MiB");
    groupOfTwo("pod", 128 * mebibyte, 70 * mebibyte, 20 * mebibyte);
    expect(prove).not.toThrow();
  });

  test("is counted by the first version of control groups, too", () => {
    write("groups/memory/pod/memory.limit_in_bytes", 100 * mebibyte);
    write("groups/memory/pod/memory.usage_in_bytes", 70 * mebibyte);
    write("groups/memory/pod/memory.stat", "inactive_file 99999999\ntotal_inactive_file 0");
    expect(machine("4:memory:/pod\n1:cpu:/\n0::/")).toThrow("the control group /pod has 30 MiB left");
  });

  test("is never more than the machine has", () => {
    expect(machine("0::/", 10)).toThrow("the machine has 10 MiB left");
  });
});
