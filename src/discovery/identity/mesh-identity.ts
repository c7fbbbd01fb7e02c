import type { MeshAuthority } from "#api/weft/mesh.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { TrustBundlePublisher } from "#controllers/trust-bundle/publisher.ts";
import type { Methods } from "#grpc/server.ts";
import type { CredentialSource } from "#grpc/tls.ts";
import type { ServiceAccountName } from "#identity/caller.ts";
import { Callers, type CallersOptions } from "#identity/callers.ts";
import { certificateMethods } from "#identity/certificate-service.ts";
import type { TokenApi } from "#identity/issuer.ts";
import type { AuthorityKey, Lifetimes } from "#identity/settings.ts";
import { Signer } from "#identity/signer.ts";
import type { TrustDomains } from "#identity/spiffe.ts";
import type { Client } from "#kube/client.ts";
import type { Companion } from "#sources/members/companion.ts";
import type { Gatekeeper } from "#xds/gatekeeper.ts";
import type { ProxyNode } from "#xds/port.ts";
import { AuthoritySecret } from "./authority-secret.ts";
import { ProxyGatekeeper } from "./gatekeeper.ts";
import { meshAuthority } from "./mesh-authority.ts";
import { PodPlaces, type SidecarReport } from "./pod-places.ts";
import { RootRotations } from "./root-rotations.ts";
import { SecretRights } from "./secret-rights.ts";
import { ServerCertificate } from "./server-certificate.ts";

/** How the mesh's identities are kept. */
export interface IdentityOptions {
  /** DNS names and addresses of the control plane's own certificate. */
  readonly names: readonly string[];
  /** The key of an authority that is made. */
  readonly authorityKey: AuthorityKey;
  /** Service accounts of node agents. */
  readonly nodeAccounts: readonly ServiceAccountName[];
  readonly tokens: NonNullable<CallersOptions["tokens"]>;
  readonly lifetimes: Lifetimes;
  /** Milliseconds that a step of a root's rotation waits after everybody has proven what it needs; 15 seconds unless told. */
  readonly rotationSettleMs?: number;
}

/** What it needs of the control plane. */
export interface IdentityContext {
  /** The mesh's API. */
  readonly client: Client;
  readonly rootNamespace: string;
  readonly trustDomains: () => TrustDomains;
  readonly members: () => ReadonlyMap<string, Client>;
  /** Whether what a proxy gets depends on whether its account may read Secrets. */
  readonly readsSecrets: (node: ProxyNode) => boolean;
  /** Members whose Pods have not been read yet. */
  readonly unread: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a server serves with, once there is an authority. */
export interface IdentityServing extends Disposable {
  readonly credentials: CredentialSource;
  readonly methods: Methods;
  readonly gatekeeper: Gatekeeper;
}

/** The mesh's authority, who callers are, and the bundle of roots in every namespace. */
export class MeshIdentity implements AsyncDisposable {
  readonly #options: IdentityOptions;
  readonly #context: IdentityContext;
  readonly #pods = new PodPlaces();
  readonly #signer: Signer;
  readonly #authority: AuthoritySecret;
  readonly #publisher: TrustBundlePublisher;
  readonly #rotations: RootRotations;
  readonly #mesh: CallersOptions["mesh"];
  /** Which service accounts may read Secrets. */
  readonly rights: SecretRights;

  constructor(options: IdentityOptions, context: IdentityContext) {
    const { client, rootNamespace, trustDomains, clock, logger } = context;
    this.#options = options;
    this.#context = context;
    this.#signer = new Signer(clock);
    this.#authority = new AuthoritySecret({
      client,
      namespace: rootNamespace,
      signer: this.#signer,
      key: options.authorityKey,
      trustDomain: () => trustDomains().own,
      clock,
      logger,
    });
    this.#publisher = new TrustBundlePublisher({ bundle: () => this.#authority.bundle, clock, logger });
    this.#mesh = this.#meshAccess();
    this.rights = new SecretRights(() => this.#mesh.clusters(), clock, logger);
    const { rotationSettleMs: settleMs } = options;
    this.#rotations = new RootRotations({
      client,
      namespace: rootNamespace,
      authority: this.#authority,
      pods: this.#pods,
      unread: context.unread,
      trustDomain: () => trustDomains().own,
      ...(settleMs !== undefined && { settleMs }),
      clock,
      logger,
    });
  }

  /** Follows each member beside the model: its Pods, and its namespaces, which get the roots. */
  readonly companion: Companion = {
    audience: (cluster) => this.#pods.audience(cluster),
    follow: (cluster, client, signal) => this.#publisher.follow(cluster, client, signal),
    left: (cluster) => this.#pods.forget(cluster),
  };

  /** What a Pod says of its proxy; undefined of a Pod that is not there. */
  sidecar(cluster: string, namespace: string, pod: string): SidecarReport | undefined {
    return this.#pods.pod(cluster, namespace, pod);
  }

  /** How the authority stands, for the status of the mesh. */
  get authority(): MeshAuthority {
    return meshAuthority(this.#authority.standing);
  }

  /** The trusted roots in PEM; undefined while there are none. */
  get roots(): string | undefined {
    return this.#authority.bundle?.roots;
  }

  /** Calls back when the authority, or how it stands, has changed. */
  onChange(callback: () => void): Disposable {
    return this.#authority.onChange(callback);
  }

  /** Follows the authority, and what rotations of it there are to carry out, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    using _roots = this.#authority.onChange(() => this.#publisher.changed());
    await Promise.all([this.#authority.run(signal), this.#rotations.follow(signal)]);
  }

  /** Carries out rotations until the signal aborts: in one control plane at a time. */
  async rotate(signal: AbortSignal): Promise<void> {
    await this.#rotations.run(signal);
  }

  /**
   * Waits for an authority, and makes what the server serves with.
   * @throws the signal's reason when that aborts first.
   */
  async serve(signal: AbortSignal): Promise<IdentityServing> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    await Promise.race([this.#authority.ready, aborted]);
    const { clock, logger } = this.#context;
    const [signer, roots] = [this.#signer, () => this.#authority.roots];
    const certificate = await ServerCertificate.create({ signer, roots, names: this.#options.names, clock, logger });
    const renewal = this.#authority.onChange(() => certificate.renew());
    const { tokens, lifetimes, nodeAccounts: accounts } = this.#options;
    const callers = new Callers({ mesh: this.#mesh, clock, tokens });
    const { readsSecrets } = this.#context;
    const rules = () => ({ accounts, pods: this.#pods, trustDomains: this.#context.trustDomains() });
    return {
      credentials: certificate,
      methods: certificateMethods({ callers, signer, roots, rules, lifetimes, clock, logger }),
      gatekeeper: new ProxyGatekeeper({ callers, pods: this.#pods, accounts, rights: this.rights, readsSecrets }),
      [Symbol.dispose]: () => {
        renewal[Symbol.dispose]();
        certificate[Symbol.dispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#signer[Symbol.asyncDispose]();
  }

  #meshAccess(): CallersOptions["mesh"] {
    const apis = new WeakMap<Client, TokenApi>();
    const apiOf = (client: Client): TokenApi => {
      const known = apis.get(client) ?? { json: (request) => client.json({ ...request, timeoutMs: tokenApiMs }) };
      apis.set(client, known);
      return known;
    };
    return {
      trustDomains: this.#context.trustDomains,
      trust: () => this.#authority.standing.authority,
      clusters: () => new Map([...this.#context.members()].map(([name, client]) => [name, apiOf(client)])),
    };
  }
}

/** Milliseconds that a cluster's API may take to answer what a caller waits for. */
const tokenApiMs = 5_000;
