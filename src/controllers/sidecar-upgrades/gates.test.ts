import { beforeEach, describe, expect, test } from "vitest";
import type { SidecarUpgrade, SidecarUpgradeSpec, UpgradedSidecar } from "#api/weft/sidecar-upgrade.ts";
import type { InboundCounts } from "#api/weft/proxy-report.ts";
import type { Client } from "#kube/client.ts";
import { Gates } from "./gates.ts";
import type { CountSources } from "./requests.ts";
import { withCounts } from "./handover-counts.ts";

/** What a sidecar has counted by now: requests answered, those with 5xx, those reset, refusals, and milliseconds that each took at most. */
interface Counted {
  readonly good?: number;
  readonly bad?: number;
  readonly reset?: number;
  readonly refused?: number;
  /** "never": an Envoy that keeps no times. */
  readonly ms?: 10 | 100 | "never";
}

let counted: Record<string, Counted>;
beforeEach(() => {
  counted = {};
});

function metricsOf({ good = 0, bad = 0, reset = 0, refused = 0, ms = 10 }: Counted): string {
  const name = "envoy_http_inbound_0_0_0_0_8080__downstream_rq";
  const bounds = ms === "never" ? [] : [10, 100, "+Inf"];
  const times = bounds.map((most) => {
    const count = typeof most === "number" && most < Number(ms) ? 0 : good + bad;
    return `${name}_time_bucket{le="${most}"} ${count}`;
  });
  const requests = [`${name}{response_code_class="2xx"} ${good}`, `${name}{response_code_class="5xx"} ${bad}`];
  return [
    ...requests,
    `${name}_rx_reset{} ${reset}`,
    ...times,
    `envoy_listener_manager_lds_update_rejected{} ${refused}`,
  ].join("\n");
}

/** An API of a cluster whose sidecars count that. */
const client = {
  bytes: ({ path }: { readonly path: string }) => {
    const found = counted[/pods\/([^:]+):/.exec(path)?.[1] ?? ""];
    return found ? Promise.resolve(Buffer.from(metricsOf(found))) : Promise.reject(new Error("no such proxy"));
  },
} as unknown as Client;

let told: Record<string, InboundCounts>;
beforeEach(() => {
  told = {};
});
const sources: CountSources = { member: () => client, told: ({ pod }) => told[pod] };

const sidecar = (pod: string, more: Partial<UpgradedSidecar> = {}): UpgradedSidecar => ({
  cluster: "east",
  namespace: "shop",
  pod,
  uid: pod,
  phase: "Waiting",
  ...more,
});

const upgraded = sidecar("new", { phase: "Upgraded" });

function upgradeWith(
  strategy: NonNullable<SidecarUpgradeSpec["strategy"]>,
  sidecars: readonly UpgradedSidecar[],
  status: Partial<SidecarUpgrade["status"] & object> = {},
): SidecarUpgrade {
  return {
    metadata: { name: "one" },
    spec: { envoy: "1.40.0", strategy },
    status: { waveSince: "2026-01-01T12:00:00Z", sidecars, ...status },
  } as SidecarUpgrade;
}

/** What gates say after sidecars counted so much at first, and so much then. */
async function answer(
  gates: NonNullable<NonNullable<SidecarUpgradeSpec["strategy"]>["gates"]>,
  looks: readonly Record<string, Counted>[],
  status: Partial<SidecarUpgrade["status"] & object> = {},
) {
  const upgrade = upgradeWith({ gates }, [upgraded, sidecar("old")], status);
  const own = new Gates(sources);
  for (const look of looks) {
    counted = look;
    await own.look(upgrade);
  }
  return own.answer(upgrade);
}

describe("a gate", () => {
  const before = { new: { good: 10 }, old: { good: 10, bad: 10 } };

  test("on errors compares what was answered since the wave is watched", async () => {
    const gates = { maxErrorPercentMore: 1 };
    const good = { new: { good: 110 }, old: { good: 110, bad: 10 } };
    expect(await answer(gates, [before, good])).toMatchObject({ opens: true });
    const bad = { ...good, new: { good: 60, bad: 50 } };
    expect((await answer(gates, [before, bad])).why).toBe(
      "spec.strategy.gates.maxErrorPercentMore: upgraded sidecars failed 50.0 percent of 100 requests, the others 0.0 percent",
    );
    expect(await answer(gates, [before, { ...bad, old: { good: 60, bad: 60 } }])).toMatchObject({ opens: true });
    expect(await answer(gates, [before])).toMatchObject({ opens: false, failed: false });
  });

  test("on errors counts requests that were reset without an answer", async () => {
    const gates = { maxErrorPercentMore: 1 };
    const [zero, old] = [{ new: {}, old: {} }, { good: 100 }];
    expect((await answer(gates, [zero, { new: { good: 90, reset: 10 }, old }])).why).toContain(
      "upgraded sidecars failed 10.0 percent of 100 requests, the others 0.0 percent",
    );
    expect(await answer(gates, [zero, { new: { reset: 1 }, old }])).toMatchObject({ failed: true });
    expect(await answer(gates, [zero, { new: { good: 90, reset: 10 }, old: { good: 9, reset: 1 } }])).toMatchObject({
      opens: true,
    });
  });

  test("on the P99 says what helps where Envoys are older than it", async () => {
    const gates = { maxP99PercentMore: 50 };
    const zero = { new: {}, old: {} };
    const older = { new: { good: 200 }, old: { good: 200, ms: "never" } } as const;
    expect(await answer(gates, [zero, older])).toMatchObject({ opens: false, failed: false });
    expect((await answer(gates, [zero, older])).why).toContain(
      "the others answered 200 requests, and their Envoys, which are older than this gate, keep no times: give their Pods the annotation sidecar.weft.dev/renew",
    );
  });

  test("on the P99 wants requests of both, and takes what waited before where nobody waits", async () => {
    const gates = { maxP99PercentMore: 50 };
    const zero = { new: {}, old: {} };
    expect(await answer(gates, [zero, { new: { good: 200 }, old: { good: 200 } }])).toMatchObject({ opens: true });
    const late = { new: { good: 200, ms: 100 }, old: { good: 200 } } as const;
    expect(await answer(gates, [zero, late])).toMatchObject({
      failed: true,
      why: "spec.strategy.gates.maxP99PercentMore: the P99 of upgraded sidecars is 99.1 ms, that of the others 9.9 ms",
    });
    expect((await answer(gates, [zero, { ...late, old: { good: 99 } }])).why).toContain(
      "has no metrics to compare: the others answered 99 of 100 requests that it takes",
    );
    const alone = { sidecars: [upgraded] };
    expect((await answer(gates, [zero, late], alone)).why).toContain("no sidecar waits any more");
    expect(await answer(gates, [zero, late], { ...alone, othersP99Ms: 9.9 })).toMatchObject({ failed: true });
    expect(await answer(gates, [zero, late], { ...alone, othersP99Ms: 80 })).toMatchObject({ opens: true });
  });

  test("on refusals sees those since a sidecar was asked, and lets those pass that the others have, too", async () => {
    const gates = { maxRefusedPercentMore: 0 };
    const asked = { sidecars: [{ ...upgraded, refusedBefore: 2 }, sidecar("old")] };
    expect(await answer(gates, [{ new: { refused: 2 }, old: {} }], asked)).toMatchObject({ opens: true });
    expect(await answer(gates, [{ new: { refused: 3 }, old: {} }], asked)).toMatchObject({ failed: true });
    expect(await answer(gates, [{ new: { refused: 3 }, old: { refused: 1 } }], asked)).toMatchObject({ opens: true });
    expect((await answer(gates, [{}], asked)).why).toContain("no such proxy");
  });
});

test("what agents tell is taken of sidecars that nobody reaches", async () => {
  const within = (count: number, late: number) => ({ "10": count - late, "100": count, "3.6e+06": count });
  const counts = (all: number, failed = 0, late = 0) => ({ all, failed, refused: 0, within: within(all, late) });
  const gates = { maxErrorPercentMore: 1, maxP99PercentMore: 50 };
  const look = async (later: Record<string, InboundCounts>) => {
    const own = new Gates(sources);
    const upgrade = upgradeWith({ gates }, [upgraded, sidecar("old")]);
    told = { new: counts(10), old: counts(10) };
    await own.look(upgrade);
    told = later;
    await own.look(upgrade);
    return own.answer(upgrade);
  };
  expect(await look({ new: counts(210), old: counts(210) })).toMatchObject({ opens: true });
  expect((await look({ new: counts(210, 20), old: counts(210) })).why).toContain("failed 10.0 percent of 200 requests");
  expect((await look({ new: counts(210, 0, 100), old: counts(210) })).why).toContain("the P99 of upgraded sidecars is");
  [told, counted] = [{}, {}];
  expect(await withCounts(sources, [], [sidecar("new")], [{ sidecar: sidecar("new") }])).toEqual([sidecar("new")]);
});

test("what an agent tells and what a sidecar says itself are not taken from each other", async () => {
  const upgrade = upgradeWith({ gates: { maxErrorPercentMore: 1 } }, [upgraded, sidecar("old")]);
  const own = new Gates(sources);
  const inbound = { all: 900, failed: 900, refused: 0, within: {} };
  told = { new: inbound, old: inbound };
  await own.look(upgrade);
  counted = { new: { good: 1000, bad: 10 }, old: { good: 1000 } };
  await own.look(upgrade);
  expect(own.answer(upgrade).why).toContain("upgraded sidecars were asked for nothing");
  counted = { new: { good: 1100, bad: 10 }, old: { good: 1100 } };
  await own.look(upgrade);
  expect(own.answer(upgrade)).toMatchObject({ opens: true });
  counted = { old: { good: 1200 } };
  await own.look(upgrade);
  expect(own.answer(upgrade)).toMatchObject({ opens: true });
});

test("what failed of a sidecar is counted from when it was asked", async () => {
  counted = { one: { good: 5, bad: 2, refused: 1 }, two: { bad: 7 } };
  const waiting = [sidecar("one"), sidecar("two"), sidecar("gone")];
  const asks = [{ sidecar: sidecar("one") }, { sidecar: sidecar("gone") }];
  const asked = await withCounts(sources, waiting, waiting, asks);
  expect(asked).toEqual([sidecar("one", { failedBefore: 2, refusedBefore: 1 }), ...waiting.slice(1)]);
  counted = { one: { good: 50, bad: 6 } };
  const done = asked?.map((each): UpgradedSidecar => ({ ...each, phase: "Upgraded" }));
  const ended = await withCounts(sources, asked, done, []);
  expect(ended?.map(({ failed }) => failed)).toEqual([4, undefined, undefined]);
  expect(await withCounts(sources, ended, ended, [])).toBe(ended);
});
