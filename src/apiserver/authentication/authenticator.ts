import type { IncomingMessage } from "node:http";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { SparingLog } from "#base/sparing-log.ts";
import { ApiError } from "../status.ts";
import type { ServiceAccountTokens, VerifiedToken } from "../tokens/service-account-tokens.ts";
import { anonymous, localAdministrator } from "../user.ts";
import type { ClientCertificates } from "./client-certificates.ts";
import type { OidcIssuer } from "./oidc.ts";
import { endless, type Proven } from "./proof.ts";

/** What an authenticator knows credentials by. */
export interface AuthenticatorOptions {
  readonly certificates: ClientCertificates;
  readonly tokens: ServiceAccountTokens | undefined;
  readonly oidc: readonly OidcIssuer[];
  /** Whether who shows no credential is taken in as `system:anonymous`. */
  readonly anonymous: boolean;
  /** Told of refusals. */
  readonly refusals: SparingLog;
}

/** Says who makes a request. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * The user of a request, and for how long they are. A credential that is shown is always checked: first the connection's certificate, then the bearer
   * token. Who shows none is the local administrator on a Unix socket, which only its owner can open, and else nobody.
   * @param local the request came in over the endpoint's Unix socket.
   * @throws ApiError `Unauthorized`, which tells the client nothing more; the reason is logged.
   */
  async authenticate(request: IncomingMessage, local: boolean): Promise<Proven> {
    // A request that was broken off has no connection any more.
    const { remoteAddress } = request.socket;
    try {
      const proven = await this.#proven(request);
      if (proven !== undefined) return proven;
      if (local) return { user: localAdministrator, proof: endless };
      if (this.#options.anonymous) return { user: anonymous, proof: endless };
      throw new WeftError("Unauthenticated", "no credential was shown");
    } catch (error) {
      if (codeOf(error) !== "Unauthenticated") throw error;
      this.#options.refusals.say("info", "request refused", { remoteAddress, reason: messageOf(error) });
      throw new ApiError("Unauthorized", "Unauthorized");
    }
  }

  /**
   * Whose token it is.
   * @param audiences the token must have one of them; those of this API unless told.
   * @throws WeftError `Unauthenticated`.
   */
  async authenticateToken(token: string, audiences?: readonly string[]): Promise<VerifiedToken> {
    const { tokens, oidc } = this.#options;
    if (tokens?.claims(token)) return tokens.verify(token, audiences ?? tokens.apiAudiences);
    for (const issuer of oidc) {
      if (issuer.claims(token)) return { ...(await issuer.verify(token)), audiences: [] };
    }
    throw new WeftError("Unauthenticated", "the token is of no issuer that is known here");
  }

  async #proven(request: IncomingMessage): Promise<Proven | undefined> {
    const { authorization } = request.headers;
    // It is for this server, whether it is looked at or not: what the request is passed on to must not get it.
    delete request.headers.authorization;
    const byCertificate = this.#options.certificates.userOf(request);
    if (byCertificate !== undefined) return byCertificate;
    if (authorization === undefined) return undefined;
    const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
    if (token === undefined) throw new WeftError("Unauthenticated", "the authorization header holds no bearer token");
    const { user, proof } = await this.authenticateToken(token);
    return { user, proof };
  }
}
