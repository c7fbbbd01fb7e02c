import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Engine } from "#incremental/engine.ts";
import type { SecretAccount } from "#model/credentials/readers.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import type { SecretRights } from "./secret-rights.ts";

/** What it needs. */
export interface SecretRefusalsOptions {
  readonly engine: Engine;
  readonly model: Model;
  readonly rights: Pick<SecretRights, "isRefused">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between two looks at one account; answers are kept for longer. */
const againMs = 5_000;

/**
 * Tells the model which service accounts may not read Secrets that objects ask their proxies to show, so that it is said of the
 * object: such a proxy shows nothing, and logs no reason.
 */
export class SecretRefusals implements Disposable {
  readonly #options: SecretRefusalsOptions;
  readonly #queue: WorkQueue;
  readonly #observation: Disposable;
  #wanted: ReadonlyMap<string, SecretAccount> = new Map();

  constructor(options: SecretRefusalsOptions) {
    this.#options = options;
    const { clock, engine, model, logger } = options;
    this.#queue = new WorkQueue({
      clock,
      work: (key) => this.#look(key),
      failed: (account, error) =>
        logger.warn("who may read Secrets is not known", { account, problem: messageOf(error) }),
    });
    const { accounts } = model.credentials;
    this.#observation = engine.observe(accounts, only, () => this.#want(accounts.get(only)));
    this.#want(accounts.get(only));
  }

  /** Asks until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  [Symbol.dispose](): void {
    this.#observation[Symbol.dispose]();
  }

  #want(wanted: ReadonlyMap<string, SecretAccount>): void {
    const before = this.#wanted;
    this.#wanted = wanted;
    for (const key of new Set([...before.keys(), ...wanted.keys()]))
      if (before.has(key) !== wanted.has(key)) this.#queue.add(key);
  }

  async #look(key: string): Promise<number | undefined> {
    const { model, rights } = this.#options;
    // The model must not change while it tells of a change.
    await Promise.resolve();
    const account = this.#wanted.get(key);
    const refused = account !== undefined && (await rights.isRefused(account));
    const stays = this.#wanted.has(key);
    model.inputs.setSecretRefusal(key, stays && refused);
    return stays ? againMs : undefined;
  }
}
