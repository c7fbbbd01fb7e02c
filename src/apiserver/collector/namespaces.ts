import { codeOf } from "#base/errors.ts";
import { resourceName, type Kind } from "#api/kind.ts";
import { valueAt } from "#api/columns.ts";
import { isMemberKind } from "#api/member-api.ts";
import type { Stored } from "#store/port.ts";
import { namespaceFinalizer } from "../admission/namespace.ts";
import { keyOf, partitionOf, type Context } from "../context.ts";
import { create } from "../registry/create.ts";
import { remove } from "../registry/delete.ts";
import { ordered } from "../registry/target.ts";
import { mayGo } from "../registry/update.ts";
import type { Controller } from "./controller.ts";
import type { Observed } from "./follow.ts";

/** Milliseconds after which a namespace whose objects take their time is looked at again. */
const lookAgainMs = 500;

/** The account that Pods of a namespace have unless they name another. */
const defaultAccount = "default";

/**
 * Sees to the namespaces of one partition: a new one gets its default account, a deleted one loses its objects and then
 * goes itself.
 */
export class NamespaceController implements Controller {
  readonly name = "namespaces";
  readonly resources = ["namespaces", "serviceaccounts"];
  readonly #context: Context;
  readonly #keptByOthers: ((namespace: string) => Promise<"kept" | "left" | "unknown">) | undefined;

  /**
   * @param keptByOthers whether clusters keep a namespace beside this partition, and so what is in it of the kinds that they serve too;
   * nobody does unless told.
   */
  constructor(context: Context, keptByOthers?: (namespace: string) => Promise<"kept" | "left" | "unknown">) {
    this.#context = context;
    this.#keptByOthers = keptByOthers;
  }

  due({ kind, stored: { key } }: Observed): readonly string[] {
    if (key.resource === "namespaces") return [key.name];
    return kind === "delete" ? [key.namespace] : [];
  }

  async work(name: string): Promise<number | void> {
    const kind = this.#context.kinds.named("", "Namespace");
    if (kind === undefined) return undefined;
    const stored = await this.#context.store.get(keyOf(this.#context, kind, undefined, name));
    if (stored === undefined) return undefined;
    if (stored.object.metadata.deletionTimestamp === undefined) return this.#ensureAccount(name);
    if (await this.#empty(stored)) return this.#finalize(kind, stored);
    return lookAgainMs;
  }

  async #ensureAccount(namespace: string): Promise<void> {
    const kind = this.#context.kinds.named("", "ServiceAccount");
    if (kind === undefined) return;
    const key = { partition: this.#context.partition, resource: resourceName(kind), namespace, name: defaultAccount };
    if ((await this.#context.store.get(key)) !== undefined) return;
    const target = { kind, version: kind.versions[0].name, namespace };
    const options = { dryRun: false, fieldValidation: "Strict", warn: () => undefined } as const;
    await create(this.#context, target, { metadata: { name: defaultAccount } }, options).catch((error: unknown) => {
      if (codeOf(error) !== "AlreadyExists") throw error;
    });
  }

  /**
   * Deletes what is in a namespace that is on its way out; tells whether nothing was left. Another server may have done so already,
   * and somebody made a namespace of that name since: what is in that one stays. So does what clusters keep, which is nothing that the
   * namespace waits for; while one cannot be asked it waits.
   */
  async #empty({ key, object: { metadata } }: Stored): Promise<boolean> {
    const context = this.#context;
    const namespace = metadata.name;
    let left = 0;
    for (const kind of context.kinds.all) {
      if (!kind.namespaced || partitionOf(context, kind) !== context.partition) continue;
      const selection = { partition: context.partition, resource: resourceName(kind), namespace };
      const { items } = await context.store.list(selection);
      if (items.length === 0) continue;
      const kept = isMemberKind(kind) ? await this.#keptByOthers?.(namespace) : undefined;
      if (kept === "kept") continue;
      left += items.length;
      if (kept === "unknown") continue;
      // What was there while this namespace still was is in this one: one of its name comes only after it.
      if ((await context.store.get(key))?.object.metadata.uid !== metadata.uid) return false;
      await this.#remove(kind, namespace, items);
    }
    return left === 0;
  }

  async #remove(kind: Kind, namespace: string, items: readonly Stored[]): Promise<void> {
    const target = { kind, version: kind.versions[0].name, namespace };
    for (const { object } of items) {
      const { name, uid, deletionTimestamp } = object.metadata;
      if (deletionTimestamp !== undefined) continue;
      const options = { dryRun: false, uid, propagation: "Background" } as const;
      await remove(this.#context, target, name, options).catch((error: unknown) => {
        // It is gone, and so it is where another has its name.
        const code = codeOf(error);
        if (code !== "NotFound" && code !== "Conflict") throw error;
      });
    }
  }

  /** Takes the finalizer that stood for the objects; other finalizers may still keep the namespace. */
  async #finalize(kind: Kind, { key, object, revision }: Stored): Promise<void> {
    const expect = { kind: "revision", revision } as const;
    const finalizers = valueAt(object, "spec", "finalizers");
    const others = Array.isArray(finalizers) ? finalizers.filter((finalizer) => finalizer !== namespaceFinalizer) : [];
    const next = ordered({ ...object, spec: others.length === 0 ? {} : { finalizers: others } });
    if (mayGo(kind, next)) await this.#context.store.delete(key, expect);
    else if (Array.isArray(finalizers) && others.length < finalizers.length)
      await this.#context.store.put(key, next, expect);
  }
}
