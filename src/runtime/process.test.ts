import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { systemClock as clock } from "#base/clock.ts";
import { identityOf, isAlive } from "./identity.ts";
import { killProcess, processState, startProcess, stopProcess } from "./process.ts";
import type { ProcessSpec } from "./process.ts";

const root = mkdtempSync(join(tmpdir(), "weft-process-"));
let count = 0;
const folders: string[] = [];

function spec(script: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
  const folder = join(root, String((count += 1)));
  folders.push(folder);
  return {
    folder,
    notify: join(root, "notify"),
    argv: ["sh", "-c", script],
    env: { PATH: "/usr/bin:/bin" },
    cwd: "/",
    network: "/proc/self/ns/net",
    mounts: [],
    logBytes: 1e6,
    ...more,
  };
}

async function ended(folder: string, ms = 60_000): Promise<ReturnType<typeof processState>> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const state = processState(folder);
    if (state.kind !== "running") return state;
    await clock.sleep(10);
  }
  return processState(folder);
}

async function logOf(folder: string, wanted: string): Promise<string> {
  const until = performance.now() + 60_000;
  for (;;) {
    const text = existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8") : "";
    if (text.includes(wanted) || performance.now() > until) return text;
    await clock.sleep(10);
  }
}

afterAll(() => {
  for (const folder of folders) killProcess(folder);
  rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
});

describe("a detached process", () => {
  it("is a child of init in a session of its own, with its exit code and its output kept", async () => {
    const one = spec("echo hello; echo bad >&2; sleep 1; exit 7");
    const state = await startProcess(one, clock);
    expect(state.kind).toBe("running");
    if (state.kind !== "running") return;
    // What is known from the fork on is true of the program a moment later.
    const stat = await vi.waitFor(() => {
      const fields = readFileSync(`/proc/${state.identity.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      expect(fields[3], "leads its own session").toBe(String(state.identity.pid));
      return fields;
    }, 60_000);
    const shim = readFileSync(`/proc/${stat[1]}/stat`, "utf8").split(") ")[1]!.split(" ");
    expect(shim[1], "the supervisor's parent").toBe("1");
    expect(await ended(one.folder)).toMatchObject({ kind: "exited", code: 7 });
    expect(await logOf(one.folder, "bad")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ hello\n\S+Z bad\n$/);
  });

  it("tells the signal that ended it", async () => {
    const one = spec("sleep 60");
    const state = await startProcess(one, clock);
    if (state.kind === "running") process.kill(state.identity.pid, "SIGKILL");
    expect(await ended(one.folder)).toMatchObject({ kind: "exited", code: 137 });
  });

  it("gets its arguments and environment as they are, and nothing of ours", async () => {
    const hard = `a 'b' "c" $HOME \\ \`x\` \n*`;
    const one = spec("", {
      argv: [
        "node",
        "-e",
        "console.log(JSON.stringify([process.argv.slice(1), process.env, process.cwd()]))",
        "--",
        hard,
      ],
      env: { PATH: `${join(process.execPath, "..")}:/bin`, "dotted.name": hard, EMPTY: "" },
      cwd: "/etc",
    });
    await startProcess(one, clock);
    await ended(one.folder);
    const [argv, env, cwd] = JSON.parse((await logOf(one.folder, "]")).split("Z ")[1]!) as unknown[];
    expect(argv).toEqual([hard]);
    expect(env).toEqual({ PATH: one.env["PATH"], "dotted.name": hard, EMPTY: "" });
    expect(cwd).toBe("/etc");
  });

  it("runs as the user it is told, and sees files that nobody else sees", async () => {
    const hosts = join(root, "hosts");
    writeFileSync(hosts, "10.9.9.9 only-here\n");
    const before = readFileSync("/etc/hosts", "utf8");
    const one = spec("id -u; id -G; cat /etc/hosts; cat /proc/sys/kernel/hostname", {
      uid: 1337,
      mounts: [{ source: hosts, target: "/etc/hosts" }],
      hostname: "a-pod",
    });
    await startProcess(one, clock);
    const log = await logOf(one.folder, "a-pod");
    expect(log.replaceAll(/^\S+ /gm, "")).toBe("1337\n1337\n10.9.9.9 only-here\na-pod\n");
    expect(readFileSync("/etc/hosts", "utf8")).toBe(before);
    expect(readFileSync("/proc/sys/kernel/hostname", "utf8").trim()).not.toBe("a-pod");
  });

  it("is stopped by its signal, or killed with all of its group after the grace", async () => {
    const gentle = spec("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    await startProcess(gentle, clock);
    await logOf(gentle.folder, "ready");
    expect(await stopProcess(gentle.folder, { signal: "SIGTERM", graceMs: 60_000 }, clock)).toMatchObject({ code: 3 });

    const deaf = spec("trap '' TERM; sleep 60 & echo child $!; wait");
    await startProcess(deaf, clock);
    const child = identityOf(Number(/child (\d+)/.exec(await logOf(deaf.folder, "child"))![1]))!;
    expect(await stopProcess(deaf.folder, { signal: "SIGTERM", graceMs: 200 }, clock)).toMatchObject({ code: 137 });
    expect(isAlive(child)).toBe(false);
  });

  it("keeps its log within bounds without anybody's help", async () => {
    const one = spec("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo done", { logBytes: 10_000 });
    await startProcess(one, clock);
    const log = await logOf(one.folder, "done");
    const old = readFileSync(join(one.folder, "log.1"), "utf8");
    for (const part of [log, old]) expect(part.length).toBeLessThan(10_200);
    const numbers = [...(old + log).matchAll(/line (\d+)/g)].map(([, number]) => Number(number));
    expect(numbers.at(-1)).toBe(1999);
    expect(numbers, "no line is lost between the two").toEqual(numbers.map((_, at) => numbers[0]! + at));
  });

  it("starts at most once per folder", async () => {
    const one = spec("echo once >> marks; sleep 60");
    mkdirSync(one.folder, { recursive: true });
    const here = { ...one, cwd: one.folder };
    await Promise.all([startProcess(here, clock), startProcess(here, clock)]);
    await expect.poll(() => existsSync(join(one.folder, "marks"))).toBe(true);
    await clock.sleep(200);
    expect(readFileSync(join(one.folder, "marks"), "utf8")).toBe("once\n");
  });

  it("does not outlive its supervisor, and is then called lost", async () => {
    const one = spec("sleep 60");
    const state = await startProcess(one, clock);
    if (state.kind !== "running") throw new Error("not running");
    const shim = Number(readFileSync(join(one.folder, "pid"), "utf8").split(" ")[0]);
    process.kill(shim, "SIGKILL");
    expect(await ended(one.folder)).toMatchObject({ kind: "lost" });
    expect(isAlive(state.identity)).toBe(false);
  });

  it("does not outlive its supervisor either that ends before the program is bound to it", async () => {
    const slow = mkdtempSync(join(root, "slow-"));
    const script = '#!/bin/sh\nsleep 0.3\nPATH="${PATH#*:}" exec setpriv "$@"\n';
    writeFileSync(join(slow, "setpriv"), script, { mode: 0o755 });
    vi.stubEnv("PATH", `${slow}:${process.env["PATH"]}`);
    const one = spec("sleep 60");
    const state = await startProcess(one, clock);
    vi.unstubAllEnvs();
    if (state.kind !== "running") throw new Error("not running");
    process.kill(Number(readFileSync(join(one.folder, "pid"), "utf8").split(" ")[0]), "SIGKILL");
    expect(await ended(one.folder)).toMatchObject({ kind: "lost" });
    expect(isAlive(state.identity)).toBe(false);
  });

  it("is never mistaken for a later process with its id", () => {
    const mine = identityOf(process.pid)!;
    expect(isAlive(mine)).toBe(true);
    expect(isAlive({ ...mine, startTicks: mine.startTicks + 1 })).toBe(false);
    expect(isAlive({ ...mine, boot: "another" })).toBe(false);
  });
});
