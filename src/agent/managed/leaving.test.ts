import { describe, expect, test } from "vitest";
import { leavingStep } from "./leaving.ts";
import type { Leaving } from "./record.ts";

/** A proxy that does what the test says, and a clock beside it. */
class Played {
  at = 1_000_000;
  plain = false;
  count: number | undefined = 7;
  readonly said: boolean[] = [];
  leaving: Leaving = { since: this.at };
  done = false;

  now = (): number => this.at;
  beLenient = (lenient: boolean): void => void this.said.push(lenient);
  takesPlainText = (): Promise<boolean> => Promise.resolve(this.plain);
  handshakes = (): Promise<number | undefined> => Promise.resolve(this.count);

  /** Takes a step after some milliseconds. */
  async step(ms: number): Promise<this> {
    this.at += ms;
    const { leaving, done } = await leavingStep(this.leaving, this, this);
    this.leaving = leaving;
    this.done = done;
    return this;
  }
}

describe("a Pod that leaves", () => {
  test("has its callers told once its proxy takes plain text, and not before", async () => {
    const pod = new Played();
    await pod.step(500);
    expect(pod.leaving.told).toBeUndefined();
    pod.plain = true;
    await pod.step(500);
    expect(pod.leaving.told).toBe(pod.at);
    expect(pod.said).toEqual([true, true]);
    expect(pod.done).toBe(false);
  });

  test("goes when no caller has begun to speak mutual TLS for five seconds", async () => {
    const pod = new Played();
    pod.plain = true;
    await pod.step(0);
    await pod.step(500);
    for (let second = 0; second < 8; second += 1) {
      pod.count = 8 + second;
      await pod.step(1000);
      expect(pod.done).toBe(false);
    }
    await pod.step(4500);
    expect(pod.done).toBe(false);
    await pod.step(500);
    expect(pod.done).toBe(true);
  });

  test("goes by the time alone where its proxy counts nothing, or does not answer", async () => {
    for (const broken of [undefined, () => Promise.reject(new Error("no answer"))]) {
      const pod = new Played();
      pod.plain = true;
      pod.count = undefined;
      if (broken) pod.handshakes = broken;
      await pod.step(0);
      expect((await pod.step(4900)).done).toBe(false);
      expect((await pod.step(100)).done).toBe(true);
    }
  });

  test("goes in the end, whatever the control plane and its callers do", async () => {
    const pod = new Played();
    pod.takesPlainText = () => Promise.reject(new Error("no answer"));
    await pod.step(14_900);
    expect(pod.leaving.told).toBeUndefined();
    await pod.step(100);
    expect(pod.leaving.told).toBe(pod.at);
    for (let second = 0; second < 59; second += 1) {
      pod.count = second;
      expect((await pod.step(1000)).done).toBe(false);
    }
    pod.count = 100;
    expect((await pod.step(1000)).done).toBe(true);
  });
});
