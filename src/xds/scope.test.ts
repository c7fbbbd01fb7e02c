import { expect, test } from "vitest";
import { jsonLogger, silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import { sameResource, typeUrls, type EncodedResource } from "#proto/encoded.ts";
import type { ProxyScopes, ResourceSource, ScopedName } from "./port.ts";
import { NameSets } from "./names.ts";
import { ScopeStore } from "./store.ts";
import { cluster } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

const user = { position: () => undefined, due: () => undefined };

test("what a change did to a part is told exactly, also over several changes", () => {
  const source = new TableSource();
  const [one, two, three] = [cluster("a", 1), cluster("a", 2), cluster("b", 3)];
  source.set("s", one);
  using store = new ScopeStore({
    engine: source.engine,
    source,
    logger: silentLogger,
    unknownNames: 1000,
    changed: () => undefined,
  });
  const view = store.hold(typeUrls.cluster, ["s"], { wildcard: true, names: store.sets.empty }, user);
  const start = view.revision;
  source.set("s", two);
  const middle = view.revision;
  source.change(() => {
    source.set("s", three);
    source.delete("s", "a");
  });
  const told = (since: number) =>
    Object.fromEntries([...view.changedSince(since)].map(([name, before]) => [name, before?.version ?? "none"]));
  expect(told(start)).toEqual({ a: one.version, b: "none" });
  expect(told(middle)).toEqual({ a: two.version, b: "none" });
  expect(told(view.revision)).toEqual({});
  expect([...view.resources()]).toEqual([three]);
  store.release(view, user);
  expect(store.size).toEqual({ scopes: 0, views: 0 });
});

test("a change that ends where it began tells nobody", () => {
  const source = new TableSource();
  source.set("s", cluster("a", 1));
  let told = 0;
  using store = new ScopeStore({
    engine: source.engine,
    source,
    logger: silentLogger,
    unknownNames: 1000,
    changed: () => {
      told += 1;
    },
  });
  const view = store.hold(typeUrls.cluster, ["s"], { wildcard: true, names: store.sets.empty }, user);
  const revision = view.revision;
  source.change(() => {
    source.set("s", cluster("a", 2));
    source.set("s", cluster("a", 1));
  });
  source.set("elsewhere", cluster("a", 9));
  expect(told).toBe(0);
  expect(view.revision).toBe(revision);
});

test("a resource that cannot be computed leaves its last value, and is logged", () => {
  const engine = new Engine();
  const table = engine.table<EncodedResource | "broken">("rows", Object.is);
  const source: ResourceSource = {
    classOf: () => "all",
    hostScope: () => undefined,
    scopes: engine.stringQuery("scopes", () => ({}) as ProxyScopes),
    names: engine.stringQuery("names", (): readonly string[] => ["a"]),
    resource: engine.query<ScopedName, EncodedResource | undefined>({
      name: "resource",
      key: ({ name }) => name,
      compute: ({ name }) => {
        const row = table.get(name);
        if (row === "broken") throw new Error("no such thing");
        return row;
      },
      equal: sameResource,
    }),
  };
  const good = cluster("a", 1);
  table.set("a", good);
  const lines: string[] = [];
  const logger = jsonLogger({ level: "error", write: (line) => lines.push(line), now: () => 0 });
  using store = new ScopeStore({ engine, source, logger, unknownNames: 1000, changed: () => undefined });
  const view = store.hold(typeUrls.cluster, ["s"], { wildcard: true, names: new NameSets().empty }, user);
  table.set("a", "broken");
  expect(view.get("a")).toBe(good);
  expect(lines.join()).toContain("no such thing");
  const better = cluster("a", 2);
  table.set("a", better);
  expect(view.get("a")).toBe(better);
});
