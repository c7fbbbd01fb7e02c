import type { Clock } from "#base/clock.ts";
import type { TypeUrl } from "#proto/encoded.ts";
import type { Account, Accounts, Charge } from "./accounts.ts";
import type { Claims } from "./claims.ts";
import { type Conduct, type Misconduct, type Peer, peerOf, unnamed } from "./conduct.ts";
import type { HeldNames } from "./held-names.ts";
import type { NameSet } from "./names.ts";
import type { ConductCode, ProxyNode } from "./port.ts";
import type { XdsLimits } from "./limits.ts";
import { tooManyNewcomers } from "./misconduct.ts";

/** What the restraints of all streams share. */
export interface RestraintContext<S> {
  readonly accounts: Accounts<S>;
  readonly held: HeldNames<S>;
  readonly conduct: Conduct;
  readonly clock: Clock;
  readonly limits: XdsLimits;
}

/** A stream that can be left unread: what its peer sends meanwhile waits with the peer. */
export interface Readable {
  pause(): void;
  resume(): void;
}

type Told = readonly [code: ConductCode, what: string];

/** What is said of a proxy that has overdrawn an allowance. */
function toldOf(charge: Charge, limits: XdsLimits): Told {
  const slowed = "it is listened to no faster than that. Find out what speaks for it";
  switch (charge) {
    case "requests":
      return ["ProxyFloods", `sends more than ${limits.requestsPerSecond} requests a second; ${slowed}`];
    case "requestBytes":
      return ["ProxyFloods", `sends requests of more than ${limits.requestBytesPerSecond} bytes a second; ${slowed}`];
    case "names": {
      const limit = `more than ${limits.namesPerSecond} names a second in changed subscriptions`;
      return ["ProxyFloods", `changes what it asks for all the time (${limit}); ${slowed}`];
    }
    case "answeredBytes": {
      const limit = `more than ${limits.answeredBytesPerSecond} bytes a second`;
      return ["ProxyFloods", `asks again and again for what it was sent (${limit}); ${slowed}`];
    }
    case "streams":
      return ["ProxyReconnects", reconnecting(limits)];
  }
}

function reconnecting({ reconnectsPerMinute }: XdsLimits): string {
  return `connects more than ${reconnectsPerMinute} times a minute, and waits the longer the more often it does. Look at its log and its restarts`;
}

/**
 * Keeps one stream to what its proxy may spend. Who overdraws it is not disconnected, which would cost a first sync
 * more: it is not listened to until the debt is paid.
 */
export class Restraint<S> implements Disposable {
  readonly #context: RestraintContext<S>;
  readonly #stream: Readable;
  readonly #session: S;
  readonly #claims: Claims;
  #account: Account<S>;
  #peer: Peer = unnamed;
  #paused: Disposable | undefined;

  constructor(session: S, stream: Readable, context: RestraintContext<S>, claims: Claims) {
    this.#claims = claims;
    this.#session = session;
    this.#stream = stream;
    this.#context = context;
    this.#account = context.accounts.anonymous();
  }

  /** The proxy spends some of an allowance. */
  spend(charge: Charge, amount: number): void {
    this.#account.spend(charge, amount);
  }

  /**
   * The proxy asks for other names of a type.
   * @returns streams to end, because all together ask for more than may be: those that ask for the most.
   */
  *asks(type: TypeUrl, names: NameSet): Generator<S> {
    const { held, limits } = this.#context;
    this.spend("names", names.size);
    held.set(this.#session, type, names);
    while (held.total > limits.namesInAll) {
      const heaviest = held.heaviest();
      if (!heaviest) return;
      yield heaviest.stream;
    }
  }

  /** The proxy did something that it should not. */
  note(code: ConductCode, what: string): void {
    this.#context.conduct.note(this.#peer, code, what);
  }

  /** The stream is ended for what the proxy did, which would cost as much again: it waits before it is served anew. */
  ended({ conduct, code, what }: Misconduct): void {
    this.note(conduct, what);
    if (code !== "Unavailable" && conduct !== "ProxyDuplicated") this.#account.spend("streams", Infinity);
  }

  /** The proxy refused a response. */
  refused(): void {
    if (this.#account.refusals.spend(1)) return;
    const { refusalBurst } = this.#context.limits;
    const what = `refused what it was sent more than ${refusalBurst} times; see weft proxy-status for what and why`;
    this.note("ProxyRefusesAgain", what);
  }

  /**
   * The proxy said who it is.
   * @param serve called now, or when nothing is overdrawn any more.
   * @returns the proxy's streams, the oldest first.
   * @throws Misconduct when there are too many of them.
   */
  introduced(node: ProxyNode, serve: () => void): ReadonlySet<S> {
    const { accounts, conduct, limits } = this.#context;
    const newcomerMs = this.#claims.enter(node.id, !accounts.knows(node.id));
    // Told of nobody: findings about ids that somebody makes up would push out all others.
    if (newcomerMs > 0) conduct.note(unnamed, "ProxyClaimsMany", tooManyNewcomers(this.#claims.address, limits));
    this.#peer = peerOf(node);
    this.#account = accounts.enter(node.id, this.#session);
    this.#account.spend("streams", 1);
    if (!this.#account.reconnects.spend(1)) this.note("ProxyReconnects", reconnecting(limits));
    const debt = this.#account.debt();
    if (debt && debt.charge !== "streams") this.note(...toldOf(debt.charge, limits));
    const waitMs = Math.max(newcomerMs, debt?.ms ?? 0);
    if (waitMs > 0) this.#wait(waitMs, serve);
    else serve();
    return this.#account.streams;
  }

  /** Stops listening while something is overdrawn. */
  settle(): void {
    if (this.#paused) return;
    const debt = this.#account.debt();
    if (!debt) return;
    this.note(...toldOf(debt.charge, this.#context.limits));
    this.#wait(debt.ms, () => undefined);
  }

  /** Lets go of the account; listens again, so that the end of the stream is heard. */
  [Symbol.dispose](): void {
    if (this.#peer !== unnamed) this.#claims.leave(this.#peer.node);
    this.#context.accounts.leave(this.#peer.node, this.#session);
    this.#context.held.leave(this.#session);
    if (!this.#paused) return;
    this.#paused[Symbol.dispose]();
    this.#stream.resume();
  }

  #wait(ms: number, resume: () => void): void {
    this.#stream.pause();
    this.#paused = this.#context.clock.after(ms, () => {
      this.#paused = undefined;
      this.#stream.resume();
      resume();
    });
  }
}
