import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { messageOf } from "#base/errors.ts";
import type { TokenApi } from "#identity/issuer.ts";
import type { SecretAccount } from "#model/credentials/readers.ts";

/** Kubernetes' `authorization.k8s.io/v1.SubjectAccessReview`, as far as its answer is read. */
interface Review {
  readonly status?: { readonly allowed?: boolean };
}

interface Answer {
  readonly allowed: boolean;
  /** Whether the cluster has ever said so. */
  readonly said: boolean;
  /** Until when it is not asked again. */
  readonly until: number;
}

/** Milliseconds that an answer counts, the shorter where somebody may be waiting for the right, and that a silent cluster is let be. */
const [allowedMs, refusedMs, failedMs] = [30_000, 15_000, 10_000];
/** Accounts that are remembered; those asked for longest ago go first. */
const mostRemembered = 20_000;

/**
 * Which service accounts may read the Secrets of their namespace, as their cluster's API says (SubjectAccessReview): as in
 * Istio, credentials are served to proxies of these alone.
 */
export class SecretRights {
  readonly #apis: () => ReadonlyMap<string, TokenApi>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #answers = new Map<string, Answer>();
  readonly #asking = new Map<string, Promise<Answer>>();

  /** @param apis of the member clusters, by their names. */
  constructor(apis: () => ReadonlyMap<string, TokenApi>, clock: Clock, logger: Logger) {
    this.#apis = apis;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Whether an account may read its namespace's Secrets; while its cluster does not answer, what it said last, and no before. */
  async mayRead(account: SecretAccount): Promise<boolean> {
    return (await this.#answer(account)).allowed;
  }

  /** Whether an account's cluster says that it may not read its namespace's Secrets. */
  async isRefused(account: SecretAccount): Promise<boolean> {
    const { allowed, said } = await this.#answer(account);
    return said && !allowed;
  }

  async #answer(account: SecretAccount): Promise<Answer> {
    const { cluster, namespace, serviceAccount } = account;
    const key = `${cluster}/${namespace}/${serviceAccount}`;
    const known = this.#answers.get(key);
    if (known && this.#clock.monotonic() < known.until) return known;
    const asking = this.#asking.get(key) ?? this.#ask(key, account).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #ask(key: string, { cluster, namespace, serviceAccount }: SecretAccount): Promise<Answer> {
    const user = `system:serviceaccount:${namespace}:${serviceAccount}`;
    const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
    const spec = { user, groups, resourceAttributes: { namespace, verb: "list", resource: "secrets" } };
    const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
    const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    try {
      const { status } = ((await this.#apis().get(cluster)?.json({ method: "POST", path, body })) ?? {}) as Review;
      const allowed = status?.allowed === true;
      return this.#keep(key, { allowed, said: status !== undefined }, allowed ? allowedMs : refusedMs);
    } catch (fault) {
      const fields = { cluster, account: `${namespace}/${serviceAccount}`, problem: messageOf(fault) };
      this.#logger.warn("a cluster does not say who may read its Secrets", fields);
      return this.#keep(key, this.#answers.get(key) ?? { allowed: false, said: false }, failedMs);
    }
  }

  #keep(key: string, { allowed, said }: Omit<Answer, "until">, forMs: number): Answer {
    const answer = { allowed, said, until: this.#clock.monotonic() + forMs };
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > mostRemembered && oldest !== undefined) this.#answers.delete(oldest);
    return answer;
  }
}
