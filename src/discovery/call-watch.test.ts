import { expect, test } from "vitest";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Holder } from "#translate/scopes.ts";
import type { AskingProxy } from "#xds/port.ts";
import { type CallCounts, CallWatch } from "./call-watch.ts";

const day = 86_400_000;
const lifeMs = 30 * day;
const lookMs = lifeMs / 120;
const signal = new AbortController().signal;
const workload = "shop/page";
const client = { namespace: "*", sidecar: "" };
const holder: Holder = {
  workload,
  declaring: client,
  view: { kind: "sidecar", client, namespace: "shop", cluster: "", sourceLabels: {} },
};

function proxy(id: string): AskingProxy {
  const locality = { region: "", zone: "", subzone: "" };
  return { node: { id, cluster: "", metadata: {}, version: "1.40.0", locality }, class: "c" };
}

/** Two proxies of a workload that called `old` two days ago and `new` today. */
function watching(routes: Readonly<Record<string, readonly string[]>> = {}) {
  const clock = new ManualClock();
  const proxies = [proxy("a"), proxy("b")];
  /** Requests that each proxy began to send to hosts. */
  const counts = new Map<string, Record<string, number> | Error>();
  const open = new Set<string>();
  const [looks, kept]: [string[], string[][]] = [[], []];
  const holding = { workload, holder, proxies };
  const learned = [
    { host: "old", firstUsed: timestamp(0), lastUsed: timestamp(clock.now() - 2 * day) },
    { host: "new", firstUsed: timestamp(0), lastUsed: timestamp(clock.now()) },
  ];
  const watch = new CallWatch({
    demand: { holdings: () => [holding] },
    keeper: {
      workloads: () => [workload],
      learned: () => learned,
      keep: (_workload, hosts) => void (hosts.length > 0 && kept.push([...hosts])),
    },
    model: {
      held: {
        reached: (_client: object, hosts: readonly string[]) =>
          new Set([...hosts, ...hosts.flatMap((each) => routes[each] ?? [])]),
      } as never,
    },
    counts: async ({ node }): Promise<CallCounts> => {
      looks.push(node.id);
      const found = counts.get(node.id) ?? {};
      if (found instanceof Error) throw found;
      return new Map(
        Object.entries(found).map(([host, begun]) => [`outbound|80||${host}`, { begun, open: Number(open.has(host)) }]),
      );
    },
    lifeMs: () => lifeMs,
    clock,
    logger: silentLogger,
  });
  const look = async (): Promise<void> => {
    clock.advance(lookMs);
    await watch.look(signal);
  };
  return { watch, look, counts, open, looks, kept, clock, proxies };
}

test("a host is called while some proxy's count of it changes", async () => {
  const { look, counts, kept, looks } = watching();
  counts.set("a", { old: 5, new: 1 }).set("b", { old: 7 });
  await look();
  expect([looks, kept]).toEqual([["a", "b"], []]);
  counts.set("a", { old: 5, new: 9 });
  await look();
  expect(kept).toEqual([]);
  counts.set("b", { old: 8 });
  await look();
  expect(kept).toEqual([["old"]]);
});

test("one whose count began anew was called, and so is one whose routes lead to what is", async () => {
  const { look, counts, kept } = watching({ old: ["goal"] });
  counts.set("a", { old: 5, goal: 1 });
  await look();
  counts.set("a", { old: 0, goal: 1 });
  await look();
  expect(kept).toEqual([]);
  counts.set("a", { old: 2, goal: 1 });
  await look();
  counts.set("a", { old: 2, goal: 2 });
  await look();
  expect(kept).toEqual([["old"], ["old"]]);
});

test("one to which a connection stays open is called, without a new one", async () => {
  const { look, counts, open, kept } = watching();
  counts.set("a", { old: 1 });
  open.add("old");
  for (let rounds = 0; rounds < 2; rounds += 1) await look();
  expect(kept).toEqual([["old"]]);
  open.clear();
  await look();
  expect(kept).toEqual([["old"]]);
});

test("a proxy is asked now and then only, and no other once all doubts are gone", async () => {
  const { look, watch, counts, looks, clock } = watching();
  await look();
  clock.advance(lookMs / 2);
  await watch.look(signal);
  expect(looks).toEqual(["a", "b"]);
  counts.set("a", { old: 1 });
  await look();
  expect(looks).toEqual(["a", "b", "a"]);
});

test("what is not called is known when all proxies were looked at twice and lately, and not soon after the start", async () => {
  const { look, watch, counts, proxies, clock } = watching();
  await look();
  expect(watch.isComplete(workload)).toBe(false);
  await look();
  expect(watch.isComplete(workload)).toBe(false);
  await look();
  expect(watch.isComplete(workload)).toBe(true);
  counts.set("b", new WeftError("Unavailable", "the API is away"));
  for (let rounds = 0; rounds < 4; rounds += 1) await look();
  expect(watch.isComplete(workload)).toBe(false);
  counts.delete("b");
  await look();
  expect(watch.isComplete(workload)).toBe(true);
  proxies.push(proxy("c"));
  expect(watch.isComplete(workload)).toBe(false);
  clock.advance(4 * lookMs);
  proxies.length = 0;
  expect(watch.isComplete(workload)).toBe(true);
});
