import { expect, test } from "vitest";
import { patience } from "#base/testing/runs.ts";
import { runStorm } from "./storm-run.ts";

test(
  "after a storm of changes every proxy holds what recomputation gives it, also one that stalled and those that reconnected",
  { timeout: patience(180_000) },
  async () => {
    const result = await runStorm({
      scale: { services: 40, namespaces: 4, sidecars: 1 },
      proxies: 24,
      ruled: 20,
      changesPerSecond: 40,
      seconds: 4,
      reconnectMs: 400,
      say: () => undefined,
    });
    expect(result.problems).toEqual([]);
    expect(result.ended).toEqual([]);
    expect(result.changes).toBe(160);
    expect(result.reconnected).toBeGreaterThan(2);
    // Those in no trouble were told all the while.
    expect(result.speed.deliveries).toBeGreaterThan(1000);
  },
);
