import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { WeftError } from "#base/errors.ts";
import type { TokenApi } from "../issuer.ts";

/** A key by which a cluster signs tokens. */
interface TokenKey {
  readonly kid: string;
  readonly keys: Awaited<ReturnType<typeof generateKeyPair>>;
}

async function makeKey(kid: string): Promise<TokenKey> {
  return { kid, keys: await generateKeyPair("ES256", { extractable: true }) };
}

/** What a token says, beside what every token does. */
export interface TokenOrder {
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly node?: string;
  /** Claims that are added or replace others; those that are undefined are left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** The API of a cluster that issues tokens, as far as who checks them calls it. */
export class TokenCluster implements TokenApi {
  readonly issuer: string;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** Whether the API does not answer. */
  away = false;
  /** Service accounts, `namespace/name`, that are not there; all others are. */
  readonly gone = new Set<string>();
  #keys: readonly TokenKey[];

  private constructor(issuer: string, key: TokenKey) {
    this.issuer = issuer;
    this.#keys = [key];
  }

  /** A cluster with a key of its own. */
  static async create(issuer: string): Promise<TokenCluster> {
    return new TokenCluster(issuer, await makeKey("first"));
  }

  /** Signs with another key from now on, and publishes it alone. */
  async rotate(kid: string): Promise<void> {
    this.#keys = [await makeKey(kid)];
  }

  async json({ path }: { readonly path: string }): Promise<unknown> {
    this.asked.push(path);
    if (this.away) throw new WeftError("Unavailable", "connection refused");
    if (path === "/.well-known/openid-configuration") return { issuer: this.issuer };
    const [, namespace, name] = /^\/api\/v1\/namespaces\/(.*)\/serviceaccounts\/(.*)$/.exec(path) ?? [];
    if (name !== undefined) {
      if (this.gone.has(`${namespace}/${name}`)) throw new WeftError("NotFound", "there is no such account");
      return { kind: "ServiceAccount" };
    }
    const keys = this.#keys.map(async ({ kid, keys: { publicKey } }) => ({
      ...(await exportJWK(publicKey)),
      kid,
      alg: "ES256",
      use: "sig",
    }));
    return { keys: await Promise.all(keys) };
  }

  /** A token of a service account for `istio-ca`, good for an hour. */
  async token(order: TokenOrder = {}): Promise<string> {
    const { namespace = "shop", serviceAccount = "reviews", pod, node, claims = {} } = order;
    const [key] = this.#keys;
    if (!key) throw new Error("the cluster has no key");
    const seconds = Math.floor(Date.now() / 1000);
    const payload = {
      iss: this.issuer,
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
      aud: ["istio-ca"],
      iat: seconds,
      nbf: seconds,
      exp: seconds + 3600,
      "kubernetes.io": {
        namespace,
        serviceaccount: { name: serviceAccount, uid: "account" },
        ...(pod && { pod }),
        ...(node !== undefined && { node: { name: node, uid: "node" } }),
      },
      ...claims,
    };
    return new SignJWT(payload).setProtectedHeader({ alg: "ES256", kid: key.kid }).sign(key.keys.privateKey);
  }
}
