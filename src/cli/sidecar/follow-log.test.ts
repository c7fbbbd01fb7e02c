import { expect, test } from "vitest";
import { WeftError } from "#base/errors.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { followLog, newLines } from "./follow-log.ts";

test.each([
  ["nothing before", "", "ab", "ab"],
  ["nothing new", "ab", "ab", ""],
  ["more", "ab", "abcd", "cd"],
  ["the end moved on", "abcd", "cdef", "ef"],
  ["the same line again and again", "aaa", "aaaa", "a"],
  ["the log of another process", "abcd", "xy", "xy"],
  ["an end that holds less than before", "abcd", "d", ""],
])("new lines: %s", (_, before, now, added) => {
  expect(newLines(before.split(""), now.split("")).join("")).toBe(added);
});

async function followed(...reads: readonly (string | WeftError)[]): Promise<{ written: string; said: string }> {
  const end = new AbortController();
  let [written, said, at] = ["", "", 0];
  const read = async (): Promise<string> => {
    const text = reads[at]!;
    at += 1;
    if (at === reads.length) end.abort();
    if (typeof text !== "string") throw text;
    return text;
  };
  const sinks = { write: (text: string) => void (written += text), complain: (text: string) => void (said += text) };
  await followLog({ read, ...sinks, clock: hastyClock(1000), everyMs: 2000, first: 1 }, end.signal);
  return { written, said };
}

test("a log is followed over the end of its process, and each line is written once", async () => {
  const away = new WeftError("Unavailable", "no agent tells of the proxy now");
  expect(await followed("none\none\n", "none\none\ntwo\n", away, away, "three\n")).toEqual({
    written: "one\ntwo\nthree\n",
    said: "no agent tells of the proxy now\n",
  });
  await expect(followed("one\n", new WeftError("NotFound", "it is gone"))).rejects.toThrow("it is gone");
});
