import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Authenticator } from "./authentication/authenticator.ts";
import type { ClientCertificates } from "./authentication/client-certificates.ts";
import type { OidcOptions } from "./authentication/oidc.ts";
import type { Proof } from "./authentication/proof.ts";
import type { Attributes } from "./authorization/attributes.ts";
import type { Authorizer } from "./authorization/authorizer.ts";
import type { LimitOptions, Limits } from "./limits.ts";
import type { Authority } from "./pki/authority.ts";
import type { Revocations } from "./pki/revocations.ts";
import type { User } from "./user.ts";

/** Who may do what at an endpoint that does not trust whoever reaches it. */
export interface Access {
  readonly authority: Authority;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly watches: Watches;
  readonly limits: Limits;
  readonly certificates: ClientCertificates;
  readonly revocations: Revocations;
  /** Names and addresses of the server's certificate, beside this machine's own. */
  readonly serverNames: readonly string[];
}

/** What an endpoint is told to authenticate with. */
export interface AccessOptions {
  /** Names and addresses by which clients reach the server, beside those it listens on. */
  readonly serverNames?: readonly string[];
  /** Take in who shows no credential, as `system:anonymous`. */
  readonly anonymous?: boolean;
  /** Providers whose ID tokens are taken. */
  readonly oidc?: readonly OidcOptions[];
  /** What one user may ask at a time. */
  readonly limits?: LimitOptions;
}

/** Milliseconds between looks at what clients have shown: as long may what is over or revoked go on. */
export const sweepEveryMs = 1_000;

/** Ends what goes on by credentials that are not good any more. */
export async function sweep(
  { certificates, revocations, watches }: Access,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  try {
    revocations.refresh();
  } catch (error) {
    logger.error("revocations cannot be read; those that are known go on", { error: messageOf(error) });
  }
  certificates.sweep();
  await watches.sweep(clock.now());
}

interface Watch {
  readonly user: User;
  readonly proof: Proof;
  readonly attributes: Attributes;
  readonly end: AbortController;
}

/** Requests without an end of their own, which are cut when the right to them is withdrawn or what was shown for them ends. */
export class Watches {
  readonly #authorizer: Pick<Authorizer, "authorize">;
  readonly #open = new Set<Watch>();

  constructor(authorizer: Pick<Authorizer, "authorize">) {
    this.#authorizer = authorizer;
  }

  /** Takes in a request; its signal aborts when its user may not go on. Disposed of when it ends. */
  add(user: User, proof: Proof, attributes: Attributes): Disposable & { readonly signal: AbortSignal } {
    const watch = { user, proof, attributes, end: new AbortController() };
    this.#open.add(watch);
    return { signal: watch.end.signal, [Symbol.dispose]: () => this.#open.delete(watch) };
  }

  /** Looks again at what was shown for them. @param now milliseconds since the epoch. */
  async sweep(now: number): Promise<void> {
    for (const { proof, end } of this.#open) {
      if (now > proof.until || (await proof.holds?.()) === false) end.abort();
    }
  }

  /** Looks again at all of them: roles have changed, or may have. */
  async check(): Promise<void> {
    for (const watch of this.#open) {
      try {
        const { allowed } = await this.#authorizer.authorize(watch.user, watch.attributes);
        if (!allowed) watch.end.abort();
      } catch (error) {
        // Nobody loses a watch because nobody can be asked.
        if (codeOf(error) !== "Unavailable") throw error;
      }
    }
  }
}
