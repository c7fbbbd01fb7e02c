import { PerformanceObserver, constants } from "node:perf_hooks";
import { expect, test } from "vitest";
import { collectWhenIdle } from "./idle-collection.ts";
import { ManualClock } from "./testing/manual-clock.ts";

interface GcEntry {
  readonly detail: { readonly kind: number };
}

const observer = (kinds: number[]): PerformanceObserver => {
  const made = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) kinds.push((entry as unknown as GcEntry).detail.kind);
  });
  made.observe({ entryTypes: ["gc"] });
  return made;
};

test("what is young is collected though nothing is allocated", async () => {
  const clock = new ManualClock();
  const kinds: number[] = [];
  const observing = observer(kinds);
  {
    using _collection = collectWhenIdle(clock);
    clock.advance(100_000);
    const minor = (): number => kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR).length;
    await expect.poll(minor).toBeGreaterThanOrEqual(10);
  }
  observing.disconnect();
});
