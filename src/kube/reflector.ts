import type { ResourceObject } from "#api/meta.ts";
import { Backoff } from "#base/backoff.ts";
import type { BackoffOptions } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { KindClient, ObjectName, Selection } from "./client.ts";

/**
 * What a reflector tells. `sync` is the complete state at one revision: what it does not hold is gone. It comes
 * first, and again whenever changes may have been missed; then each object that vanished is told by a `delete`
 * before it.
 */
export type Change<T extends ResourceObject = ResourceObject> =
  | { readonly kind: "sync"; readonly objects: readonly T[] }
  | { readonly kind: "put"; readonly object: T }
  | { readonly kind: "delete"; readonly object: T };

/** What a reflector follows and how. */
export interface ReflectorOptions<T extends ResourceObject> {
  readonly client: KindClient<T>;
  /** All objects of the kind unless told. */
  readonly selection?: Selection;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Drops what nobody here reads, before an object is kept or told, so that memory stays small. */
  readonly trim?: (object: T) => T;
  /** Waits between attempts; 100 ms to 10 s unless told. */
  readonly backoff?: BackoffOptions;
  /** Called each time that the objects cannot be followed, and with undefined when they are again. */
  readonly state?: (failure: unknown) => void;
  /** Seconds after which a watch is renewed; 300 unless told. Drawn up to twice as long. */
  readonly watchSeconds?: number;
}

/** Attempts to resume a watch before the whole state is read anew. */
const maxResumes = 5;
/** A watch that lasted so long was a success, even when it told nothing. */
const healthyMs = 5_000;

/** `namespace/name`; the namespace is empty for cluster-wide objects. */
export function keyOf({ namespace, name }: ObjectName): string {
  return `${namespace ?? ""}/${name}`;
}

/**
 * Follows the objects of a selection: lists them, then watches, for as long as the signal lasts. A watch that ends is
 * resumed from the last revision seen; when that is no longer known, the state is listed again. While the server is
 * away nothing is told: the last known state stands.
 */
export class Reflector<T extends ResourceObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #emit: (change: Change<T>) => void;
  readonly #backoff: Backoff;
  readonly #logger: Logger;
  readonly #known = new Map<string, T>();
  /** Resume from here; undefined when the state must be listed. */
  #version: string | undefined;
  #failing = false;

  constructor(options: ReflectorOptions<T>, emit: (change: Change<T>) => void) {
    this.#options = options;
    this.#emit = emit;
    this.#backoff = new Backoff(options.backoff ?? { initialMs: 100, maxMs: 10_000 });
    this.#logger = options.logger.with({ watching: options.client.kind.plural });
  }

  /** Runs until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#version ??= await this.#list(signal);
        if (await this.#watch(this.#version, signal)) this.#backoff.reset();
        else await this.#pause(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error);
        await this.#pause(signal);
      }
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    // An abort ends the wait and then the loop.
    await this.#options.clock.sleep(this.#backoff.next(), signal).catch(() => undefined);
  }

  #failed(error: unknown): void {
    const code = codeOf(error);
    if (code === "Gone") this.#logger.info("the watched revision is gone: listing again");
    else if (!this.#failing)
      this.#logger.warn("cannot follow the API server; trying again", { error: messageOf(error) });
    if (code !== "Gone") this.#options.state?.(error);
    this.#failing = code !== "Gone" || this.#failing;
    const resumable = error instanceof WeftError && code !== "Gone" && code !== "InvalidArgument";
    if (!resumable || this.#backoff.failures >= maxResumes) this.#version = undefined;
  }

  #works(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#logger.info("following the API server again");
    this.#options.state?.(undefined);
  }

  #trim(object: T): T {
    return this.#options.trim?.(object) ?? object;
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { client, selection } = this.#options;
    const { items, resourceVersion } = await client.list(selection, signal);
    this.#works();
    const objects = items.map((item) => this.#trim(item));
    const now = new Map(objects.map((object) => [keyOf(object.metadata), object]));
    const vanished = [...this.#known].filter(([key, { metadata }]) => now.get(key)?.metadata.uid !== metadata.uid);
    this.#known.clear();
    for (const [key, object] of now) this.#known.set(key, object);
    for (const [, object] of vanished) this.#emit({ kind: "delete", object });
    this.#emit({ kind: "sync", objects });
    return resourceVersion;
  }

  /** Watches until the server ends it; whether that was worth an immediate next attempt. */
  async #watch(resourceVersion: string, signal: AbortSignal): Promise<boolean> {
    const { client, selection, clock, watchSeconds = 300 } = this.#options;
    const timeoutSeconds = Math.ceil(watchSeconds * (1 + Math.random()));
    const silent = new AbortController();
    // The server should have ended the watch by then: the connection is dead.
    using _guard = clock.after((timeoutSeconds + 30) * 1000, () => silent.abort());
    const from = clock.monotonic();
    const until = AbortSignal.any([signal, silent.signal]);
    const asked = { ...selection, resourceVersion, timeoutSeconds, opened: () => this.#works() };
    for await (const event of client.watch(asked, until)) {
      this.#backoff.reset();
      if (event.kind === "bookmark") this.#version = event.resourceVersion;
      else this.#tell(event);
    }
    return clock.monotonic() - from > healthyMs || this.#version !== resourceVersion;
  }

  #tell(event: { readonly kind: "put" | "delete"; readonly object: T }): void {
    const object = this.#trim(event.object);
    const key = keyOf(object.metadata);
    if (event.kind === "put") this.#known.set(key, object);
    else this.#known.delete(key);
    this.#emit({ kind: event.kind, object });
    this.#version = event.object.metadata.resourceVersion;
  }
}
