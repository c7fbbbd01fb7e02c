import { decodeJwt, errors, jwtVerify, type JWSHeaderParameters, type JWTPayload } from "jose";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { group, type User } from "../user.ts";
import type { Proven } from "./proof.ts";
import { RemoteKeys, type FetchText } from "./remote-keys.ts";

/** An OpenID Connect provider whose ID tokens are taken. As the `--oidc-*` flags of Kubernetes' API server. */
export interface OidcOptions {
  /** Its URL, `https://`: the `iss` of tokens, and where its configuration is found. */
  readonly issuer: string;
  /** The audience that tokens must have. */
  readonly clientId: string;
  /** The claim that names the user; `sub` unless told. */
  readonly usernameClaim?: string;
  /** Stands before users' names; `ISSUER#` unless told or the claim is `email`. `-` means nothing. */
  readonly usernamePrefix?: string;
  /** The claim that lists groups; no groups unless told. */
  readonly groupsClaim?: string;
  /** Stands before groups' names. */
  readonly groupsPrefix?: string;
  /** Authorities that the provider's certificate must come from, in PEM; the system's unless told. */
  readonly ca?: string;
}

/** Signatures that are taken; none that share a secret. */
const algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"];

function refused(problem: string, cause?: unknown): WeftError {
  return new WeftError("Unauthenticated", problem, cause);
}

/**
 * Takes ID tokens of one provider (OpenID Connect Core 1.0, 2). Its keys are fetched when they are needed and kept; while they
 * cannot be had, its tokens are refused.
 */
export class OidcIssuer {
  readonly #options: OidcOptions;
  readonly #keys: RemoteKeys;
  readonly #clock: Clock;

  /** @param fetchText how documents are fetched. @throws WeftError `InvalidArgument` for an issuer that is no https URL. */
  constructor(options: OidcOptions, fetchText: FetchText, clock: Clock) {
    if (!options.issuer.startsWith("https://") || URL.parse(options.issuer) === null) {
      throw new WeftError("InvalidArgument", `the OIDC issuer "${options.issuer}" must be an https:// URL`);
    }
    this.#options = options;
    this.#clock = clock;
    this.#keys = new RemoteKeys(options.issuer, fetchText, clock);
  }

  /** Whether a token says that it is of this provider; nothing of it is believed yet. */
  claims(token: string): boolean {
    try {
      return decodeJwt(token).iss === this.#options.issuer;
    } catch {
      return false;
    }
  }

  /** The user of a token, and how long it is good. @throws WeftError `Unauthenticated`. */
  async verify(token: string): Promise<Proven> {
    const { issuer, clientId } = this.#options;
    const options = {
      algorithms,
      issuer,
      audience: clientId,
      requiredClaims: ["exp"],
      currentDate: new Date(this.#clock.now()),
    };
    try {
      const { payload } = await jwtVerify(token, (header: JWSHeaderParameters) => this.#keys.find(header), options);
      return { user: this.#userOf(payload), proof: { until: (payload.exp ?? 0) * 1000 } };
    } catch (error) {
      if (error instanceof errors.JOSEError) throw refused("the token is not valid", error);
      throw error;
    }
  }

  #userOf(payload: JWTPayload): User {
    const { issuer, usernameClaim = "sub", usernamePrefix, groupsClaim, groupsPrefix = "" } = this.#options;
    const name = payload[usernameClaim];
    if (typeof name !== "string" || name === "") throw refused(`the token has no text in its claim ${usernameClaim}`);
    if (usernameClaim === "email" && payload["email_verified"] === false) {
      throw refused("the email of the token is not verified");
    }
    const prefix = usernamePrefix ?? (usernameClaim === "email" ? "" : `${issuer}#`);
    const listed = groupsClaim === undefined ? [] : [payload[groupsClaim] ?? []].flat();
    if (!listed.every((one) => typeof one === "string")) {
      throw refused(`the token's claim ${groupsClaim} is not a list of texts`);
    }
    const groups = listed.map((one) => `${groupsPrefix}${one}`);
    const user = { name: `${prefix === "-" ? "" : prefix}${name}`, groups: [...groups, group.authenticated] };
    // A provider may name people, never what Kubernetes keeps for itself, such as `system:masters`.
    const reserved = [user.name, ...groups].find((text) => text.startsWith("system:"));
    if (reserved !== undefined)
      throw refused(`the token names "${reserved}": names that begin with system: are reserved`);
    return user;
  }
}
