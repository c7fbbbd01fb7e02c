import type { IncomingHttpHeaders } from "node:http2";
import type { X509Certificate } from "node:crypto";
import { decodeJwt } from "jose";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { Call } from "#grpc/server.ts";
import { Accounts } from "./accounts.ts";
import type { Caller, TokenHolder } from "./caller.ts";
import { CertificateCheck, type Trust } from "./certificate-check.ts";
import { Issuer, type TokenApi } from "./issuer.ts";
import { isOwn, parseSpiffeId, type TrustDomains } from "./spiffe.ts";
import { reviewToken } from "./token-review.ts";

/** What is known of the mesh. */
export interface MeshAccess {
  trustDomains(): TrustDomains;
  /** The APIs of the member clusters, by their names. */
  clusters(): ReadonlyMap<string, TokenApi>;
  /** What certificates are checked by; undefined before there is an authority. */
  trust(): Trust | undefined;
}

/** How callers prove who they are. */
export interface CallersOptions {
  readonly mesh: MeshAccess;
  readonly clock: Clock;
  /** That tokens must be for; `istio-ca` unless told. */
  readonly audience?: string;
  /** By what tokens are checked: the keys that a cluster publishes, or its TokenReview. */
  readonly tokens?: "keys" | "review";
}

/** Characters of a token: those of Kubernetes have about a thousand. */
const longestToken = 16_384;

/** gRPC metadata by which Istio's agents name their cluster. */
const clusterHeader = "clusterid";

function bearerToken({ authorization }: IncomingHttpHeaders): string | undefined {
  if (authorization === undefined) return undefined;
  const [, token] = /^bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization) ?? [];
  if (token === undefined || token.length > longestToken) {
    throw new WeftError("Unauthenticated", "the authorization metadata holds no bearer token");
  }
  return token;
}

/** The `iss` that a token claims, before anything is proven. */
function claimedIssuer(token: string): unknown {
  try {
    return decodeJwt(token).iss;
  } catch {
    throw new WeftError("Unauthenticated", "the token is no JSON Web Token");
  }
}

/** The names of a certificate that are URIs. Node quotes what could be taken for another name. */
function uriNames({ subjectAltName = "" }: X509Certificate): readonly string[] {
  return subjectAltName.split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice(4)] : []));
}

/** Finds out who calls: by a service account's token, or by a certificate of the mesh's authority. */
export class Callers {
  readonly #options: CallersOptions;
  readonly #audience: string;
  readonly #issuers = new WeakMap<TokenApi, Issuer>();
  readonly #certificates: CertificateCheck;
  readonly #accounts: Accounts;

  constructor(options: CallersOptions) {
    this.#options = options;
    this.#audience = options.audience ?? "istio-ca";
    this.#certificates = new CertificateCheck(() => options.mesh.trust(), options.clock);
    this.#accounts = new Accounts(() => options.mesh.clusters(), options.clock);
  }

  /**
   * Who a call's peer is. A token goes before a certificate: it says more.
   * @throws WeftError `Unauthenticated` with the reason, `Unavailable` when a cluster's API is needed and away.
   */
  async of({ headers, certificate }: Pick<Call, "headers" | "certificate">): Promise<Caller> {
    const token = bearerToken(headers);
    if (token !== undefined) return this.#byToken(token, headers[clusterHeader]);
    if (certificate) return this.#byCertificate(certificate);
    throw new WeftError("Unauthenticated", "the caller shows neither a token nor a certificate of the mesh");
  }

  /**
   * Looks again whether what a caller showed is still good.
   * @throws WeftError as `of` does.
   */
  async stillGood({ until }: Caller, certificate: X509Certificate | undefined): Promise<void> {
    if (until !== undefined && this.#options.clock.now() > until) {
      throw new WeftError("Unauthenticated", "the token has ended");
    }
    if (certificate) await this.#byCertificate(certificate);
  }

  async #byCertificate(certificate: X509Certificate): Promise<Caller> {
    this.#certificates.check(certificate);
    const [only, ...more] = uriNames(certificate);
    const identity = only !== undefined && more.length === 0 ? parseSpiffeId(only) : undefined;
    const domains = this.#options.mesh.trustDomains();
    if (!identity || !isOwn(identity, domains)) {
      throw new WeftError("Unauthenticated", "the certificate is not that of a workload of this mesh");
    }
    await this.#accounts.check({ namespace: identity.namespace, name: identity.serviceAccount });
    return { ...identity, trustDomain: domains.own };
  }

  async #byToken(token: string, claimed: string | string[] | undefined): Promise<Caller> {
    const clusters = this.#options.mesh.clusters();
    const trustDomain = this.#options.mesh.trustDomains().own;
    if (claimed !== undefined && claimed !== "") {
      const name = String(claimed);
      const api = clusters.get(name);
      if (!api) throw new WeftError("Unauthenticated", "the caller names a cluster that is not of this mesh");
      return { trustDomain, cluster: name, ...(await this.#check(api, token)) };
    }
    const [cluster, holder] = await this.#anywhere(clusters, token);
    return { trustDomain, cluster, ...holder };
  }

  /** Checks a token whose cluster is not told: clusters may well have issuers of the same name. */
  async #anywhere(clusters: ReadonlyMap<string, TokenApi>, token: string): Promise<readonly [string, TokenHolder]> {
    const issuer = claimedIssuer(token);
    let worst = new WeftError("Unauthenticated", "the token's issuer is none of the mesh's clusters");
    for (const [cluster, api] of clusters) {
      try {
        if ((await this.#issuer(api).name()) !== issuer) continue;
        // Whose keys did not sign it must not get it to review either: clusters may well have issuers of the same name.
        if (this.#options.tokens === "review") await this.#issuer(api).check(token);
        return [cluster, await this.#check(api, token)];
      } catch (fault) {
        // One that is away might have known the token.
        if (worst.code !== "Unavailable") worst = new WeftError(codeOf(fault), messageOf(fault));
      }
    }
    throw worst;
  }

  async #check(api: TokenApi, token: string): Promise<TokenHolder> {
    if (this.#options.tokens !== "review") return this.#issuer(api).check(token);
    try {
      return await reviewToken(api, token, this.#audience);
    } catch (fault) {
      if (codeOf(fault) === "Unauthenticated") throw fault;
      throw new WeftError("Unavailable", "the cluster's API does not review tokens", fault);
    }
  }

  #issuer(api: TokenApi): Issuer {
    let issuer = this.#issuers.get(api);
    if (!issuer) this.#issuers.set(api, (issuer = new Issuer(api, this.#audience, this.#options.clock)));
    return issuer;
  }
}
