import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Backoff } from "./backoff.ts";
import { canonical, equal } from "./canonical.ts";
import { systemClock } from "./clock.ts";
import { formatAge, isDuration, parseDuration } from "./duration.ts";
import { WeftError, codeOf, messageOf } from "./errors.ts";
import { jsonLogger } from "./logger.ts";

describe("durations, as Go reads them", () => {
  test.each([
    ["0", 0],
    ["250ms", 250],
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    [".5s", 500],
    ["-2m", -120_000],
    ["10us", 0.01],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toBeCloseTo(ms, 9);
    expect(isDuration(text)).toBe(true);
  });

  test.each(["", "5", "1d", "s", "1s 2s", "1,5s", "1e3s"])("%j is refused with what to write", (text) => {
    expect(isDuration(text)).toBe(false);
    expect(() => parseDuration(text)).toThrow("write a number and a unit");
  });

  test.each([
    [5_000, "5s"],
    [119_000, "119s"],
    [125_000, "2m5s"],
    [180_000, "3m"],
    [700_000, "11m"],
    [3 * 3_600_000, "3h"],
    [3 * 3_600_000 + 60_000, "3h1m"],
    [30 * 3_600_000, "30h"],
    [50 * 3_600_000, "2d2h"],
    [10 * 86_400_000, "10d"],
    [800 * 86_400_000, "2y"],
  ])("%d ms is the age %s, as kubectl writes it", (ms, text) => expect(formatAge(ms)).toBe(text));
});

describe("plain values", () => {
  const json = fc.jsonValue();

  test("equal values have equal canonical text, and only they", () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(equal(a, b)).toBe(canonical(a) === canonical(b));
        expect(equal(a, structuredClone(a))).toBe(true);
      }),
    );
  });

  test("the order of keys makes no difference", () => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (value === null || typeof value !== "object") return value;
      return Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, member]) => [key, reversed(member)]),
      );
    };
    fc.assert(
      fc.property(json, (value) => {
        expect(canonical(reversed(value))).toBe(canonical(value));
        expect(equal(reversed(value), value)).toBe(true);
      }),
    );
  });

  test("maps, sets and bytes are compared by what they hold", () => {
    expect(equal(new Map([["a", [1]]]), new Map([["a", [1]]]))).toBe(true);
    expect(equal(new Map([["a", [1]]]), new Map([["a", [2]]]))).toBe(false);
    expect(equal(new Set([1, 2]), new Set([2, 1]))).toBe(true);
    expect(equal(new Set([1]), new Set([2]))).toBe(false);
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equal({ a: undefined }, { b: undefined })).toBe(false);
  });
});

test("backoff grows to its limit, within half a step of jitter, and starts anew after a success", () => {
  const backoff = new Backoff({ initialMs: 100, maxMs: 1000, random: () => 0.5 });
  expect([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([
    75, 150, 300, 600, 750, 750,
  ]);
  backoff.reset();
  expect(backoff.next()).toBe(75);
  const drawn = new Backoff({ initialMs: 100, maxMs: 100 });
  for (let at = 0; at < 100; at += 1) {
    const wait = drawn.next();
    expect(wait).toBeGreaterThanOrEqual(50);
    expect(wait).toBeLessThanOrEqual(100);
  }
});

describe("errors", () => {
  test("a message tells its causes, a code is found for anything thrown", () => {
    const error = new WeftError("Unavailable", "no answer from east", new Error("connect ECONNREFUSED"));
    expect(messageOf(error)).toBe("no answer from east: connect ECONNREFUSED");
    expect([codeOf(error), codeOf(new Error("x")), codeOf("x"), codeOf(AbortSignal.abort().reason)]).toEqual([
      "Unavailable",
      "Internal",
      "Internal",
      "Cancelled",
    ]);
  });
});

describe("the clock", () => {
  test("sleep ends early when its signal aborts", async () => {
    const stop = new AbortController();
    const slept = systemClock.sleep(60_000, stop.signal);
    stop.abort();
    await expect(slept).rejects.toThrow("aborted");
    await expect(systemClock.sleep(1, AbortSignal.abort())).rejects.toThrow("aborted");
  });

  test("a disposed timer does not fire", async () => {
    let fired = 0;
    systemClock.after(1, () => (fired += 1))[Symbol.dispose]();
    using _kept = systemClock.every(1, () => (fired += 100));
    await systemClock.sleep(20);
    expect(fired).toBeGreaterThanOrEqual(100);
    expect(fired % 100).toBe(0);
  });
});

test("a logger writes one JSON object a line, above its level", () => {
  const lines: string[] = [];
  const logger = jsonLogger({ level: "info", write: (line) => lines.push(line), now: () => 0 });
  logger.debug("quiet");
  logger.with({ room: "xds" }).warn("slow proxy", { proxy: "a" });
  expect(lines).toEqual([
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","msg":"slow proxy","room":"xds","proxy":"a"}',
  ]);
});
