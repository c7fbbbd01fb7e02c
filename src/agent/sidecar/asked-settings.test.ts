import { expect, test } from "vitest";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import type { ProxySettings } from "../proxy-settings.ts";
import { askedSettings } from "./asked-settings.ts";

const otherwise: ProxySettings = { config: { terminationDrainDuration: "1s" } };
const logger = silentLogger;

/** Lets everything run that waits for nothing. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("settings are those of the control plane, or the injection's while there is none", async () => {
  const clock = new ManualClock();
  const never = new AbortController().signal;
  const said: ProxySettings = { config: {} };
  expect(await askedSettings({ ask: async () => said, otherwise, clock, logger }, never)).toBe(said);
  let times = 0;
  const ask = async (): Promise<ProxySettings> => {
    times += 1;
    throw new WeftError("Unavailable", "nobody answers");
  };
  const found = askedSettings({ ask, otherwise, clock, logger }, never);
  for (let waited = 0; waited < 20; waited += 1) {
    await settled();
    clock.advance(500);
  }
  expect(await found).toBe(otherwise);
  expect(times).toBe(20);
});

test("a proxy that is to end while it is asked how to start it is not started", async () => {
  const clock = new ManualClock();
  const unanswered = new Promise<ProxySettings>(() => undefined);
  const end = new AbortController();
  const asking = askedSettings({ ask: () => unanswered, otherwise, clock, logger }, end.signal);
  end.abort();
  expect(await asking).toBeUndefined();
  expect(await askedSettings({ ask: async () => otherwise, otherwise, clock, logger }, end.signal)).toBeUndefined();
  // Between two times that it is asked, too.
  const later = new AbortController();
  let times = 0;
  const ask = async (): Promise<ProxySettings> => {
    times += 1;
    throw new WeftError("Unavailable", "nobody answers");
  };
  const waiting = askedSettings({ ask, otherwise, clock, logger }, later.signal);
  await settled();
  later.abort();
  expect(await waiting).toBeUndefined();
  clock.advance(10_000);
  await settled();
  expect(times).toBe(1);
});
