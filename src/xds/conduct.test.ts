import { expect, test } from "vitest";
import { jsonLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Accounts } from "./accounts.ts";
import { Allowance } from "#base/allowance.ts";
import { Conduct } from "./conduct.ts";
import { defaultLimits } from "./limits.ts";

const peer = (node: string) => ({ node, cluster: "east" });

test("an allowance grows with time; one that is overdrawn is waited for, but not for ever", () => {
  const clock = new ManualClock();
  const allowance = new Allowance(10, 20, 5000, () => clock.monotonic());
  expect([allowance.spend(20), allowance.waitMs]).toEqual([true, 0]);
  expect([allowance.spend(5), allowance.waitMs]).toEqual([false, 500]);
  clock.advance(500);
  expect(allowance.waitMs).toBe(0);
  allowance.spend(Infinity);
  expect(allowance.waitMs).toBe(5000);
  clock.advance(60_000);
  expect([allowance.spend(20), allowance.spend(1)]).toEqual([true, false]);
});

test("an account is found again by who comes back, and streams of one node id share it", () => {
  const accounts = new Accounts<string>(defaultLimits, new ManualClock());
  const account = accounts.enter("a", "first");
  expect(accounts.enter("a", "second")).toBe(account);
  expect([...accounts.repeated()]).toEqual([["first", "second"]]);
  accounts.leave("a", "first");
  accounts.leave("a", "second");
  expect([...accounts.repeated()]).toEqual([]);
  expect(accounts.enter("a", "third")).toBe(account);
  expect(accounts.enter("b", "other")).not.toBe(account);
});

test("accounts of proxies that are away are forgotten when there are too many, those of others never", () => {
  const accounts = new Accounts<number>(defaultLimits, new ManualClock());
  const here = accounts.enter("here", 0);
  const first = accounts.enter("0", 1);
  accounts.leave("0", 1);
  for (let at = 1; at <= 20_000; at += 1) {
    accounts.enter(String(at), 1);
    accounts.leave(String(at), 1);
  }
  expect(accounts.enter("here", 1)).toBe(here);
  expect(accounts.enter("0", 1)).not.toBe(first);
});

test("what happens again is counted and logged once, and forgotten when it has not happened for a while", () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "warn", write: (line) => lines.push(line), now: () => 0 });
  let changes = 0;
  using conduct = new Conduct(clock, { ...defaultLimits, findingMs: 1000 }, logger, () => (changes += 1));
  const since = clock.now();
  conduct.note(peer("a"), "ProxyFloods", "floods");
  clock.advance(600);
  conduct.note(peer("a"), "ProxyFloods", "floods more");
  conduct.note(peer("b"), "ProxyFloods", "floods");
  expect(conduct.findings()).toEqual([
    { ...peer("a"), code: "ProxyFloods", what: "floods more", since, last: since + 600, count: 2 },
    { ...peer("b"), code: "ProxyFloods", what: "floods", since: since + 600, last: since + 600, count: 1 },
  ]);
  expect([lines.length, changes]).toEqual([2, 2]);
  clock.advance(1500);
  // Nobody asked, and yet who listens is told.
  expect(changes).toBe(3);
  expect(conduct.findings()).toEqual([]);
});

test("of too many findings those that happened last are kept", () => {
  using conduct = new Conduct(
    new ManualClock(),
    defaultLimits,
    jsonLogger({ level: "error", write: () => undefined, now: () => 0 }),
    () => undefined,
  );
  for (let at = 0; at < 1500; at += 1) conduct.note(peer(`proxy-${at}`), "ProxyFloods", "floods");
  expect(
    conduct
      .findings()
      .map(({ node }) => node)
      .slice(0, 1),
  ).toEqual(["proxy-500"]);
  expect(conduct.findings().length).toBe(1000);
});
