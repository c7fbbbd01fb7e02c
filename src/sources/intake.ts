import { type BatchOptions, BatchSchedule } from "#base/batch.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Engine } from "#incremental/engine.ts";

/** Something that is to enter the model. */
export interface Entry {
  /** Called inside a change of the engine, which other entries share. */
  enter(): void;
  /** Called when that change is over. */
  entered(): void;
}

/** What an intake needs. */
export interface IntakeOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether proxies are still to be told of earlier changes. */
  readonly busy?: () => boolean;
  readonly batch?: Partial<BatchOptions>;
}

const defaultBatch: BatchOptions = { quietMs: 20, longestMs: 200, busyMs: 3000 };

/**
 * The way of changes into the model: one that comes after quiet enters at once, those of a storm in batches. A batch
 * costs translation and proxies as much as its largest change: what many changes touch is looked at once, and proxies,
 * which have all been told of the batch before, stand at one point and share what is sent.
 */
export class Intake implements Disposable {
  readonly #options: IntakeOptions;
  readonly #batches: BatchSchedule;
  #entries: Entry[] = [];

  constructor(options: IntakeOptions) {
    const { clock, busy, batch } = options;
    this.#options = options;
    const batching = { ...defaultBatch, ...(busy && { busy }), ...batch };
    this.#batches = new BatchSchedule(batching, clock, () => this.#take());
  }

  /** Takes entries in, together, now or with others. */
  add(...entries: readonly Entry[]): void {
    for (const entry of entries) this.#entries.push(entry);
    this.#batches.changed();
  }

  /** Whether some wait to be taken in. */
  get waits(): boolean {
    return this.#entries.length > 0;
  }

  [Symbol.dispose](): void {
    this.#batches[Symbol.dispose]();
  }

  #take(): void {
    const entries = this.#entries;
    this.#entries = [];
    this.#guarded(() =>
      this.#options.engine.change(() => {
        for (const entry of entries) this.#guarded(() => entry.enter());
      }),
    );
    for (const entry of entries) this.#guarded(() => entry.entered());
  }

  /** What one entry breaks is not the others' fault, nor that of the API that told of it. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (fault) {
      this.#options.logger.error("a change could not be taken in", { error: messageOf(fault) });
    }
  }
}
