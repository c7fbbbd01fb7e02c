/** Whether a process has ended, as others of its machine see it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { hasEnded, processMark } from "./process-mark.ts";

test("a process has ended once its parent knows, and not before", async () => {
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  const mark = processMark(child.pid) ?? "";
  expect(mark).toMatch(/^[-0-9a-f]{36}\/pid:\[\d+\]\/time:\[\d+\]\/\d+\/\d+$/);
  expect(hasEnded(mark)).toBe(false);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  expect(hasEnded(mark)).toBe(true);
});

test("a process that has another's id is not that one; of those of other machines and namespaces nothing is known", () => {
  const own = processMark() ?? "";
  const [boot = "", pids = "", times = "", pid = "", ticks = ""] = own.split("/");
  expect(hasEnded(own)).toBe(false);
  expect(hasEnded([boot, pids, times, pid, Number(ticks) - 1].join("/"))).toBe(true);
  const gone = "4194304";
  expect(hasEnded([boot, pids, times, gone, ticks].join("/"))).toBe(true);
  expect(hasEnded([boot.replace(/^./, "x"), pids, times, gone, ticks].join("/"))).toBe(false);
  expect(hasEnded([boot, "pid:[1]", times, gone, ticks].join("/"))).toBe(false);
  expect(hasEnded([boot, pids, "time:[1]", gone, ticks].join("/"))).toBe(false);
  for (const text of ["", "a", "a/b/c", `${boot}/${pids}/${times}/x/1`]) expect(hasEnded(text)).toBe(false);
});
