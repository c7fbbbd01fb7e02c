import { expect, test } from "vitest";
import { jsonLogger } from "./logger.ts";
import { SparingLog } from "./sparing-log.ts";
import { ManualClock } from "./testing/manual-clock.ts";

function logged() {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    const { time: _time, level: _level, msg: _msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
    lines.push(fields);
  };
  return { clock, lines, log: new SparingLog(jsonLogger({ level: "info", write, now: () => 0 }), clock) };
}

test("the same is said once a minute, with how often it was", () => {
  const { clock, lines, log } = logged();
  for (let count = 0; count < 5; count++) log.say("info", "refused", { reason: "late" });
  log.say("info", "refused", { reason: "early" });
  clock.advance(60_000);
  log.say("info", "refused", { reason: "late" });
  expect(lines).toEqual([{ reason: "late" }, { reason: "early" }, { reason: "late", again: 4 }]);
});

test("things that are never the same are said so often and no more, and shortened", () => {
  const { clock, lines, log } = logged();
  for (let count = 0; count < 200; count++) log.say("warn", "refused", { reason: `${count}${"x".repeat(1000)}` });
  expect(lines).toHaveLength(51);
  expect(String(lines[0]?.["reason"])).toHaveLength(301);
  clock.advance(1000);
  log.say("warn", "refused", { reason: "next" });
  expect(lines[51]).toEqual({ reason: "next", unsaid: 149 });
});
