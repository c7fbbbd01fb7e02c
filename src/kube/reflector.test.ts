import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "#base/clock.ts";
import { jsonLogger, silentLogger } from "#base/logger.ts";
import { Client } from "./client.ts";
import { Connection } from "./connection.ts";
import { Informer } from "./informer.ts";
import { Reflector } from "./reflector.ts";
import type { Change, ReflectorOptions } from "./reflector.ts";
import { MemoryApi, widgetKind } from "./testing/memory-api.ts";
import type { Widget } from "./testing/memory-api.ts";
import { runs } from "#base/testing/runs.ts";

let api: MemoryApi;
let connection: Connection;
let stop: AbortController;
beforeEach(async () => {
  api = await MemoryApi.start();
  connection = new Connection({ url: api.url }, { clock: systemClock });
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  connection[Symbol.dispose]();
  await api[Symbol.asyncDispose]();
});

function options(more: Partial<ReflectorOptions<Widget>> = {}): ReflectorOptions<Widget> {
  const client = new Client(connection).of<Widget>(widgetKind);
  return { client, clock: systemClock, logger: silentLogger, backoff: { initialMs: 2, maxMs: 10 }, ...more };
}

/** How soon things are looked at again, and how long they may take on a busy machine. */
const patient = { interval: 2, timeout: 60_000 };

const text = ({ metadata, spec }: Widget): string => `${metadata.name}${spec.size}`;

/** Changes as short text: `sync a1 b2`, `+a1`, `-a1`. */
function short(change: Change<Widget>): string {
  if (change.kind === "sync") return ["sync", ...change.objects.map(text)].join(" ");
  return `${change.kind === "put" ? "+" : "-"}${text(change.object)}`;
}

interface Following {
  readonly seen: readonly string[];
  /** Waits until the changes told are these, and no others. */
  readonly become: (...changes: readonly string[]) => Promise<void>;
  readonly done: Promise<void>;
}

function follow(more: Partial<ReflectorOptions<Widget>> = {}): Following {
  const seen: string[] = [];
  const done = new Reflector(options(more), (change) => seen.push(short(change))).run(stop.signal);
  const become = async (...changes: readonly string[]): Promise<void> =>
    vi.waitFor(() => expect(seen).toEqual(changes), patient);
  return { seen, become, done };
}

const watching = async (): Promise<void> => vi.waitFor(() => expect(api.watches).toBe(1), patient);
const lists = (): number => api.requests.filter(({ url }) => !url.searchParams.has("watch")).length;
const watchedFrom = (): readonly (string | null)[] =>
  api.requests
    .filter(({ url }) => url.searchParams.has("watch"))
    .map(({ url }) => url.searchParams.get("resourceVersion"));

describe("a reflector", () => {
  test("tells the whole state, then changes, and stops when told", async () => {
    api.put("a", 1);
    const { become, done } = follow();
    await become("sync a1");
    await watching();
    api.put("b", 1);
    api.put("a", 2);
    api.delete("b");
    await become("sync a1", "+b1", "+a2", "-b1");
    stop.abort();
    await done;
    await vi.waitFor(() => expect(api.watches).toBe(0), 60_000);
  });

  test.each(["end", "midline"] as const)("resumes from the last change when a watch is cut (%s)", async (how) => {
    api.put("a", 1);
    const { become } = follow();
    await watching();
    api.put("a", 2);
    await become("sync a1", "+a2");
    api.cut(how);
    api.put("a", 3);
    api.put("b", 1);
    await become("sync a1", "+a2", "+a3", "+b1");
    expect(lists()).toBe(1);
    expect(watchedFrom()).toEqual(["11", "12"]);
  });

  test("resumes from a bookmark, though nothing of its own changed since", async () => {
    const { become } = follow();
    await watching();
    api.revision += 5;
    api.bookmark();
    await systemClock.sleep(20);
    api.compact();
    api.cut("end");
    await vi.waitFor(() => expect(watchedFrom()).toEqual(["10", "15"]), patient);
    await watching();
    api.put("a", 1);
    await become("sync", "+a1");
    expect(lists()).toBe(1);
  });

  test("lists again when the revision is gone, and tells what vanished meanwhile", async () => {
    api.put("a", 1);
    api.put("b", 1);
    api.put("c", 1);
    const { become } = follow();
    await watching();
    api.cut("end");
    api.delete("a");
    api.put("d", 1);
    api.delete("b");
    api.put("b", 5); // Another object of the same name.
    api.compact();
    await become("sync a1 b1 c1", "-a1", "-b1", "sync c1 d1 b5");
    expect(lists()).toBeGreaterThan(1);
  });

  test("lists again when the watch itself says that the revision is gone", async () => {
    api.put("a", 1);
    const { become } = follow();
    await watching();
    api.cut("gone");
    await become("sync a1", "sync a1");
    expect(lists()).toBe(2);
  });

  test("keeps the last state while the server fails, says so once, and then goes on from there", async () => {
    const lines: string[] = [];
    const logger = jsonLogger({
      level: "info",
      now: () => 0,
      write: (line) => lines.push((JSON.parse(line) as { msg: string }).msg),
    });
    api.put("a", 1);
    const { become, seen } = follow({ logger });
    await watching();
    api.failures.push(500, 503, 429);
    api.cut("midline");
    api.put("a", 2);
    await become("sync a1", "+a2");
    expect(seen).toHaveLength(2);
    expect(lists()).toBe(1);
    expect(lines).toEqual(["cannot follow the API server; trying again", "following the API server again"]);
  });

  const nothings = [
    "",
    "null",
    "[]",
    "{}",
    "<html>sign in</html>",
    `{"metadata":{}}`,
    `{"metadata":{"resourceVersion":""},"items":[]}`,
    `{"metadata":{"resourceVersion":"99"},"items":{}}`,
    `{"metadata":{"resourceVersion":"99"},"items":[{"metadata":{"name":"a"}}]}`,
    `{"metadata":{"resourceVersion":"99"},"items":[nu`,
    `{"type":"ADDED"}\n`,
    `{"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"u"}}}\n`,
    `{"type":"BOOKMARK","object":{}}\n`,
    `{"type":"ERROR"}\n`,
    `{"type":"NEWS","object":{}}\n`,
    "7\n",
  ];

  test.each(nothings)("takes what is no answer for none: %s", async (text) => {
    api.put("a", 1);
    const { become } = follow();
    await watching();
    // To the watch, and to the list that follows where the state must be read anew.
    api.garbage.push(text, text, text);
    api.cut("gone");
    await vi.waitFor(() => expect(api.garbage).toEqual([]), patient);
    await watching();
    api.put("b", 1);
    await become("sync a1", "sync a1", "+b1");
  });

  test("gives up pages that do not end", async () => {
    api.put("a", 1);
    const { become } = follow();
    const page = JSON.stringify({ metadata: { resourceVersion: "10", continue: "more" }, items: [] });
    api.garbage.push(page, page, page);
    await become("sync a1");
    await vi.waitFor(() => expect(api.garbage).toEqual([]), patient);
  });

  test("reads the state anew when resuming fails for long", async () => {
    api.put("a", 1);
    const { become } = follow();
    await watching();
    api.failures.push(...Array<number>(8).fill(500));
    api.cut("end");
    await become("sync a1", "sync a1");
    expect(watchedFrom().length).toBeGreaterThanOrEqual(5);
  });

  test("does not hammer a server that ends every watch at once", async () => {
    follow({ backoff: { initialMs: 20, maxMs: 40 } });
    const until = systemClock.monotonic() + 200;
    while (systemClock.monotonic() < until) {
      api.cut("end");
      await systemClock.sleep(1);
    }
    expect(watchedFrom().length).toBeLessThan(20);
  });

  test("does not read the state over and over from a server that forgets every revision at once", async () => {
    follow({ backoff: { initialMs: 20, maxMs: 40 } });
    const until = systemClock.monotonic() + 200;
    while (systemClock.monotonic() < until || lists() < 2) {
      api.cut("gone");
      await systemClock.sleep(1);
    }
    expect(lists()).toBeGreaterThan(1);
    expect(lists()).toBeLessThan(20);
  });

  test("trims before it keeps or tells", async () => {
    api.put("a", 1);
    const { become } = follow({ trim: (widget) => ({ ...widget, spec: { size: widget.spec.size * 10 } }) });
    await watching();
    api.put("b", 2);
    await become("sync a10", "+b20");
    expect(lists()).toBe(1);
  });
});

describe("an informer", () => {
  test("indexes, and tells handlers what was and what is", async () => {
    api.put("a", 1);
    api.put("b", 1);
    const informer = new Informer({ ...options(), indexes: { size: ({ spec }) => [String(spec.size)] } });
    const run = informer.run(stop.signal);
    await informer.synced;
    const names = (size: string): readonly string[] => informer.by("size", size).map(({ metadata }) => metadata.name);
    expect(names("1")).toEqual(["a", "b"]);
    const seen: string[] = [];
    informer.onChange(({ before, after }) => seen.push(`${before?.spec.size ?? "-"} ${after?.spec.size ?? "-"}`));
    await watching();
    api.put("a", 2);
    api.delete("b");
    await vi.waitFor(() => expect(seen).toEqual(["- 1", "- 1", "1 2", "1 -"]), 60_000);
    expect([names("1"), names("2")]).toEqual([[], ["a"]]);
    expect(informer.get({ namespace: "shop", name: "a" })?.spec.size).toBe(2);
    expect(informer.list("shop")).toHaveLength(1);
    expect(informer.list("elsewhere")).toHaveLength(0);
    stop.abort();
    await run;
  });

  type Step = (target: MemoryApi) => Promise<void> | void;
  const name = fc.constantFrom("a", "b", "c", "d");
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(name, fc.nat(9)).map(
        ([name, size]): Step =>
          (target) =>
            target.put(name, size),
      ),
    },
    {
      weight: 3,
      arbitrary: name.map(
        (name): Step =>
          (target) =>
            target.delete(name),
      ),
    },
    fc.constantFrom("end", "midline", "gone").map(
      (how): Step =>
        (target) =>
          target.cut(how),
    ),
    fc.constant<Step>((target) => target.compact()),
    fc.constant<Step>((target) => target.bookmark()),
    fc.constantFrom("", "{}", `{"metadata":{"resourceVersion":"9"}}`, `{"type":"ADDED","object":{}}\n`).map(
      (text): Step =>
        (target) =>
          void target.garbage.push(text),
    ),
    fc.constantFrom(500, 503, 410).map(
      (status): Step =>
        (target) =>
          void target.failures.push(status),
    ),
    {
      weight: 2,
      arbitrary: fc.nat(8).map(
        (ms): Step =>
          async () =>
            systemClock.sleep(ms),
      ),
    },
  );

  test("ends with the server's state after any changes, cuts and failures; its handlers saw no gap", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await using api = await MemoryApi.start();
        using connection = new Connection({ url: api.url }, { clock: systemClock });
        const stop = new AbortController();
        const client = new Client(connection).of<Widget>(widgetKind);
        const informer = new Informer({ ...options(), client, indexes: { size: ({ spec }) => [String(spec.size)] } });
        const replayed = new Map<string, Widget>();
        const gaps: string[] = [];
        informer.onChange(({ before, after }) => {
          const name = (after ?? before)?.metadata.name ?? "";
          if (replayed.get(name) !== before) gaps.push(name);
          if (after === undefined) replayed.delete(name);
          else replayed.set(name, after);
        });
        const run = informer.run(stop.signal);
        for (const step of steps) await step(api);
        await vi.waitFor(
          () => {
            const state = informer.list().map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`);
            const truth = [...api.objects.values()].map(
              ({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`,
            );
            expect(state.toSorted()).toEqual(truth.toSorted());
          },
          { interval: 1, timeout: 60_000 },
        );
        expect(gaps).toEqual([]);
        expect(new Set(replayed.values())).toEqual(new Set(informer.list()));
        for (const widget of informer.list()) expect(informer.by("size", String(widget.spec.size))).toContain(widget);
        stop.abort();
        await run;
      }),
      { numRuns: runs(60) },
    );
  });
});
