import { expect, test } from "vitest";
import { sidecarUpgrade } from "./sidecar-upgrade.ts";

const faults = (strategy: object): readonly string[] =>
  (sidecarUpgrade.validate?.({ metadata: { name: "one" }, spec: { envoy: "1.40.0", strategy } } as never) ?? []).map(
    ({ message }) => message,
  );

test("a gate on the P99 wants somebody to compare with", () => {
  const gates = { maxP99PercentMore: 50 };
  expect(faults({ gates })).toEqual([]);
  expect(faults({ gates, waves: [50, 100] })).toEqual([]);
  expect(faults({ gates: { maxRefusedPercentMore: 0 }, waves: [100] })).toEqual([]);
  expect(faults({ gates, waves: [100] }).join("\n")).toContain(
    "needs more than one of spec.strategy.waves: it compares with sidecars that wait",
  );
});
