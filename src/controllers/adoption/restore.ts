import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { apiServiceKind, definitionKind } from "../aggregation/installation.ts";
import { type Definition, type Exported, kindOf, labelOf, writtenOf } from "./exported.ts";

const lookMs = 200;
const patienceMs = 120_000;

/** The definitions and objects of a cluster, taken away and put back. Everything may be done again. */
export class OwnObjects {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #kinds: readonly Kind[];

  constructor(client: Client, kinds: readonly Kind[], clock: Clock) {
    this.#client = client;
    this.#kinds = kinds;
    this.#clock = clock;
  }

  /** Deletes definitions with all their objects, and waits until the cluster serves their groups no more. */
  async remove(definitions: readonly Definition[]): Promise<void> {
    const all = this.#client.of(definitionKind);
    for (const { metadata } of definitions) {
      await all.delete({ name: metadata.name }, { uid: metadata.uid }).catch((error: unknown) => {
        if (codeOf(error) !== "NotFound") throw error;
      });
    }
    const names = new Set(definitions.map(({ metadata }) => metadata.name));
    const groups = new Set(definitions.map(({ spec }) => spec.group));
    await this.#until("its definitions of Istio's kinds to go", async () => {
      const left = (await all.list()).items.filter(({ metadata }) => names.has(metadata.name));
      const { items } = await this.#client.of(apiServiceKind).list();
      // The cluster makes these for definitions, and removes them after those.
      const served = items.filter((each) => groups.has(groupOfService(each)) && isOfDefinition(each));
      return [...left, ...served].map(({ metadata }) => metadata.name);
    });
  }

  /** Makes definitions and objects that are not there, and reads all of them again. */
  async restore({ definitions, objects }: Exported): Promise<void> {
    const all = this.#client.of<Definition>(definitionKind);
    for (const each of definitions) {
      const { metadata, spec } = writtenOf(each) as Definition;
      if (!(await all.find({ name: metadata.name }))) await all.create({ metadata, spec });
    }
    await this.#until("its definitions of Istio's kinds to be served", async () => {
      const { items } = await all.list();
      const waiting = definitions.filter(
        ({ metadata }) => !isServed(items.find((one) => one.metadata.name === metadata.name)),
      );
      return waiting.map(({ metadata }) => metadata.name);
    });
    let left = objects;
    await this.#until("its Istio objects to be back", async () => {
      const failed: { readonly object: ResourceObject; readonly why: string }[] = [];
      for (const object of left) {
        const why = await this.#put(object, definitions);
        if (why !== undefined) failed.push({ object, why });
      }
      left = failed.map(({ object }) => object);
      return failed.map(({ object, why }) => `${labelOf(object)} (${why})`);
    });
  }

  /** Makes an object that is not there; tells why it is not. */
  async #put(object: ResourceObject, definitions: readonly Definition[]): Promise<string | undefined> {
    const definition = definitions.find(
      ({ spec }) => spec.names.kind === object.kind && object.apiVersion.startsWith(`${spec.group}/`),
    );
    if (!definition) return `there is no definition of ${object.kind}`;
    const { apiVersion: _version, kind: _kind, ...draft } = writtenOf(object);
    try {
      await this.#client.of(kindOf(definition, this.#kinds)).create(draft);
      return undefined;
    } catch (error) {
      return codeOf(error) === "AlreadyExists" ? undefined : messageOf(error);
    }
  }

  async #until(what: string, missing: () => Promise<readonly string[]>): Promise<void> {
    const until = this.#clock.monotonic() + patienceMs;
    for (;;) {
      const names = await missing();
      if (names.length === 0) return;
      if (this.#clock.monotonic() > until) {
        throw new WeftError(
          "DeadlineExceeded",
          `the cluster was waited for: ${what}; missing are ${names.slice(0, 5).join(", ")}`,
        );
      }
      await this.#clock.sleep(lookMs);
    }
  }
}

function isServed(definition: Definition | undefined): boolean {
  return (
    definition?.status?.conditions?.some(({ type, status }) => type === "Established" && status === "True") === true
  );
}

function groupOfService(object: ResourceObject): string {
  return (object as ResourceObject & { readonly spec: { readonly group: string } }).spec.group;
}

function isOfDefinition(object: ResourceObject): boolean {
  const { service } = (object as ResourceObject & { readonly spec: { readonly service?: object | null } }).spec;
  return service === undefined || service === null;
}
