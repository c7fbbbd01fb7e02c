import {
  advance,
  type HeldTrust,
  objection,
  type RotationGoal,
  type RotationPlan,
  type RotationStage,
} from "../rotation.ts";

/** Ticks after which whoever is alive has heard, answered or written what is due. */
const lag = 3;
/** Ticks for which everybody must have proven what a step needs: all that may be on its way has then arrived. */
const settle = 5 * lag;

/** What happens to a mesh at random. */
export interface Happening {
  readonly kind: "tick" | "abort" | "restart" | "join" | "leave" | "die" | "return" | "behind";
  /** To which proxy or replica. */
  readonly who: number;
  /** Who of those that may be late is. */
  readonly late: number;
}

/** The authority at a time: its stage, and how often it was written. */
interface Written {
  readonly stage: RotationStage;
  readonly version: number;
}

/** One of the control plane's replicas: it knows the authority of a moment ago. */
interface Replica {
  known: Written;
  heard: number;
}

/** A proxy, its agent, and what is on its way between them and the control plane. */
interface Proxy {
  readonly created: number;
  alive: boolean;
  published: Written;
  extra: readonly string[];
  leaf: string | undefined;
  /** The certificate came with other roots than those that are published: another is asked for. */
  doubtful: boolean;
  /** A certificate on its way, and the roots that come with it. */
  coming: { readonly leaf: string; readonly roots: readonly string[] } | undefined;
  envoy: { issuer: string | undefined; roots: readonly string[] | undefined };
  told: HeldTrust | undefined;
  since: Record<"hear" | "issue" | "arrive" | "take" | "trust" | "tell", number>;
}

/** A mesh with two replicas and a few proxies in the middle of a rotation, in which everything that may be late is. */
export class RotatingMesh {
  goal: RotationGoal = "new";
  over = false;
  readonly #plan: RotationPlan;
  readonly #careless: boolean;
  readonly #proxies: Proxy[] = [];
  readonly #replicas: readonly Replica[];
  /** What the Secret holds. */
  #secret: Written = { stage: "Unchanged", version: 0 };
  /** Whose roots the ConfigMap holds. */
  #published = this.#secret;
  #provenFor = 0;
  #stageSince = 0;
  #now = 0;

  /** @param careless steps are taken without proof. */
  constructor(plan: RotationPlan, careless = false) {
    this.#plan = plan;
    this.#careless = careless;
    this.#replicas = [0, 1].map(() => ({ known: this.#secret, heard: 0 }));
    for (let count = 0; count < 3; count += 1) this.#join();
  }

  get stage(): RotationStage {
    return this.#secret.stage;
  }

  /** Lets something happen, and a moment pass. */
  take({ kind, who, late }: Happening): void {
    const proxy = this.#proxies[who % Math.max(1, this.#proxies.length)];
    if (kind === "abort") this.goal = this.over ? this.goal : "old";
    else if (kind === "restart") this.#provenFor = 0;
    else if (kind === "join" && this.#proxies.length < 5) this.#join();
    else if (kind === "leave" && this.#proxies.length > 2) this.#proxies.splice(who % this.#proxies.length, 1);
    else if (kind === "die" && proxy) Object.assign(proxy, { alive: false, coming: undefined });
    else if (kind === "return" && proxy && !proxy.alive) {
      Object.assign(proxy, { alive: true, leaf: undefined, published: this.#published, extra: [] });
    }
    this.#tick(late);
  }

  /** Brings all that are away back, and waits until the rotation is over. */
  end(): void {
    for (const proxy of this.#proxies)
      if (!proxy.alive) this.take({ kind: "return", who: this.#proxies.indexOf(proxy), late: 0 });
    for (let ticks = 0; ticks < 1000 && !this.over; ticks += 1) this.#tick(0);
  }

  /** Who cannot speak with whom; undefined where everybody can with everybody. */
  get broken(): string | undefined {
    for (const [at, { envoy }] of this.#proxies.entries()) {
      for (const [other, { envoy: peer }] of this.#proxies.entries()) {
        if (envoy.issuer === undefined || peer.roots === undefined || peer.roots.includes(envoy.issuer)) continue;
        return `in ${this.stage}, ${other} trusts ${peer.roots.join()} and ${at} has a certificate of ${envoy.issuer}`;
      }
    }
    return undefined;
  }

  #join(): void {
    const due = this.#now;
    this.#proxies.push({
      created: this.#now,
      alive: true,
      published: this.#published,
      extra: [],
      leaf: undefined,
      doubtful: false,
      coming: undefined,
      envoy: { issuer: undefined, roots: undefined },
      told: undefined,
      since: { hear: due, issue: due, arrive: due, take: due, trust: due, tell: due },
    });
  }

  #tick(late: number): void {
    this.#now += 1;
    for (const [at, replica] of this.#replicas.entries()) {
      if (replica.known === this.#secret) replica.heard = this.#now;
      if ((late >> at) % 2 === 0 || this.#now - replica.heard >= lag) replica.known = this.#secret;
      if (replica.known.version > this.#published.version) this.#published = replica.known;
    }
    for (const [at, proxy] of this.#proxies.entries()) if (proxy.alive) this.#live(proxy, late >> (at + 4));
    this.#step();
  }

  /** What an agent and its Envoy do, each part now or a little later. */
  #live(proxy: Proxy, late: number): void {
    const parts = ["hear", "issue", "arrive", "trust", "take", "tell"] as const;
    for (const [at, part] of parts.entries()) {
      const waits = (late >> at) % 2 === 1 && this.#now - proxy.since[part] < lag;
      if (waits) continue;
      proxy.since[part] = this.#now;
      this.#part(proxy, part, late);
    }
  }

  #part(proxy: Proxy, part: keyof Proxy["since"], late: number): void {
    const authority = this.#plan[(this.#replicas[late % 2]?.known ?? this.#secret).stage];
    const published = this.#plan[proxy.published.stage].roots;
    if (part === "hear" && proxy.published !== this.#published) {
      Object.assign(proxy, { published: this.#published, extra: [], leaf: undefined });
    } else if (
      part === "issue" &&
      (proxy.leaf === undefined || proxy.doubtful) &&
      published.includes(authority.signer)
    ) {
      // The control plane's own certificate is of the same authority: who does not trust that asks another replica.
      proxy.coming ??= { leaf: authority.signer, roots: authority.roots };
    } else if (part === "arrive" && proxy.coming) {
      const { leaf, roots } = proxy.coming;
      Object.assign(proxy, { leaf, extra: roots, doubtful: roots !== published, coming: undefined });
    } else if (part === "trust") proxy.envoy.roots = [...new Set([...published, ...proxy.extra])];
    else if (part === "take" && proxy.leaf !== undefined) proxy.envoy.issuer = proxy.leaf;
    else if (part === "tell" && proxy.envoy.issuer !== undefined && proxy.envoy.roots !== undefined) {
      const { issuer, roots } = proxy.envoy;
      proxy.told = { issuer, roots, controlPlane: published, version: String(proxy.published.version) };
    }
  }

  /** What the controller does in its turn. */
  #step(): void {
    if (this.over) return;
    const [plan, { stage, version }] = [this.#plan, this.#secret];
    const place = { plan, stage, goal: this.goal, version: String(version) };
    const objects = this.#proxies.some(({ told, created }) =>
      told ? objection(told, place) !== undefined : created <= this.#stageSince + settle,
    );
    this.#provenFor = objects ? 0 : this.#provenFor + 1;
    const step = advance({ plan, stage, goal: this.goal, proven: this.#careless || this.#provenFor > settle });
    if (step === "done") this.over = true;
    else if (step !== "stay") {
      this.#secret = { stage: step, version: version + 1 };
      this.#provenFor = 0;
      this.#stageSince = this.#now;
    }
  }
}
