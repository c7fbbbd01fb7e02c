import { expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { sameResource, typeUrls, type EncodedResource, type TypeUrl } from "#proto/encoded.ts";
import type { ScopedName } from "./port.ts";
import { ScopeStore } from "./store.ts";
import { cluster, endpoints } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

const user = { position: () => undefined, due: () => undefined };
const unknownNames = 500;
const scopes = Array.from({ length: 20 }, (_, at) => `s${at}`);

/** A store over twenty scopes of three resources each, and how often it asked for one. */
function counted(make: (name: string) => EncodedResource) {
  const source = new TableSource();
  for (const scope of scopes) for (const name of ["a", "b", "c"]) source.set(scope, make(`${name}.${scope}`));
  let looks = 0;
  const resource = source.engine.query<ScopedName, EncodedResource | undefined>({
    name: "counted",
    key: ({ scope, name }) => `${scope}\n${name}`,
    equal: sameResource,
    compute: (at) => {
      looks += 1;
      return source.resource.get(at);
    },
  });
  const { engine, names, scopes: classes } = source;
  const store = new ScopeStore({
    engine,
    source: { names, scopes: classes, resource, classOf: (node) => node.id, hostScope: () => undefined },
    logger: silentLogger,
    unknownNames,
    changed: () => undefined,
  });
  return { source, store, looks: () => looks };
}

function unknown(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `none-${at}`);
}

/** Asks by name, as a watch does. */
function ask(store: ScopeStore, type: TypeUrl, names: readonly string[]) {
  const subscription = { wildcard: false, names: store.sets.of(names) };
  store.checkKnown(type, scopes, subscription, false);
  return store.hold(type, scopes, subscription, user);
}

test("names of a type that is known as a whole cost no look in each scope, however many are asked for", () => {
  const { source, store, looks } = counted((name) => cluster(name));
  const view = ask(store, typeUrls.cluster, ["a.s1", "late.s2", ...unknown(400)]);
  expect([...view.resources()].map(({ name }) => name)).toEqual(["a.s1"]);
  expect(() => ask(store, typeUrls.cluster, unknown(100_000))).toThrow(/more than 500 names/);
  expect(looks()).toBe(20 * 3);
  // What is asked for and comes later is shown then, and nothing else.
  source.set("s2", cluster("late.s2"));
  source.set("s2", cluster("other.s2"));
  expect([...view.resources()].map(({ name }) => name)).toEqual(["a.s1", "late.s2"]);
  source.delete("s1", "a.s1");
  expect([...view.resources()].map(({ name }) => name)).toEqual(["late.s2"]);
  store.release(view, user);
  expect(store.size).toEqual({ scopes: 0, views: 0 });
});

test("of a type that is asked for by name only, looks end where nothing is there", () => {
  const { store, looks } = counted((name) => endpoints(name, [1]));
  expect(() => ask(store, typeUrls.endpoints, unknown(100_000))).toThrow(/more than 500 names/);
  // Five hundred at once, in each scope, until there are more than may be.
  expect(looks()).toBe(20 * 2 * 500);
  expect(store.size).toEqual({ scopes: 0, views: 0 });
});
