import type { ClusterStanding } from "#api/weft/cluster.ts";
import { Backoff } from "#base/backoff.ts";
import { canonical } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { Client, type KindRef } from "#kube/client.ts";
import { Connection, type ServerAddress } from "#kube/connection.ts";
import { credentialsEnd } from "#kube/embedded-kubeconfig.ts";
import type { Access } from "./access.ts";
import { NodeCensus } from "./census.ts";
import { type Failure, failureOf } from "./failure.ts";
import { clusterUid, clusterVersion } from "./reach.ts";
import { type MemberFacts, standingOf } from "./standing.ts";

/** What is wanted of a member. */
export interface MemberSettings {
  readonly access: Access;
  /** When it was asked to join, in RFC 3339: of two that are the same cluster the older is a member. */
  readonly created: string;
  readonly network: string;
  /** Milliseconds for which it is led to though it cannot be followed. */
  readonly tolerationMs: number;
  readonly draining: boolean;
}

/** What goes on with a member's API for as long as it is followed. */
export interface Following {
  /** Resolves when its whole state has entered the model. */
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
}

/** What a member needs of those who keep it. */
export interface MemberContext {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Begins to follow a cluster that can be reached. */
  readonly follow: (client: Client, census: NodeCensus, state: FollowState, signal: AbortSignal) => Following;
  /** Forgets all that was known of it. */
  readonly forget: () => void;
  /** The member that is this cluster and goes before this one. */
  readonly twin: (uid: string) => string | undefined;
  /** Others of its network whose nodes have some of its Pod addresses. */
  readonly overlaps: () => readonly string[];
  /** Says whether callers elsewhere are led to it. */
  readonly drain: (drained: boolean) => void;
  /** Whether all proxies hold all that entered the model until now. */
  readonly told: () => boolean;
  /** Asks to be looked at again soon. */
  readonly wake: () => void;
  /** Tells that it may stand otherwise. */
  readonly changed: () => void;
}

/** Called each time that a kind cannot be followed, and with undefined when it is again. */
export type FollowState = (kind: KindRef, failure: unknown) => void;

/** Milliseconds between looks at a member that is well, at most; and at one that is not, at least and at most. */
const wellMs = 10_000;
const waits = { initialMs: 1_000, maxMs: 10_000 };
/** So many looks at a member that is well until it is asked for its version again. */
const versionLooks = 30;
/** Milliseconds before the end of credentials from which on that is told. */
const endSoonMs = 7 * 24 * 60 * 60 * 1000;
/** Milliseconds in which a change is on its way to all proxies, and between looks at whether they have it. */
const sentMs = 500;

/** Said of an API that may be another cluster's. */
const untold =
  "it does not tell any more which cluster it is: let the control plane get the Namespace kube-system, as weft cluster add does";

/** A cluster that belongs to the mesh, or is to. */
export class Member implements Disposable {
  readonly name: string;
  readonly #context: MemberContext;
  readonly #census: NodeCensus;
  readonly #end = new AbortController();
  readonly #backoff = new Backoff(waits);
  readonly #settled = Promise.withResolvers<void>();
  readonly #unfollowed = new Map<string, Failure>();
  #settings: MemberSettings;
  #client: Client | undefined;
  #address: ServerAddress | undefined;
  /** Stops following; present while it is followed. */
  #following: AbortController | undefined;
  #ended: Promise<void> = Promise.resolve();
  #synced = false;
  #uid: string | undefined;
  #reached = false;
  #version: string | undefined;
  #looks = 0;
  #failure: Failure | undefined;
  #kept: string | undefined;
  #twin: string | undefined;
  /** Since when it cannot be followed, on the monotonic clock. */
  #since: number | undefined;
  #drained: MemberFacts["drained"] = "no";
  #drainedAt = 0;

  constructor(name: string, settings: MemberSettings, context: MemberContext) {
    this.name = name;
    this.#settings = settings;
    this.#context = context;
    this.#census = new NodeCensus(() => context.changed());
  }

  get settings(): MemberSettings {
    return this.#settings;
  }

  /** Its API; undefined while it was never reached, or is another member. */
  get client(): Client | undefined {
    return this.#following ? this.#client : undefined;
  }

  /** The UID of the cluster that it is, once known. */
  get uid(): string | undefined {
    return this.#uid;
  }

  /** Whether its whole state has entered the model. */
  get synced(): boolean {
    return this.#synced;
  }

  get podRanges(): readonly string[] {
    return this.#synced ? this.#census.podRanges : [];
  }

  /** Resolves when its whole state has entered the model, or it is known that this waits for a person. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Resolves when all that followed it has ended. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Takes what is wanted of it now. */
  configure(settings: MemberSettings): void {
    this.#settings = settings;
    this.#context.wake();
  }

  /**
   * Looks at how it stands, and does what that asks for.
   * @returns milliseconds after which to look again; undefined waits to be woken.
   */
  async look(): Promise<number | undefined> {
    const { access } = this.#settings;
    if (access.kind === "address") await this.#reach(access.address);
    else if (access.kind === "none") this.#settled.resolve();
    if (this.#end.signal.aborted) return undefined;
    if (this.#client) await this.#ask(this.#client);
    if (this.#end.signal.aborted) return undefined;
    const waitMs = this.#review();
    this.#context.changed();
    return this.#client ? waitMs : undefined;
  }

  /** How it stands. */
  get standing(): ClusterStanding {
    const { clock, overlaps } = this.#context;
    const { access, draining } = this.#settings;
    const now = clock.now();
    const end = this.#address && credentialsEnd(this.#address);
    const [first] = this.#unfollowed.values();
    const until = this.#deadline();
    return standingOf({
      ...(access.kind === "none" && { noAccess: access }),
      reached: this.#reached,
      ...(this.#failure && { failure: this.#failure }),
      ...(this.#kept !== undefined && { kept: this.#kept }),
      ...(end !== undefined && end - now < endSoonMs && { credentialsEnd: end }),
      ...(this.#twin !== undefined && { twin: this.#twin }),
      unfollowed: [...this.#unfollowed.keys()],
      ...(first && { unfollowedWhy: first }),
      synced: this.#synced,
      ...(until !== undefined && { servedUntil: now + until - clock.monotonic() }),
      draining,
      drained: this.#drained,
      overlaps: overlaps(),
      ...(this.#version !== undefined && { version: this.#version }),
      nodes: this.#census.count,
      ...(this.#uid !== undefined && { uid: this.#uid }),
      podRanges: this.podRanges,
    });
  }

  /** Ends it. What it held is to be forgotten. */
  [Symbol.dispose](): void {
    this.#end.abort();
    this.#following?.abort();
    this.#settled.resolve();
    this.#client?.connection[Symbol.dispose]();
  }

  /** Sees to it that its API is asked at an address. Credentials that work are not given up for such as do not. */
  async #reach(address: ServerAddress): Promise<void> {
    if (this.#address && canonical(this.#address) === canonical(address)) {
      this.#kept = undefined;
      return;
    }
    try {
      if (this.#client && this.#reached && !(await this.#tried(address))) return;
      if (this.#client) this.#client.connection.renew(address);
      else this.#client = new Client(new Connection(address, { clock: this.#context.clock }));
      this.#address = address;
      this.#kept = undefined;
      this.#backoff.reset();
      this.#context.logger.info("asking a cluster's API", { cluster: this.name, server: address.url });
    } catch (error) {
      this.#kept = messageOf(error);
      if (!this.#client) this.#failure = failureOf(error);
    }
  }

  /** Whether an address leads to the same cluster. */
  async #tried(address: ServerAddress): Promise<boolean> {
    using connection = new Connection(address, { clock: this.#context.clock });
    try {
      const uid = await clusterUid(new Client(connection));
      if (uid === this.#uid || this.#uid === undefined) return true;
      this.#kept =
        uid === undefined
          ? untold
          : `the kubeconfig leads to another cluster now (${uid}, not ${this.#uid}): remove this one, and add that one by its own name`;
    } catch (error) {
      this.#kept = failureOf(error).message;
      // Credentials that do not work any more keep nobody from trying others.
      if (this.#failure) return true;
    }
    return false;
  }

  /** Asks its API who it is. */
  async #ask(client: Client): Promise<void> {
    try {
      const uid = await clusterUid(client);
      if (this.#uid !== undefined && uid !== this.#uid) {
        const message = `another cluster answers at its address (${uid ?? ""}, not ${this.#uid})`;
        this.#failure =
          uid === undefined ? { reason: "NotAllowed", message: untold } : { reason: "Unreachable", message };
        // What it tells is not about this one, whose last known state stands.
        this.#stop();
        return;
      }
      this.#uid ??= uid;
      if (this.#version === undefined || this.#looks % versionLooks === 0) this.#version = await clusterVersion(client);
      this.#looks += 1;
      this.#reached = true;
      this.#failure = undefined;
      this.#backoff.reset();
    } catch (error) {
      this.#failure = failureOf(error);
      return;
    }
    this.#twin = this.#uid === undefined ? undefined : this.#context.twin(this.#uid);
    if (this.#twin !== undefined) {
      this.#settled.resolve();
      if (this.#following) this.#context.forget();
      this.#stop();
      this.#synced = false;
    } else if (!this.#end.signal.aborted) this.#follow(client);
  }

  #follow(client: Client): void {
    if (this.#following) return;
    const following = new AbortController();
    this.#following = following;
    const { signal } = following;
    const state: FollowState = ({ plural }, failure) => {
      if (signal.aborted) return;
      if (failure === undefined) this.#unfollowed.delete(plural);
      else {
        this.#unfollowed.set(plural, failureOf(failure));
        this.#since ??= this.#context.clock.monotonic();
      }
      this.#context.wake();
    };
    const { synced, done } = this.#context.follow(client, this.#census, state, signal);
    this.#ended = Promise.all([this.#ended, done]).then(() => undefined);
    void this.#takeIn(synced, signal);
  }

  async #takeIn(synced: Promise<void>, signal: AbortSignal): Promise<void> {
    await synced;
    if (signal.aborted) return;
    this.#synced = true;
    this.#settled.resolve();
    this.#context.wake();
  }

  /** Follows it no more; what is known of it stands. */
  #stop(): void {
    this.#following?.abort();
    this.#following = undefined;
    this.#unfollowed.clear();
  }

  /** When its last known endpoints are not called any more, on the monotonic clock. */
  #deadline(): number | undefined {
    return this.#since === undefined ? undefined : this.#since + this.#settings.tolerationMs;
  }

  /** Decides whether callers are led to it. @returns milliseconds after which to look again. */
  #review(): number {
    const { clock, drain, told } = this.#context;
    const now = clock.monotonic();
    const stale = this.#failure !== undefined || this.#unfollowed.size > 0;
    this.#since = stale ? (this.#since ?? now) : undefined;
    const deadline = this.#deadline();
    const drained = this.#settings.draining || (this.#synced && deadline !== undefined && now >= deadline);
    if (drained !== (this.#drained !== "no")) {
      this.#drained = drained ? "begun" : "no";
      this.#drainedAt = now;
      drain(drained);
      if (!this.#settings.draining)
        this.#context.logger.warn(drained ? "a cluster is away: it is not called any more" : "a cluster is back", {
          cluster: this.name,
        });
    }
    if (this.#drained === "begun" && now - this.#drainedAt >= sentMs && told()) this.#drained = "done";
    if (this.#drained === "begun") return sentMs;
    const regularMs = this.#failure ? this.#backoff.next() : wellMs * (0.75 + Math.random() / 4);
    return deadline === undefined || this.#drained !== "no"
      ? regularMs
      : Math.min(regularMs, Math.max(0, deadline - now));
  }
}
