import { type BatchOptions, BatchSchedule } from "#base/batch.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { SparingLog } from "#base/sparing-log.ts";
import type { Engine } from "#incremental/engine.ts";
import { Accounts } from "./accounts.ts";
import { SendBudget } from "./budget.ts";
import { Claims } from "./claims.ts";
import { ProxyClasses } from "./classes.ts";
import { Conduct, peerOf } from "./conduct.ts";
import { defaultLimits, type XdsLimits } from "./limits.ts";
import { HeldNames } from "./held-names.ts";
import { HostScopes } from "./host-scopes.ts";
import { Encoder, type Variant } from "./message.ts";
import { lastingTwins } from "./misconduct.ts";
import { OwedStore } from "./owed.ts";
import type { Part } from "./part.ts";
import { standingsOf } from "./standings.ts";
import type {
  Demand,
  DueEndpoints,
  ProxyFinding,
  ProxyStandings,
  ProxyStatus,
  ProxyStatusSource,
  ResourceSource,
} from "./port.ts";
import { Pushes } from "./pushes.ts";
import { Readmissions } from "./readmissions.ts";
import { Rounds } from "./rounds.ts";
import { TurnQueue } from "./schedule.ts";
import type { Admit } from "./gatekeeper.ts";
import type { SessionContext, Transport } from "./session-context.ts";
import { Session } from "./session.ts";
import { StatusFeed } from "./status.ts";
import { ScopeStore } from "./store.ts";

/** What serving xDS needs, whatever carries it. */
export interface HubOptions {
  readonly source: ResourceSource;
  /** The engine of the source's queries. */
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<XdsLimits>;
  /** Told which virtual hosts proxies ask for. */
  readonly demand?: Demand;
  /** Whether more changes wait to be taken in. */
  readonly pressed?: () => boolean;
  readonly batch?: Partial<BatchOptions>;
  /** Milliseconds after which it is looked again whether a stream may go on; ten seconds unless told. */
  readonly readmitMs?: number;
}

/** Figures of what was done and is held. */
export interface XdsFigures {
  readonly streams: number;
  readonly scopes: number;
  readonly views: number;
  /** Responses put together: each is shared by all streams at the same point. */
  readonly messagesEncoded: number;
  readonly bytesEncoded: number;
  readonly messagesSent: number;
  readonly bytesSent: number;
  /** Bytes that peers have not taken yet. */
  readonly bytesUnsent: number;
  /** Names that proxies are owed whose streams ended; what many are owed counts once. */
  readonly namesOwed: number;
  /** What proxies did that they should not, and that stands. */
  readonly findings: number;
}

const defaultBatch: BatchOptions = { quietMs: 20, longestMs: 200 };

/** All proxies of one server and what they share. Streams of any transport are opened into it. */
export class XdsHub implements ProxyStatusSource, Disposable {
  readonly limits: XdsLimits;
  readonly #options: HubOptions;
  readonly #sessions = new Set<Session>();
  readonly #store: ScopeStore;
  readonly #encoder: Encoder;
  readonly #classes: ProxyClasses;
  readonly #budget: SendBudget;
  readonly #turns: TurnQueue<Session>;
  readonly #batches: BatchSchedule;
  readonly #dirty = new Set<Part>();
  readonly #feed: StatusFeed;
  readonly #accounts: Accounts<Session>;
  /** By listening address. */
  readonly #claims = new Map<string, Claims>();
  readonly #conduct: Conduct;
  readonly #rounds: Rounds<Session>;
  readonly #settled: Disposable;
  readonly #readmissions: Readmissions<Session>;
  readonly #context: SessionContext;
  #messagesSent = 0;
  #bytesSent = 0;
  #closing = false;

  constructor(options: HubOptions) {
    const { engine, source, logger, clock } = options;
    this.#options = options;
    this.limits = { ...defaultLimits, ...options.limits };
    this.#turns = new TurnQueue(
      (session: Session) => session.pump(),
      () => clock.monotonic(),
    );
    this.#batches = new BatchSchedule({ ...defaultBatch, ...options.batch }, clock, () => this.#flush());
    this.#store = new ScopeStore({
      engine,
      source,
      logger,
      unknownNames: this.limits.unknownNamesPerType,
      changed: (parts) => this.#changed(parts),
    });
    // After the store, so that what changed goes with it.
    this.#settled = engine.onSettled(() => this.#began());
    this.#classes = new ProxyClasses(engine, source, logger);
    this.#encoder = new Encoder(new Date(clock.now()).toISOString());
    this.#budget = new SendBudget(this.limits, clock);
    this.#feed = new StatusFeed(clock);
    this.#accounts = new Accounts(this.limits, clock);
    this.#conduct = new Conduct(clock, this.limits, logger, () => this.#feed.changed());
    const turn = (session: Session): void => this.#turns.add(session);
    this.#rounds = new Rounds({ clock, pressed: () => options.pressed?.() === true, turn });
    this.#context = this.#sessionContext();
    this.#readmissions = new Readmissions(this.#sessions, clock, options.readmitMs);
  }

  /**
   * Takes a new stream in; its requests are given to the session that is returned.
   * @param admit says whether it may be the proxy that it says it is.
   * @param address where it came in, for people.
   */
  open(variant: Variant, transport: Transport, admit?: Admit, address = ""): Session {
    const session = new Session(variant, transport, this.#context, this.#claimsOf(address), admit);
    this.#sessions.add(session);
    if (this.#closing) session.end(new WeftError("Unavailable", "the server is shutting down"));
    return session;
  }

  #claimsOf(address: string): Claims {
    const claims = this.#claims.get(address) ?? new Claims(address, this.limits, this.#options.clock);
    this.#claims.set(address, claims);
    return claims;
  }

  proxies(): readonly ProxyStatus[] {
    return statusesOf(this.#latest());
  }

  refusing(): readonly ProxyStatus[] {
    return statusesOf(this.#latest().filter((session) => session.standing() === "NACKED"));
  }

  standings(): ProxyStandings {
    return standingsOf(this.#latest());
  }

  connected(node: string): boolean {
    return this.#accounts.newest(node) !== undefined;
  }

  endpoints(node: string): DueEndpoints | undefined {
    return this.#accounts.newest(node)?.endpoints();
  }

  findings(): readonly ProxyFinding[] {
    this.#noteTwins();
    return this.#conduct.findings();
  }

  onChange(callback: () => void): Disposable {
    return this.#feed.onChange(callback);
  }

  /**
   * Whether most proxies have not taken all of what changed. While new clusters come faster than they answer, the routes that
   * wait for them would never go out; and proxies that stand at many points share nothing.
   */
  get busy(): boolean {
    return this.#turns.size > 0 || this.#rounds.isLong(this.#sessions.size);
  }

  figures(): XdsFigures {
    const { scopes, views } = this.#store.size;
    const { messages, bytes } = this.#encoder.encoded;
    return {
      streams: this.#sessions.size,
      scopes,
      views,
      messagesEncoded: messages,
      bytesEncoded: bytes,
      messagesSent: this.#messagesSent,
      bytesSent: this.#bytesSent,
      bytesUnsent: this.#budget.unsent,
      namesOwed: this.#context.owed.names,
      findings: this.#conduct.findings().length,
    };
  }

  /**
   * Ends the streams spread over time, so that the proxies do not all connect elsewhere at once. New ones are refused.
   * @param overMs milliseconds.
   */
  async drain(overMs: number): Promise<void> {
    this.#closing = true;
    const { clock } = this.#options;
    const started = clock.monotonic();
    const sessions = [...this.#sessions];
    for (const [at, session] of sessions.entries()) {
      const wait = (overMs * at) / sessions.length - (clock.monotonic() - started);
      if (wait > shortestWaitMs) await clock.sleep(wait);
      session.end();
    }
  }

  /** Has some proxies connect anew: those that have been here the longest. */
  move(count: number): void {
    for (const session of [...this.#sessions].slice(0, count)) session.move();
  }

  [Symbol.dispose](): void {
    this.#closing = true;
    for (const session of this.#sessions) session.end();
    for (const part of [
      this.#settled,
      this.#readmissions,
      this.#batches,
      this.#budget,
      this.#classes,
      this.#store,
      this.#conduct,
      this.#feed,
    ])
      part[Symbol.dispose]();
  }

  #sessionContext(): SessionContext {
    const { clock, logger } = this.#options;
    return {
      pushes: new Pushes(this.#store, this.#encoder, this.limits.rememberedBytes),
      clock,
      logger,
      ended: new SparingLog(logger, clock),
      limits: this.limits,
      accounts: this.#accounts,
      held: new HeldNames(),
      conduct: this.#conduct,
      budget: this.#budget,
      owed: new OwedStore(),
      join: (session, node, virtualHosts) => this.#classes.join(session, node, virtualHosts),
      hostScopes: new HostScopes(this.#options.source),
      demand: this.#options.demand,
      due: (session) => this.#turns.add(session),
      rounds: this.#rounds,
      sent: (messages) => {
        this.#messagesSent += messages.length;
        for (const { length } of messages) this.#bytesSent += length;
      },
      changed: () => this.#feed.changed(),
      left: (session) => {
        this.#sessions.delete(session);
        this.#turns.remove(session);
        this.#rounds.left(session);
        this.#classes.leave(session);
        this.#feed.changed();
      },
    };
  }

  /** The newest stream of each proxy that has said who it is. */
  #latest(): readonly Session[] {
    const byId = new Map<string, Session>();
    for (const session of this.#sessions) if (session.node) byId.set(session.node.id, session);
    return [...byId.values()];
  }

  /** Streams of one proxy that have lasted side by side for longer than a hot restart takes. */
  #noteTwins(): void {
    const since = this.#options.clock.now() - this.limits.twinMs;
    for (const streams of this.#accounts.repeated()) {
      const lasting = streams.filter(({ connectedAt }) => connectedAt < since);
      const [{ node } = {}] = lasting;
      if (lasting.length < 2 || !node) continue;
      this.#conduct.note(peerOf(node), "ProxyDuplicated", lastingTwins(lasting.length, this.limits));
    }
  }

  #changed(parts: readonly Part[]): void {
    for (const part of parts) this.#dirty.add(part);
    this.#batches.changed();
  }

  /** A change was taken in; where it concerns somebody, what was put off goes out with it. */
  #began(): void {
    if (this.#dirty.size === 0) this.#rounds.begin();
  }

  #flush(): void {
    for (const part of this.#dirty) for (const user of part.users()) user.due();
    this.#dirty.clear();
    this.#rounds.begin();
  }
}

function statusesOf(sessions: readonly Session[]): readonly ProxyStatus[] {
  const statuses = sessions.flatMap((session) => session.status() ?? []);
  return statuses.toSorted((a, b) => (a.node.id < b.node.id ? -1 : 1));
}

/** Milliseconds below which it is not worth to wait. */
const shortestWaitMs = 5;
