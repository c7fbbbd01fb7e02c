import * as fc from "fast-check";
import { expect, test } from "vitest";
import { patience, runs } from "#base/testing/runs.ts";
import { SendBudget, type Grant, type Lane, type Sender } from "./budget.ts";
import { defaultLimits } from "./limits.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";

class TestSender implements Sender {
  state: "waiting" | "granted" | "taken" | "timed out" = "waiting";
  readonly #budget: SendBudget;
  readonly #atOnce: boolean;
  #grant: Grant | undefined;

  constructor(budget: SendBudget, atOnce = false) {
    this.#budget = budget;
    this.#atOnce = atOnce;
  }

  granted(grant: Grant): void {
    if (this.state !== "waiting") throw new Error(`granted while ${this.state}`);
    this.state = "granted";
    this.#grant = grant;
    if (this.#atOnce) this.take();
  }

  timedOut(): void {
    this.state = "timed out";
  }

  take(): void {
    this.state = "taken";
    if (this.#grant) this.#budget.taken(this.#grant);
  }
}

/** Room for 1,000 bytes of changes and 3,000 of first syncs. */
const limits = { ...defaultLimits, unsentBytes: 4000, stalledMs: 100, takeTimeoutMs: 500 };

function setUp(count: number, bytes: number, lane: Lane = "change", own = limits) {
  const clock = new ManualClock();
  const budget = new SendBudget(own, clock);
  const ask = (size: number, to: Lane, atOnce = false): TestSender => {
    const sender = new TestSender(budget, atOnce);
    budget.ask(size, to, sender);
    return sender;
  };
  const senders = Array.from({ length: count }, () => ask(bytes, lane));
  return { clock, budget, ask, senders, states: () => senders.map(({ state }) => state) };
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

test("a change waits behind no first sync, and a first sync behind no storm of changes", () => {
  const { budget, ask, states } = setUp(4, 1000, "sync");
  expect(states()).toEqual(["granted", "granted", "granted", "waiting"]);
  const change = ask(1000, "change");
  expect(change.state).toBe("granted");
  const storm = Array.from({ length: 100 }, () => ask(1000, "change"));
  expect(storm.every(({ state }) => state === "waiting")).toBe(true);
  expect(budget.unsent).toBe(4000);
  const other = setUp(100, 1000, "change");
  expect(other.ask(3000, "sync").state).toBe("granted");
});

test("one that is larger than all room goes alone", () => {
  const { senders, states } = setUp(2, 5000);
  expect(states()).toEqual(["granted", "waiting"]);
  senders[0]?.take();
  expect(states()).toEqual(["taken", "granted"]);
});

test("who takes at once is granted once, and lets the next in", () => {
  const { ask, senders } = setUp(1, 1000);
  const quick = [1, 2, 3].map(() => ask(1000, "change", true));
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
  const { clock, budget, states } = setUp(60, 1000, "change", { ...limits, takeTimeoutMs: 1e9 });
  // Each 100 ms let one more in, so that a few of the last still stand when the others have gone.
  clock.advance(3000);
  expect(budget.unsent).toBeLessThanOrEqual(17_000);
  const gone = states().lastIndexOf("timed out");
  expect(gone).toBeGreaterThan(5);
  expect(
    states()
      .slice(0, gone + 1)
      .every((state) => state === "timed out"),
  ).toBe(true);
  expect(states()[gone + 1]).toBe("granted");
});

test("any number may have left while they waited", () => {
  const { budget, ask, senders } = setUp(1, 1000);
  const left = Array.from({ length: 20_000 }, () => ask(1000, "change", true));
  senders[0]?.take();
  expect(left.every(({ state }) => state === "taken")).toBe(true);
  expect(budget.unsent).toBe(0);
});

type Step =
  | { readonly kind: "ask"; readonly bytes: number; readonly lane: Lane }
  | { readonly kind: "take"; readonly which: number }
  | { readonly kind: "time"; readonly ms: number };

const someStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("ask" as const),
    bytes: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 1, max: 900 }) }, fc.integer({ min: 900, max: 9000 })),
    lane: fc.constantFrom("change" as const, "sync" as const),
  }),
  fc.record({ kind: fc.constant("take" as const), which: fc.nat(20) }),
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(1, 60, 700) }) },
);

interface Asked {
  readonly sender: TestSender;
  readonly bytes: number;
  readonly lane: Lane;
}

/** Of one lane: in turn, and never more at once than there is room for, but for one that is larger. */
function expectOrder(asked: readonly Asked[], room: number): void {
  const first = asked.findIndex(({ sender }) => sender.state === "waiting");
  const later = first < 0 ? [] : asked.slice(first);
  expect(later.every(({ sender }) => sender.state === "waiting")).toBe(true);
  const out = asked.filter(({ sender }) => sender.state === "granted");
  const bytes = out.reduce((sum, each) => sum + each.bytes, 0);
  if (out.length > 1) expect(bytes).toBeLessThanOrEqual(room);
  // Whoever waits waits for room, and not for the other lane.
  if (later[0]) expect(bytes + later[0].bytes).toBeGreaterThan(room);
}

test(
  "whoever asks is served in turn, within the room of its lane, and everybody is in the end",
  () => {
    fc.assert(
      fc.property(fc.array(someStep, { maxLength: 60 }), (steps) => {
        const { clock, budget, ask } = setUp(0, 0, "change", { ...limits, stalledMs: 1e6, takeTimeoutMs: 1e7 });
        const asked: Asked[] = [];
        const granted = (): Asked[] => asked.filter(({ sender }) => sender.state === "granted");
        for (const step of steps) {
          if (step.kind === "ask") asked.push({ ...step, sender: ask(step.bytes, step.lane) });
          else if (step.kind === "time") clock.advance(step.ms);
          else granted()[step.which]?.sender.take();
          for (const [lane, room] of [["change", 1000] as const, ["sync", 3000] as const])
            expectOrder(
              asked.filter((each) => each.lane === lane),
              room,
            );
          expect(budget.unsent).toBe(granted().reduce((sum, { bytes }) => sum + bytes, 0));
        }
        while (granted().length > 0) for (const { sender } of granted()) sender.take();
        expect(asked.every(({ sender }) => sender.state === "taken")).toBe(true);
        expect(budget.unsent).toBe(0);
      }),
      { numRuns: runs(300) },
    );
  },
  patience(20_000),
);
