import { expect, test } from "vitest";
import { SendBudget, type Sender } from "./budget.ts";
import { defaultLimits } from "./limits.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";

class TestSender implements Sender {
  state: "waiting" | "granted" | "taken" | "timed out" = "waiting";
  #taken: (() => void) | undefined;
  readonly #atOnce: boolean;

  constructor(atOnce = false) {
    this.#atOnce = atOnce;
  }

  granted(taken: () => void): void {
    if (this.state !== "waiting") throw new Error(`granted while ${this.state}`);
    this.state = "granted";
    this.#taken = taken;
    if (this.#atOnce) this.take();
  }

  timedOut(): void {
    this.state = "timed out";
  }

  take(): void {
    this.state = "taken";
    this.#taken?.();
  }
}

function setUp(count: number, bytes: number) {
  const clock = new ManualClock();
  const limits = { ...defaultLimits, unsentBytes: 1000, stalledMs: 100, takeTimeoutMs: 500 };
  const budget = new SendBudget(limits, clock);
  const senders = Array.from({ length: count }, () => new TestSender());
  for (const sender of senders) budget.ask(bytes, sender);
  return { clock, budget, senders, states: () => senders.map(({ state }) => state) };
}

test("as many send as there is room for, the others in turn", () => {
  const { budget, senders, states } = setUp(4, 500);
  expect(states()).toEqual(["granted", "granted", "waiting", "waiting"]);
  expect(budget.unsent).toBe(1000);
  senders[0]?.take();
  expect(states()).toEqual(["taken", "granted", "granted", "waiting"]);
  senders[1]?.take();
  senders[2]?.take();
  senders[3]?.take();
  senders[3]?.take();
  expect(budget.unsent).toBe(0);
});

test("one that is larger than all room goes alone", () => {
  const { senders, states } = setUp(2, 5000);
  expect(states()).toEqual(["granted", "waiting"]);
  senders[0]?.take();
  expect(states()).toEqual(["taken", "granted"]);
});

test("who takes at once is granted once, and lets the next in", () => {
  const { budget, senders } = setUp(1, 1000);
  const quick = [new TestSender(true), new TestSender(true), new TestSender(true)];
  for (const sender of quick) budget.ask(1000, sender);
  senders[0]?.take();
  expect(quick.map(({ state }) => state)).toEqual(["taken", "taken", "taken"]);
});

test("stalled peers stop counting, and are cut off in time", () => {
  const { clock, budget, states } = setUp(3, 1000);
  clock.advance(100);
  expect(states()).toEqual(["granted", "granted", "waiting"]);
  clock.advance(100);
  expect(states()).toEqual(["granted", "granted", "granted"]);
  expect(budget.unsent).toBe(3000);
  clock.advance(300);
  expect(states()).toEqual(["timed out", "granted", "granted"]);
  clock.advance(300);
  expect(states()).toEqual(["timed out", "timed out", "timed out"]);
  expect(budget.unsent).toBe(0);
});

test("what stalled peers hold is bounded: the longest stalled go first", () => {
  const clock = new ManualClock();
  const limits = { ...defaultLimits, unsentBytes: 1000, stalledMs: 100, takeTimeoutMs: 1e9 };
  const budget = new SendBudget(limits, clock);
  const senders = Array.from({ length: 20 }, () => new TestSender());
  for (const sender of senders) budget.ask(1000, sender);
  // Each 100 ms let one more in, so that a few of the last still stand when the others have gone.
  clock.advance(1500);
  expect(budget.unsent).toBeLessThanOrEqual(5000);
  const states = senders.map(({ state }) => state);
  const gone = states.lastIndexOf("timed out");
  expect(gone).toBeGreaterThan(5);
  expect(states.slice(0, gone + 1).every((state) => state === "timed out")).toBe(true);
  expect(states[gone + 1]).toBe("granted");
});

test("any number may have left while they waited", () => {
  const { budget, senders } = setUp(1, 1000);
  const left = Array.from({ length: 20_000 }, () => new TestSender(true));
  for (const sender of left) budget.ask(1000, sender);
  senders[0]?.take();
  expect(left.every(({ state }) => state === "taken")).toBe(true);
  expect(budget.unsent).toBe(0);
});
