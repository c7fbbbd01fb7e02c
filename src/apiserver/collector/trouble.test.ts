/** What an API does by itself, while its store fails or another server does the same. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { kinds } from "#api/kinds.ts";
import { Validator } from "#api/validation.ts";
import type { ResourceStore } from "#store/port.ts";
import { openSqliteStore } from "#store/sqlite.ts";
import type { Context } from "../context.ts";
import { MergeTypes } from "../fields/merge-type.ts";
import { create } from "../registry/create.ts";
import { remove } from "../registry/delete.ts";
import { ServedKinds } from "../served-kinds.ts";
import { Collector } from "./collector.ts";
import { runController } from "./controller.ts";
import { NamespaceController } from "./namespaces.ts";

const partition = "cluster/east";
const options = { dryRun: false, fieldValidation: "Strict", warn: () => undefined } as const;
const found = (resource: string, namespace: string, name: string) =>
  ({ partition, resource, namespace, name }) as const;

let folder: string;
let store: ResourceStore;
let context: Context;

/** A context that reaches the store by way of something. */
function over(through: Partial<ResourceStore>): Context {
  const get = (target: ResourceStore, name: keyof ResourceStore): unknown => {
    const value = through[name] ?? target[name];
    return typeof value === "function" ? value.bind(target) : value;
  };
  return { ...context, store: new Proxy(store, { get: (target, name) => get(target, name as keyof ResourceStore) }) };
}

function target(kindName: string, namespace?: string): Parameters<typeof create>[1] {
  const kind = context.kinds.named("", kindName);
  if (kind === undefined) throw new Error(`no kind ${kindName}`);
  return { kind, version: "v1", namespace };
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-collector-"));
  store = await openSqliteStore({ path: join(folder, "store.db"), clock: systemClock, logger: silentLogger });
  context = {
    store,
    clock: systemClock,
    logger: silentLogger,
    validator: new Validator(),
    mergeTypes: new MergeTypes(),
    endpoint: "east",
    view: "cluster",
    partition,
    kinds: new ServedKinds(kinds, "cluster"),
    addresses: undefined,
    access: undefined,
    tokens: undefined,
  };
  await create(context, target("Namespace"), { metadata: { name: "shop" } }, options);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test("controllers go on after a store that did not answer, and miss nothing of that time", async () => {
  let away = true;
  const unlessAway = (): void => {
    if (away) throw new WeftError("Unavailable", "etcd does not answer");
  };
  const failing = over({
    list: async (...asked) => {
      unlessAway();
      return store.list(...asked);
    },
    get: async (key) => {
      unlessAway();
      return store.get(key);
    },
    watch: async function* (...asked) {
      unlessAway();
      for await (const event of store.watch(...asked)) {
        unlessAway();
        yield event;
      }
    },
  });
  const stop = new AbortController();
  const ended: unknown[] = [];
  const running = [new NamespaceController(failing), new Collector(failing)].map(async (each) =>
    runController(each, failing, stop.signal).catch((error: unknown) => ended.push(error)),
  );
  await systemClock.sleep(100);
  away = false;
  const accountOf = (namespace: string) => store.get(found("serviceaccounts", namespace, "default"));
  await vi.waitFor(async () => expect(await accountOf("shop")).toBeDefined(), 60_000);
  away = true;
  await create(context, target("Namespace"), { metadata: { name: "bank" } }, options);
  await systemClock.sleep(100);
  away = false;
  await vi.waitFor(async () => expect(await accountOf("bank")).toBeDefined(), 60_000);
  stop.abort();
  await Promise.all(running);
  expect(ended).toEqual([]);
});

test("who still clears a namespace that is gone leaves one that was made since, and what is in it", async () => {
  const make = (name: string) => create(context, target("ConfigMap", "shop"), { metadata: { name } }, options);
  const finish = async (controller: NamespaceController): Promise<void> => {
    await vi.waitFor(async () => {
      await controller.work("shop");
      expect(await store.get(found("namespaces", "", "shop"))).toBeUndefined();
    }, 60_000);
  };
  await make("old");
  await remove(context, target("Namespace"), "shop", { dryRun: false });
  // The one that leads no more has read that the namespace is on its way out, and goes on later.
  const [reached, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let late = false;
  const former = over({
    list: async (...asked) => {
      if (!late) {
        late = true;
        reached.resolve();
        await held.promise;
      }
      return store.list(...asked);
    },
  });
  const lagging = new NamespaceController(former).work("shop");
  await reached.promise;
  await finish(new NamespaceController(context));
  await create(context, target("Namespace"), { metadata: { name: "shop" } }, options);
  await make("new");
  held.resolve();
  await lagging;
  expect(await store.get(found("configmaps", "shop", "new"))).toBeDefined();
  const namespace = await store.get(found("namespaces", "", "shop"));
  expect(namespace?.object.metadata.deletionTimestamp).toBeUndefined();
});
