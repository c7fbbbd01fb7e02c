import type { X509Certificate } from "node:crypto";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { TrustBundle } from "#controllers/trust-bundle/publisher.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import { type Authority, makeAuthority, readCertificates } from "#identity/authority.ts";
import type { AuthorityKey } from "#identity/settings.ts";
import type { Signer } from "#identity/signer.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { filesOf, secretData } from "./authority-files.ts";

/** Where Istio keeps its authority: one that was plugged in, and one that it made itself. */
const pluggedName = "cacerts";
const ownName = "istio-ca-secret";
/** The type of the second, by which Istio knows it. */
const ownType = "istio.io/ca-root";

function versionOf({ metadata: { uid, resourceVersion } }: Secret): string {
  return `${uid}/${resourceVersion}`;
}

/** What following the authority needs. */
export interface AuthoritySecretOptions {
  /** The mesh's API. */
  readonly client: Client;
  readonly namespace: string;
  readonly signer: Signer;
  /** The key of one that is made. */
  readonly key: AuthorityKey;
  readonly trustDomain: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Proxies that trust the roots of before must go on trusting each other: as in Istio, roots are added or taken away, and
 * not replaced.
 * @throws WeftError `FailedPrecondition`.
 */
function checkRoots(before: readonly X509Certificate[], after: readonly X509Certificate[]): void {
  const [were, are] = [before, after].map((roots) => new Set(roots.map(({ fingerprint256 }) => fingerprint256)));
  if (!were || !are || were.isSubsetOf(are) || are.isSubsetOf(were)) return;
  const fix =
    "write the new root beside the old one into root-cert.pem first, and take the old one away when all proxies have both";
  throw new WeftError("FailedPrecondition", `its roots are not those of before with some added or taken away; ${fix}`);
}

/** How the mesh's authority stands. */
export interface AuthorityStanding {
  /** The Secret as the API has it; undefined where there is none. */
  readonly secret: Secret | undefined;
  /** What signs; undefined before there is any. */
  readonly authority: Authority | undefined;
  /** Why the Secret is not what signs; empty where it is, or soon will be. */
  readonly problem: string;
  /** Whether the Secret as the API has it is what signs. */
  readonly current: boolean;
}

/**
 * The mesh's authority: the Secret `cacerts` where there is one, else `istio-ca-secret`, which the first replica that finds
 * none makes. A change is taken up at once; what is wrong leaves the last good one in use, and is logged.
 */
export class AuthoritySecret {
  /** Resolves when there is an authority that signs. */
  readonly ready: Promise<void>;
  readonly #options: AuthoritySecretOptions;
  readonly #plugged: Informer<Secret>;
  readonly #own: Informer<Secret>;
  readonly #queue: WorkQueue;
  readonly #changed = new Set<() => void>();
  readonly #markReady: () => void;
  #authority: Authority | undefined;
  /** The version of the Secret that is in use. */
  #taken = "";
  /** What was said last of why another is not. */
  #problem = "";

  constructor(options: AuthoritySecretOptions) {
    const { clock } = options;
    this.#options = options;
    [this.#plugged, this.#own] = [this.#informer(pluggedName), this.#informer(ownName)];
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#markReady = resolve;
    this.#queue = new WorkQueue({
      clock,
      work: async () => this.#settle(),
      failed: (_key, error) => this.#failed(messageOf(error)),
    });
  }

  /** The roots that are trusted, as one PEM text; empty before the authority is ready. */
  get roots(): string {
    return this.#authority?.roots.map((root) => root.toString()).join("") ?? "";
  }

  /** The same with the lists of revoked certificates and the version of the Secret that they are of; undefined before the authority is ready. */
  get bundle(): TrustBundle | undefined {
    const { roots } = this;
    const revoked = this.#authority?.revoked ?? "";
    return roots === "" ? undefined : { roots, revoked, version: this.#taken.slice(this.#taken.indexOf("/") + 1) };
  }

  /** How it stands now. */
  get standing(): AuthorityStanding {
    const secret = this.#found();
    const current = secret !== undefined && versionOf(secret) === this.#taken;
    return { secret, authority: this.#authority, problem: current ? "" : this.#problem, current };
  }

  /** Calls back when the authority or its roots have changed. */
  onChange(callback: () => void): Disposable {
    this.#changed.add(callback);
    return { [Symbol.dispose]: () => this.#changed.delete(callback) };
  }

  /** Follows the Secrets until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const followed = [this.#plugged, this.#own].map(async (informer) => informer.run(signal));
    const look = (): void => this.#queue.add(ownName);
    for (const informer of [this.#plugged, this.#own]) {
      void informer.synced.then(look);
      informer.onChange(look);
    }
    await Promise.all([...followed, this.#queue.run(signal)]);
  }

  #found(): Secret | undefined {
    const { namespace } = this.#options;
    return this.#plugged.get({ namespace, name: pluggedName }) ?? this.#own.get({ namespace, name: ownName });
  }

  #informer(name: string): Informer<Secret> {
    const { client, namespace, clock, logger } = this.#options;
    const selection = { namespace, fieldSelector: `metadata.name=${name}` };
    return new Informer<Secret>({ client: client.of<Secret>(secretKind), selection, clock, logger });
  }

  /** It is tried again and again, and said once. */
  #failed(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    for (const callback of this.#changed) callback();
    const fields = { problem, lastGoodGoesOn: this.#authority !== undefined };
    this.#options.logger.error("the mesh's authority cannot be used", fields);
  }

  async #settle(): Promise<void> {
    await Promise.all([this.#plugged.synced, this.#own.synced]);
    const { namespace, signer, logger } = this.#options;
    const found = this.#found();
    if (!found) {
      // Who lost all Secrets goes on with the authority that its proxies trust.
      if (this.#authority) this.#failed(`there is neither a Secret ${pluggedName} nor ${ownName} any more`);
      else await this.#make();
      return;
    }
    const version = versionOf(found);
    if (version === this.#taken) return;
    const files = filesOf(found);
    if (this.#authority) checkRoots(this.#authority.roots, readCertificates(files.roots, "root-cert.pem"));
    this.#authority = signer.use(files);
    this.#taken = version;
    this.#problem = "";
    const until = new Date(this.#authority.expires).toISOString();
    logger.info("the mesh's authority is in use", { secret: `${namespace}/${found.metadata.name}`, until });
    for (const callback of this.#changed) callback();
    this.#markReady();
  }

  /** Makes an authority; the informer tells of whichever replica's came first. */
  async #make(): Promise<void> {
    const { client, namespace, key, trustDomain, clock } = this.#options;
    const files = makeAuthority(key, trustDomain(), clock.now());
    const draft = {
      metadata: { namespace, name: ownName },
      type: ownType,
      data: { ...secretData(files), "key.pem": "" },
    };
    try {
      await client.of<Secret>(secretKind).create(draft);
    } catch (error) {
      if (codeOf(error) === "NotFound") await this.#makeNamespace();
      if (codeOf(error) !== "AlreadyExists") throw error;
    }
  }

  async #makeNamespace(): Promise<void> {
    const { client, namespace } = this.#options;
    try {
      await client.of(namespaceKind).create({ metadata: { name: namespace } });
    } catch (error) {
      if (codeOf(error) !== "AlreadyExists") throw error;
    }
  }
}
