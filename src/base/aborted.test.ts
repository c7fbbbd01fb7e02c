import { expect, test } from "vitest";
import { aborted } from "./aborted.ts";

test("an abort is waited for, and one that was before is not missed", async () => {
  const end = new AbortController();
  let over = false;
  const waiting = aborted(end.signal).then(() => (over = true));
  await Promise.resolve();
  expect(over).toBe(false);
  end.abort();
  await waiting;
  await aborted(end.signal);
});
