import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from "jose";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Clock } from "#base/clock.ts";
import { serviceAccountOf, type TokenHolder } from "./caller.ts";

/** The API of a cluster, as far as tokens need it. */
export interface TokenApi {
  /**
   * Sends a request and returns the JSON of its answer.
   * @throws WeftError `Unavailable` or another code of the API's answer.
   */
  json(request: {
    readonly method: "GET" | "POST";
    readonly path: string;
    readonly body?: unknown;
    readonly accept?: string;
  }): Promise<unknown>;
}

/** Where Kubernetes' API publishes how its tokens are checked (Service Account Issuer Discovery). */
const configurationPath = "/.well-known/openid-configuration";
const keysPath = "/openid/v1/jwks";
/** The type of key sets (RFC 7517 8.5.1), without which Kubernetes does not send any. */
const accept = "application/jwk-set+json, application/json";

/** Milliseconds for which keys are used without a look whether there are others. */
const freshMs = 15 * 60_000;
/** Milliseconds between two fetches at least, whatever tokens come. */
const betweenMs = 5_000;
/** Seconds by which clocks may differ. */
const skewSeconds = 10;
/** What signs tokens; never what needs no key, nor a shared one. */
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

interface Keys {
  readonly issuer: string;
  readonly key: JWTVerifyGetKey;
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function nameAndUid(value: unknown): { readonly name: string; readonly uid: string } | undefined {
  const [name, uid] = [member(value, "name"), member(value, "uid")];
  return typeof name === "string" && typeof uid === "string" ? { name, uid } : undefined;
}

/** Why a token is refused, in words that say nothing of what is in it. */
function reasonOf(fault: unknown): string {
  if (fault instanceof errors.JWTExpired) return "has expired";
  if (fault instanceof errors.JWTClaimValidationFailed) return `is not accepted: its claim ${fault.claim}`;
  if (fault instanceof errors.JWSSignatureVerificationFailed) return "is not signed by the cluster's issuer";
  if (fault instanceof errors.JWKSNoMatchingKey) return "is signed with a key that the cluster's issuer does not have";
  if (fault instanceof errors.JOSEAlgNotAllowed) return "is signed by an algorithm that is not taken";
  return "is no valid JSON Web Token";
}

function refusal(fault: unknown): WeftError {
  return fault instanceof WeftError ? fault : new WeftError("Unauthenticated", `the token ${reasonOf(fault)}`);
}

function holderOf(payload: JWTPayload): TokenHolder {
  const account = serviceAccountOf(payload.sub);
  if (!account) throw new WeftError("Unauthenticated", "the token is not that of a service account");
  const claims = payload["kubernetes.io"];
  const [claimed, pod, node] = [member(claims, "serviceaccount"), member(claims, "pod"), member(claims, "node")];
  const contradicts =
    (member(claims, "namespace") ?? account.namespace) !== account.namespace ||
    (member(claimed, "name") ?? account.name) !== account.name;
  if (contradicts) throw new WeftError("Unauthenticated", "the token's claims contradict its subject");
  const [boundPod, boundNode] = [nameAndUid(pod), nameAndUid(node)];
  return {
    namespace: account.namespace,
    serviceAccount: account.name,
    ...(boundPod && { pod: boundPod }),
    ...(boundNode && { node: boundNode.name }),
    ...(payload.exp !== undefined && { until: (payload.exp + skewSeconds) * 1000 }),
  };
}

/** Checks tokens of one cluster's service accounts by the keys that its API publishes. */
export class Issuer {
  readonly #api: TokenApi;
  readonly #clock: Clock;
  readonly #audience: string;
  #keys: Keys | undefined;
  #fetching: Promise<Keys> | undefined;
  /** When keys were asked for last, and what came of it when they did not come. */
  #askedAt = -Infinity;
  #failed: WeftError | undefined;

  /** @param audience that tokens must be for. */
  constructor(api: TokenApi, audience: string, clock: Clock) {
    this.#api = api;
    this.#audience = audience;
    this.#clock = clock;
  }

  /** The `iss` of the cluster's tokens. @throws WeftError `Unavailable` when that cannot be found out now. */
  async name(): Promise<string> {
    return (await this.#current()).issuer;
  }

  /**
   * Checks a token.
   * @throws WeftError `Unauthenticated` with why it is refused, `Unavailable` when that cannot be found out now.
   */
  async check(token: string): Promise<TokenHolder> {
    const keys = await this.#current();
    try {
      return await this.#checkBy(keys, token);
    } catch (fault) {
      const isNewKey = fault instanceof errors.JWKSNoMatchingKey && this.#mayAsk();
      if (!isNewKey) throw refusal(fault);
    }
    try {
      return await this.#checkBy(await this.#fetch(), token);
    } catch (fault) {
      throw refusal(fault);
    }
  }

  async #checkBy({ issuer, key }: Keys, token: string): Promise<TokenHolder> {
    const { payload } = await jwtVerify(token, key, {
      issuer,
      audience: this.#audience,
      algorithms,
      clockTolerance: skewSeconds,
      currentDate: new Date(this.#clock.now()),
      requiredClaims: ["exp", "sub"],
    });
    return holderOf(payload);
  }

  /** The keys; those that are old are used once more while others are fetched. */
  async #current(): Promise<Keys> {
    const known = this.#keys;
    if (!known) {
      if (this.#failed && !this.#mayAsk()) throw this.#failed;
      return this.#fetch();
    }
    if (this.#clock.monotonic() - this.#askedAt > freshMs) void this.#fetch().catch(() => undefined);
    return known;
  }

  #mayAsk(): boolean {
    return this.#fetching !== undefined || this.#clock.monotonic() - this.#askedAt >= betweenMs;
  }

  #fetch(): Promise<Keys> {
    this.#fetching ??= this.#ask().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #ask(): Promise<Keys> {
    this.#askedAt = this.#clock.monotonic();
    try {
      const [configuration, keys] = await Promise.all(
        [configurationPath, keysPath].map(async (path) => this.#api.json({ method: "GET", path, accept })),
      );
      const issuer = member(configuration, "issuer");
      if (typeof issuer !== "string" || issuer === "") throw new TypeError("it names no issuer");
      this.#keys = { issuer, key: createLocalJWKSet(keys as JSONWebKeySet) };
      this.#failed = undefined;
      return this.#keys;
    } catch (fault) {
      const why = `the cluster's keys of tokens cannot be read: ${messageOf(fault)}`;
      this.#failed = new WeftError("Unavailable", why);
      throw this.#failed;
    }
  }
}
