/** The pairs of the benchmark of the data plane are what their names say. */
import { expect, test } from "vitest";
import { programs } from "../test/hijack/world.ts";
import { features, type Measure, measures } from "./dataplane/measures.ts";
import { Pair } from "./dataplane/pair.ts";
import { baselineVariant, groups, type Variant } from "./dataplane/variants.ts";

/** All changes of the baseline that are measured, in their order. */
const everything: Measure = (bootstrap, side) => {
  for (const change of Object.values({ ...measures, ...features })) change(bootstrap, side);
};

const lean = groups["headline"]?.variants.find(({ name }) => name === "ebpf + lean + sockmap") ?? baselineVariant;
const performance =
  groups["performance"]?.variants.find(({ name }) => name === "ebpf + performance + sockmap") ?? baselineVariant;
const client = "spiffe://cluster.local/ns/bench/sa/client";
const cases: readonly (readonly [Variant, string])[] = [
  [baselineVariant, client],
  [{ ...baselineVariant, name: "the baseline with all that is measured upon it", measure: everything }, client],
  [lean, client],
  [performance, client],
  [{ name: "no mesh" }, "unknown"],
];

test.each(cases.map(([variant, caller]) => [variant.name, variant, caller] as const))(
  "%s: the server knows its caller, and every request is answered",
  async (_name, variant, caller) => {
    await using pair = await Pair.start(variant, programs, false);
    expect(await pair.caller()).toBe(caller);
    const turn = await pair.turn({ rate: 400, count: 200, body: 1024, answer: 16_384 });
    expect(turn.all).toBeGreaterThan(0);
    expect(turn.p99).toBeGreaterThanOrEqual(turn.p50);
    expect(turn.rate).toBeLessThan(440);
  },
);

test("a request that is not answered with 200 ends the benchmark", async () => {
  const refusing: Measure = ({ static_resources: { clusters } }, side) => {
    const cluster = clusters.find(({ name }) => name === "inbound|8080||");
    if (side === "server" && cluster)
      Object.assign(cluster, { circuit_breakers: { thresholds: [{ max_requests: 1 }] } });
  };
  const starting = Pair.start({ ...baselineVariant, measure: refusing }, programs, false);
  await expect(starting).rejects.toThrow("a status other than 200");
});
