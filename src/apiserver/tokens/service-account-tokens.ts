import { randomUUID } from "node:crypto";
import { jwtVerify, SignJWT, type JWTPayload } from "jose";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Partition, ResourceStore } from "#store/port.ts";
import type { Proven } from "../authentication/proof.ts";
import { group, serviceAccountUser, type User } from "../user.ts";
import { BoundObjects, type Bound, type BoundKind } from "./bound-objects.ts";
import { accountClaims, audiencesOf, claimsMember, type AccountClaims } from "./claims.ts";
import { algorithm, type IssuerKeys } from "./issuer-keys.ts";

/** A token that is to be made. */
export interface TokenOrder {
  readonly account: ResourceObject;
  readonly audiences: readonly string[];
  readonly seconds: number;
  /** The token ends with this object. */
  readonly bound?: { readonly kind: BoundKind; readonly object: ResourceObject };
}

/** A token that was made. */
export interface IssuedToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** A token that is good. */
export interface VerifiedToken extends Proven {
  /** Those of the accepted audiences that it has. */
  readonly audiences: readonly string[];
}

/** The longest token that is looked at, in characters. */
const maxTokenLength = 16_384;

/** Milliseconds that a token outlives the end of its Pod or account, as Kubernetes': what it ends with may still be at work. */
const leewayMs = 60_000;

function boundOf({ metadata }: ResourceObject): Bound {
  return { name: metadata.name, uid: metadata.uid };
}

function refused(problem: string): WeftError {
  return new WeftError("Unauthenticated", problem);
}

/**
 * Makes and checks the tokens of one cluster's service accounts: JSON Web Tokens with Kubernetes' claims. A token is good
 * only while its account, and the Pod, Node or Secret that it is bound to, are the very objects that it was made for.
 */
export class ServiceAccountTokens {
  /** The `iss` of its tokens. */
  readonly issuer: string;
  readonly keys: IssuerKeys;
  readonly objects: BoundObjects;
  readonly #clock: Clock;

  constructor(issuer: string, keys: IssuerKeys, store: ResourceStore, partition: Partition, clock: Clock) {
    this.issuer = issuer;
    this.keys = keys;
    this.objects = new BoundObjects(store, partition);
    this.#clock = clock;
  }

  /** Audiences of tokens that are for the API itself. */
  get apiAudiences(): readonly string[] {
    return [this.issuer];
  }

  /** Makes a token. */
  async issue({ account, audiences, seconds, bound }: TokenOrder): Promise<IssuedToken> {
    const now = Math.floor(this.#clock.now() / 1000);
    const { namespace = "", name } = account.metadata;
    const node = bound?.kind === "Pod" ? await this.objects.nodeOf(bound.object) : undefined;
    const claims: AccountClaims = {
      namespace,
      serviceaccount: boundOf(account),
      ...(bound === undefined ? {} : { [bound.kind.toLowerCase()]: boundOf(bound.object) }),
      ...(node === undefined ? {} : { node }),
    };
    const { id, key } = this.keys.signing;
    const token = await new SignJWT({ [claimsMember]: claims })
      .setProtectedHeader({ alg: algorithm, kid: id })
      .setIssuer(this.issuer)
      .setSubject(serviceAccountUser(namespace, name))
      .setAudience([...audiences])
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + seconds)
      .setJti(randomUUID())
      .sign(key);
    return { token, expires: (now + seconds) * 1000 };
  }

  /** Whether a token says that it is of this issuer; nothing of it is believed yet. */
  claims(token: string): boolean {
    if (token.length > maxTokenLength) return false;
    try {
      const [, payload = ""] = token.split(".");
      const { iss } = JSON.parse(Buffer.from(payload, "base64url").toString()) as { readonly iss?: unknown };
      return iss === this.issuer;
    } catch {
      return false;
    }
  }

  /**
   * Checks a token.
   * @param audiences the token must have one of them.
   * @throws WeftError `Unauthenticated` that says what is wrong with it, without the token.
   */
  async verify(token: string, audiences: readonly string[]): Promise<VerifiedToken> {
    if (token.length > maxTokenLength) throw refused(`the token is longer than ${maxTokenLength} characters`);
    const payload = await this.#verified(token);
    const matching = audiencesOf(payload).filter((audience) => audiences.includes(audience));
    if (matching.length === 0) {
      throw refused(`token audiences ${JSON.stringify(audiencesOf(payload))} is invalid for the target audiences`);
    }
    const claims = accountClaims(payload);
    if (claims === undefined) throw refused("the token has no claims of a service account");
    await this.#checkObjects(claims, payload);
    const holds = (): Promise<boolean> =>
      this.#checkObjects(claims, payload).then(
        () => true,
        () => false,
      );
    return { user: userOf(claims, payload), proof: { until: (payload.exp ?? 0) * 1000, holds }, audiences: matching };
  }

  async #verified(token: string): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(
        token,
        ({ kid }) => {
          const key = this.keys.find(kid);
          if (key === undefined) throw refused("it is signed by a key that this cluster does not have");
          return key;
        },
        {
          algorithms: [algorithm],
          issuer: this.issuer,
          requiredClaims: ["exp", "nbf", "iat", "sub", "aud"],
          currentDate: new Date(this.#clock.now()),
        },
      );
      return payload;
    } catch (error) {
      throw new WeftError("Unauthenticated", "the token is not valid", error);
    }
  }

  async #checkObjects(claims: AccountClaims, { sub }: JWTPayload): Promise<void> {
    const { namespace, serviceaccount: account } = claims;
    const name = serviceAccountUser(namespace, account.name);
    if (sub !== name) throw refused("the token's subject is not the account of its claims");
    this.#checkLives("ServiceAccount", account, await this.objects.account(namespace, account.name));
    // A Pod's node may go before the Pod does, as Kubernetes has it: the Pod decides.
    const bound = [
      ["Pod", claims.pod],
      ["Secret", claims.secret],
      ["Node", claims.pod === undefined ? claims.node : undefined],
    ] as const;
    for (const [kind, object] of bound) {
      if (object === undefined) continue;
      this.#checkLives(kind, object, await this.objects.find(kind, namespace, object.name));
    }
  }

  #checkLives(kind: string, { name, uid }: Bound, found: ResourceObject | undefined): void {
    if (found === undefined) throw refused(`the ${kind} ${name} of the token is gone`);
    if (found.metadata.uid !== uid) throw refused(`the ${kind} ${name} of the token was replaced by another`);
    const { deletionTimestamp } = found.metadata;
    if (deletionTimestamp === undefined || Date.parse(deletionTimestamp) + leewayMs > this.#clock.now()) return;
    throw refused(`the ${kind} ${name} of the token has been deleted`);
  }
}

/** Kubernetes' user of a service account's token. */
function userOf({ namespace, serviceaccount, pod, node }: AccountClaims, { jti }: JWTPayload): User {
  const prefix = "authentication.kubernetes.io";
  return {
    name: serviceAccountUser(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: [group.serviceAccounts, `${group.serviceAccounts}:${namespace}`, group.authenticated],
    extra: {
      ...(jti === undefined ? {} : { [`${prefix}/credential-id`]: [`JTI=${jti}`] }),
      ...(pod === undefined ? {} : { [`${prefix}/pod-name`]: [pod.name], [`${prefix}/pod-uid`]: [pod.uid] }),
      ...(node === undefined ? {} : { [`${prefix}/node-name`]: [node.name], [`${prefix}/node-uid`]: [node.uid] }),
    },
  };
}
