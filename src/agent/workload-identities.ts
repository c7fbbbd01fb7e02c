import type { Server } from "@grpc/grpc-js";
import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { Authority } from "./certificates/authority.ts";
import { CertificateHolder, type CertificateState } from "./certificates/holder.ts";
import { type Proof, type ServedSecret, TrustProof } from "./certificates/proof.ts";
import { TrustBundle } from "./certificates/trust-bundle.ts";
import { readCertificates } from "#identity/authority.ts";
import { rootId } from "#identity/path.ts";
import { ControlPlane, type ControlPlaneTrust } from "./control-plane.ts";
import type { IdentityOptions, ProxyOptions } from "./options.ts";
import type { ProxyService } from "./proxy-socket.ts";
import { certificateSecret, rootsSecret, secretNames } from "./sds/proxy-secrets.ts";
import { SecretService } from "./sds/secret-service.ts";

/** The authorities as a node's proxies are served them. */
interface ServedRoots {
  readonly secret: EncodedResource;
  /** Their names (`rootId`). */
  readonly ids: readonly string[];
}

/** What the identity of one Pod is made from. */
interface WorkloadIdentityOptions {
  readonly holder: CertificateHolder;
  /** The authorities as they are now. */
  readonly roots: () => ServedRoots | undefined;
  /** The roots that the agent checks the control plane by. */
  readonly controlPlane: () => readonly string[];
  /** The version of the mesh's authority that was published last. */
  readonly version: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when the proxy has acknowledged something else. */
  readonly changed: () => void;
  /** Called at the end. */
  readonly letGo: () => void;
}

/** The certificate of one Pod's proxy: held, and served to it alone. */
export class WorkloadIdentity implements ProxyService {
  readonly #options: WorkloadIdentityOptions;
  readonly #service: SecretService;
  readonly #proof: TrustProof;
  #certificate: EncodedResource | undefined;

  constructor(options: WorkloadIdentityOptions) {
    const { clock, logger, controlPlane, version, changed } = options;
    this.#options = options;
    const answered = (): void => this.#proof.look();
    this.#service = new SecretService({ secrets: () => this.#secrets(), answered, logger });
    this.#proof = new TrustProof({
      certificate: () => this.#served(),
      authorities: () => {
        const roots = options.roots();
        return roots && { version: roots.secret.version, roots: roots.ids };
      },
      controlPlane,
      version,
      acknowledged: (what) =>
        this.#service.acknowledged(what === "certificate" ? secretNames.certificate : secretNames.roots),
      clock,
      changed,
    });
  }

  /** How the certificate stands. */
  get state(): CertificateState {
    return this.#options.holder.state;
  }

  /** What the proxy was seen to hold. */
  get proof(): Proof {
    return this.#proof.current;
  }

  /** The certificate, or the authorities, are others. */
  changed(): void {
    const { current } = this.#options.holder;
    this.#certificate = current && certificateSecret(current);
    this.#service.changed();
    this.#proof.look();
  }

  /**
   * Asks for another certificate.
   * @param roots those that are trusted now: one that leads to another is replaced at once.
   */
  renew(roots: readonly string[]): void {
    const { holder } = this.#options;
    holder.renew(holder.current && !roots.includes(holder.current.issuer) ? "now" : "soon");
  }

  register(server: Server): void {
    this.#service.register(server);
  }

  /** Forgets the certificate. */
  [Symbol.dispose](): void {
    this.#options.holder[Symbol.dispose]();
    this.#service[Symbol.dispose]();
    this.#proof[Symbol.dispose]();
    this.#certificate = undefined;
    this.#options.letGo();
  }

  #served(): ServedSecret | undefined {
    const { current } = this.#options.holder;
    return this.#certificate && current && { version: this.#certificate.version, roots: [current.issuer] };
  }

  #secrets(): ReadonlyMap<string, EncodedResource> {
    const roots = this.#options.roots();
    return new Map([
      ...(this.#certificate ? [[secretNames.certificate, this.#certificate] as const] : []),
      ...(roots ? [[secretNames.roots, roots.secret] as const] : []),
    ]);
  }
}

/**
 * Milliseconds after which a certificate is asked for again that came with other roots than the published ones: a replica of the control
 * plane that has not heard of a change signed it.
 */
const doubtMs = 2000;
/** The same where that goes on. */
const mostDoubtMs = 3_600_000;
/** Milliseconds between looks at the roots by which the control plane is checked. */
const watchMs = 10_000;

/** What the identities of a node's workloads are made from. */
export interface WorkloadIdentitiesOptions {
  readonly identity: IdentityOptions;
  readonly trust: ControlPlaneTrust;
  readonly agent: Pick<ProxyOptions, "cluster">;
  /** Whether the agent's own identity is the workloads': then it speaks for nobody else. */
  readonly ownIdentity?: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The identities of the workloads on a node: a certificate for each Pod with a proxy, and the authorities that all of them trust. */
export class WorkloadIdentities implements Disposable {
  readonly #options: WorkloadIdentitiesOptions;
  #plane: ControlPlane;
  #authority: Authority;
  readonly #trust: TrustBundle;
  readonly #held = new Set<WorkloadIdentity>();
  readonly #watch: Disposable;
  #roots: ServedRoots | undefined;
  #planeRoots = "";

  constructor(options: WorkloadIdentitiesOptions) {
    this.#options = options;
    const { identity, trust, clock, logger } = options;
    this.#plane = new ControlPlane({ address: identity.ca, trust, logger });
    this.#authority = this.#authorityOf(this.#plane);
    this.#trust = new TrustBundle(logger, () => this.#trustChanged());
    this.#watch = clock.every(watchMs, () => this.#lookAtPlane());
  }

  /** Asks for certificates at another address from now on; those that there are stay. */
  move(ca: string): void {
    const { trust, logger } = this.#options;
    const before = this.#authority;
    this.#plane = new ControlPlane({ address: ca, trust, logger });
    this.#authority = this.#authorityOf(this.#plane);
    before[Symbol.dispose]();
  }

  #authorityOf(plane: ControlPlane): Authority {
    const { identity, agent, ownIdentity: own = false, clock } = this.#options;
    return new Authority({ plane, cluster: agent.cluster, ttlMs: identity.ttlMs, own, clock });
  }

  /**
   * Holds a certificate for a Pod, until it is let go of.
   * @param changed called when its state has changed.
   */
  hold(pod: Pod, changed: () => void): WorkloadIdentity {
    const { clock, identity, logger } = this.#options;
    const { name, namespace = "" } = pod.metadata;
    const { serviceAccountName: serviceAccount = "default" } = pod.spec;
    const doubts = new Backoff({ initialMs: doubtMs, maxMs: mostDoubtMs });
    const holder = new CertificateHolder({
      issue: async () => {
        const issued = await this.#authority.issue({ trustDomain: identity.trustDomain, namespace, serviceAccount });
        this.#trust.take(issued.roots);
        return issued;
      },
      early: ({ roots }) => {
        if (this.#trust.differs(roots)) return doubts.next();
        doubts.reset();
        return undefined;
      },
      ...(identity.spreadMs !== undefined && { spreadMs: identity.spreadMs }),
      clock,
      changed: () => {
        held.changed();
        changed();
      },
    });
    const held: WorkloadIdentity = new WorkloadIdentity({
      holder,
      roots: () => this.#roots,
      controlPlane: () => readCertificates(this.#plane.roots, "the control plane's roots").map(rootId),
      version: () => this.#trust.version,
      clock,
      logger: logger.with({ pod: name, namespace }),
      changed,
      letGo: () => this.#held.delete(held),
    });
    this.#held.add(held);
    holder.start();
    return held;
  }

  /**
   * Takes the authorities that the mesh publishes. Where they are others than before, certificates are replaced soon: the new ones
   * may be signed by another of them.
   */
  published(before: ConfigMap | undefined, after: ConfigMap): void {
    this.#trust.published(after);
    if (before === undefined || before.data?.["root-cert.pem"] === after.data?.["root-cert.pem"]) return;
    const roots = readCertificates(this.#trust.roots.join(""), "the roots").map(rootId);
    for (const each of this.#held) each.renew(roots);
  }

  /** Closes the way to the authority. */
  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#authority[Symbol.dispose]();
  }

  /** The roots of the control plane are a file, which somebody else may write. */
  #lookAtPlane(): void {
    if (this.#plane.roots === this.#planeRoots) return;
    this.#planeRoots = this.#plane.roots;
    for (const each of this.#held) each.changed();
  }

  #trustChanged(): void {
    const { roots, revoked } = this.#trust;
    const ids = readCertificates(roots.join(""), "the roots").map(rootId);
    this.#roots = { secret: rootsSecret(roots, revoked), ids };
    for (const each of this.#held) each.changed();
  }
}
