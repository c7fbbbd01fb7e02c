import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { ServiceAccountName } from "./caller.ts";
import type { TokenApi } from "./issuer.ts";

/** Milliseconds that what a cluster said counts, and accounts that are remembered at most. */
const [answeredMs, mostRemembered] = [10_000, 20_000];

interface Answer {
  readonly exists: boolean;
  readonly at: number;
}

/** Which service accounts there are, as the APIs of the mesh's clusters say. */
export class Accounts {
  readonly #clusters: () => ReadonlyMap<string, TokenApi>;
  readonly #clock: Clock;
  /** By cluster and account. */
  readonly #answers = new Map<string, Answer>();

  constructor(clusters: () => ReadonlyMap<string, TokenApi>, clock: Clock) {
    this.#clusters = clusters;
    this.#clock = clock;
  }

  /**
   * Refuses who was an account that no cluster has any more. A cluster that does not answer has those that it had.
   * @throws WeftError `Unauthenticated`, or `Unavailable` when a cluster that was never asked does not answer.
   */
  async check(account: ServiceAccountName): Promise<void> {
    let fault: unknown;
    for (const [cluster, api] of this.#clusters()) {
      try {
        if (await this.#exists(cluster, api, account)) return;
      } catch (error) {
        fault = error;
      }
    }
    const { namespace, name } = account;
    if (fault === undefined) {
      throw new WeftError("Unauthenticated", `no cluster of the mesh has the service account ${namespace}/${name}`);
    }
    const why = `whether there is a service account ${namespace}/${name} cannot be found out: ${messageOf(fault)}`;
    throw new WeftError("Unavailable", why, fault);
  }

  async #exists(cluster: string, api: TokenApi, { namespace, name }: ServiceAccountName): Promise<boolean> {
    const key = `${cluster}/${namespace}/${name}`;
    const known = this.#answers.get(key);
    if (known && this.#clock.monotonic() - known.at < answeredMs) return known.exists;
    try {
      await api.json({ method: "GET", path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}` });
      return this.#keep(key, true);
    } catch (fault) {
      if (codeOf(fault) === "NotFound") return this.#keep(key, false);
      if (known) return known.exists;
      throw fault;
    }
  }

  #keep(key: string, exists: boolean): boolean {
    this.#answers.delete(key);
    this.#answers.set(key, { exists, at: this.#clock.monotonic() });
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > mostRemembered && oldest !== undefined) this.#answers.delete(oldest);
    return exists;
  }
}
