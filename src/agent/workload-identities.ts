import type { Server } from "@grpc/grpc-js";
import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { Authority } from "./certificates/authority.ts";
import { CertificateHolder, type CertificateState } from "./certificates/holder.ts";
import { TrustBundle } from "./certificates/trust-bundle.ts";
import { ControlPlane, type ControlPlaneTrust } from "./control-plane.ts";
import type { AgentOptions, IdentityOptions } from "./options.ts";
import type { ProxyService } from "./proxy-socket.ts";
import { certificateSecret, rootsSecret, secretNames } from "./sds/proxy-secrets.ts";
import { SecretService } from "./sds/secret-service.ts";

/** The certificate of one Pod's proxy: held, and served to it alone. */
export class WorkloadIdentity implements ProxyService {
  readonly #holder: CertificateHolder;
  readonly #service: SecretService;
  readonly #roots: () => EncodedResource | undefined;
  readonly #let: () => void;
  #certificate: EncodedResource | undefined;

  /**
   * @param holder holds the certificate.
   * @param roots the authorities as they are now.
   * @param letGo called at the end.
   */
  constructor(holder: CertificateHolder, roots: () => EncodedResource | undefined, logger: Logger, letGo: () => void) {
    this.#holder = holder;
    this.#roots = roots;
    this.#let = letGo;
    this.#service = new SecretService({ secrets: () => this.#secrets(), logger });
  }

  /** How the certificate stands. */
  get state(): CertificateState {
    return this.#holder.state;
  }

  /** The certificate, or the authorities, are others. */
  changed(): void {
    const { current } = this.#holder;
    this.#certificate = current && certificateSecret(current);
    this.#service.changed();
  }

  /** Soon asks for another certificate. */
  renew(): void {
    this.#holder.renew();
  }

  register(server: Server): void {
    this.#service.register(server);
  }

  /** Forgets the certificate. */
  [Symbol.dispose](): void {
    this.#holder[Symbol.dispose]();
    this.#service[Symbol.dispose]();
    this.#certificate = undefined;
    this.#let();
  }

  #secrets(): ReadonlyMap<string, EncodedResource> {
    const roots = this.#roots();
    return new Map([
      ...(this.#certificate ? [[secretNames.certificate, this.#certificate] as const] : []),
      ...(roots ? [[secretNames.roots, roots] as const] : []),
    ]);
  }
}

/** What the identities of a node's workloads are made from. */
export interface WorkloadIdentitiesOptions {
  readonly identity: IdentityOptions;
  readonly trust: ControlPlaneTrust;
  readonly agent: Pick<AgentOptions, "cluster">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The identities of the workloads on a node: a certificate for each Pod with a proxy, and the authorities that all of them trust. */
export class WorkloadIdentities implements Disposable {
  readonly #options: WorkloadIdentitiesOptions;
  readonly #authority: Authority;
  readonly #trust: TrustBundle;
  readonly #held = new Set<WorkloadIdentity>();
  #roots: EncodedResource | undefined;

  constructor(options: WorkloadIdentitiesOptions) {
    this.#options = options;
    const { identity, trust, agent, clock, logger } = options;
    const plane = new ControlPlane({ address: identity.ca, trust, logger });
    this.#authority = new Authority({ plane, cluster: agent.cluster, ttlMs: identity.ttlMs, clock });
    this.#trust = new TrustBundle(logger, () => this.#trustChanged());
  }

  /**
   * Holds a certificate for a Pod, until it is let go of.
   * @param changed called when its state has changed.
   */
  hold(pod: Pod, changed: () => void): WorkloadIdentity {
    const { clock, identity, logger } = this.#options;
    const { name, namespace = "" } = pod.metadata;
    const { serviceAccountName: serviceAccount = "default" } = pod.spec;
    const holder = new CertificateHolder({
      issue: async () => {
        const issued = await this.#authority.issue({ trustDomain: identity.trustDomain, namespace, serviceAccount });
        this.#trust.take(issued.roots);
        return issued;
      },
      clock,
      changed: () => {
        held.changed();
        changed();
      },
    });
    const own = logger.with({ pod: name, namespace });
    const held: WorkloadIdentity = new WorkloadIdentity(
      holder,
      () => this.#roots,
      own,
      () => this.#held.delete(held),
    );
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
    for (const each of this.#held) each.renew();
  }

  /** Closes the way to the authority. */
  [Symbol.dispose](): void {
    this.#authority[Symbol.dispose]();
  }

  #trustChanged(): void {
    this.#roots = rootsSecret(this.#trust.roots);
    for (const each of this.#held) each.changed();
  }
}
