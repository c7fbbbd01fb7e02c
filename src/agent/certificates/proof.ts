import type { ProxyTrust } from "#api/kubernetes/proxy-trust.ts";
import type { Clock } from "#base/clock.ts";

/** A secret that a proxy is served, as far as proof of it goes. */
export interface ServedSecret {
  /** The version that it is sent as. */
  readonly version: string;
  /** The roots that it is about. */
  readonly roots: readonly string[];
}

/** What a proxy is served, and what it says of that. */
export interface ProofOptions {
  /** The certificate, with the root that it leads to; undefined before there is one. */
  readonly certificate: () => ServedSecret | undefined;
  /** The authorities that peers are checked by. */
  readonly authorities: () => ServedSecret | undefined;
  /** The roots that the agent checks the control plane by. */
  readonly controlPlane: () => readonly string[];
  /** The version of the mesh's authority that the agent has heard of last. */
  readonly version: () => string;
  /** Versions that the proxy's streams have acknowledged, undefined for one that has none yet; nothing where no stream asks. */
  readonly acknowledged: (what: "certificate" | "authorities") => ReadonlySet<string | undefined>;
  readonly clock: Clock;
  /** Told when the proof is another one. */
  readonly changed: () => void;
}

/**
 * What is proven of a proxy: what it holds, or that this is not known for now; undefined before anything is known, when what an
 * earlier agent wrote still holds.
 */
export type Proof = { readonly kind: "held"; readonly trust: ProxyTrust } | { readonly kind: "pending" } | undefined;

/** Milliseconds in which a proxy acknowledges what it is sent; only who takes longer is told of. */
const pendingMs = 2000;
/** Milliseconds by which timers may be early. */
const earlyMs = 10;
/** Milliseconds after which a proxy that asks for no secret uses none: Envoy opens streams again within 30 seconds. */
const unaskedMs = 60_000;

/** Watches what one proxy has acknowledged of its certificate and its authorities: that is what it works with. */
export class TrustProof implements Disposable {
  readonly #options: ProofOptions;
  #timer: Disposable | undefined;
  #due = Infinity;
  /** When each was last asked for, or the watch began. */
  readonly #asked: Record<"certificate" | "authorities", number>;
  #held: ProxyTrust | undefined;
  /** Since when it has not acknowledged all. */
  #pendingSince: number | undefined;
  #told = JSON.stringify("");

  constructor(options: ProofOptions) {
    this.#options = options;
    const now = options.clock.monotonic();
    this.#asked = { certificate: now, authorities: now };
  }

  /** The proof as it is now. */
  get current(): Proof {
    const since = this.#pendingSince;
    if (since !== undefined && this.#options.clock.monotonic() - since >= pendingMs) return { kind: "pending" };
    return this.#held && { kind: "held", trust: this.#held };
  }

  /** Something was served, acknowledged, asked for or given up. */
  look(): void {
    const held = this.#acknowledged();
    if (held) {
      this.#held = held;
      this.#pendingSince = undefined;
    } else if (this.#pendingSince === undefined) {
      this.#pendingSince = this.#options.clock.monotonic();
      this.#later(pendingMs);
    }
    const now = JSON.stringify(this.current ?? "");
    if (now === this.#told) return;
    this.#told = now;
    this.#options.changed();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  /** Looks again after some milliseconds, or earlier where that is due. */
  #later(ms: number): void {
    const { clock } = this.#options;
    const due = clock.monotonic() + ms + earlyMs;
    if (due >= this.#due) return;
    this.#due = due;
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.after(ms + earlyMs, () => {
      this.#due = Infinity;
      this.look();
    });
  }

  #acknowledged(): ProxyTrust | undefined {
    const { certificate, authorities, controlPlane, version } = this.#options;
    const [own, peers] = [certificate(), authorities()];
    const [issuer] = own?.roots ?? [];
    if (!own || !peers || issuer === undefined) return undefined;
    if (!this.#isTaken("certificate", own) || !this.#isTaken("authorities", peers)) return undefined;
    return { issuer, roots: peers.roots, controlPlane: controlPlane(), version: version() };
  }

  #isTaken(what: "certificate" | "authorities", { version }: ServedSecret): boolean {
    const { acknowledged, clock } = this.#options;
    const versions = acknowledged(what);
    if (versions.size === 0) {
      const missing = this.#asked[what] + unaskedMs - clock.monotonic();
      if (missing > 0) this.#later(missing);
      return missing <= 0;
    }
    this.#asked[what] = clock.monotonic();
    return versions.size === 1 && versions.has(version);
  }
}
