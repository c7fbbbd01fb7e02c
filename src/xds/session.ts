import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import { typeUrls, type TypeUrl } from "#proto/encoded.ts";
import { type Base, nothing, told } from "./base.ts";
import type { Claims } from "./claims.ts";
import type { ProxyClass } from "./classes.ts";
import { Misconduct } from "./conduct.ts";
import { checkNames, checkSubscription } from "./limits.ts";
import { Admission } from "./admission.ts";
import type { Admit } from "./gatekeeper.ts";
import type { Variant } from "./message.ts";
import type { AskingProxy, DueEndpoints, ProxyNode, ProxyStatus, ScopeKey, TypeState } from "./port.ts";
import { changesNode, fallsBehind, foreignAnswer, isPlain, namelessStream, neverReads } from "./misconduct.ts";
import { oddNodeId, saysNothing, shortened, tooManyInAll, tooManyStreams } from "./misconduct.ts";
import { PushOrder } from "./order.ts";
import { NameSet } from "./names.ts";
import type { OwedNames } from "./owed.ts";
import type { Push } from "./pushes.ts";
import type { Request } from "./request.ts";
import { Restraint } from "./restraint.ts";
import type { Grant, Lane } from "./budget.ts";
import { deltaStep, sotwStep } from "./subscription.ts";
import type { Subscription } from "./shown.ts";
import type { SessionContext, Transport } from "./session-context.ts";
import { Watch } from "./watch.ts";
import { Watches } from "./watches.ts";
import { virtualHostUse } from "./host-scopes.ts";

const servedTypes: ReadonlySet<string> = new Set(Object.values(typeUrls));

/** Types that are asked for as a whole, of which single ones are asked for when a request wants them. */
const demanded: ReadonlySet<TypeUrl> = new Set([typeUrls.cluster, typeUrls.virtualHost]);

/** Milliseconds that a peer has to take what it was sent, and its status, when its stream is ended. */
const lastChanceMs = 1000;

/** One proxy's stream. */
export class Session {
  readonly connectedAt: number;
  readonly #variant: Variant;
  readonly #transport: Transport;
  readonly #context: SessionContext;
  readonly #admission: Admission;
  readonly #watches = new Watches();
  readonly #order: PushOrder;
  readonly #restraint: Restraint<Session>;
  /** Requests that wait until the proxy is served. */
  #held: Request[] = [];
  readonly #introduction: Disposable;
  #node: ProxyNode | undefined;
  #class: ProxyClass | undefined;
  /** Present when the proxy asks for virtual hosts by name. */
  #asking: AskingProxy | undefined;
  /** A response waits for room, or for the peer to take it. */
  #sending = false;
  #grant: Grant | undefined;
  #ended = false;
  /** What was told last of whether the proxy has all of what changed. */
  #owing = false;

  constructor(variant: Variant, transport: Transport, context: SessionContext, claims: Claims, admit?: Admit) {
    const { clock, limits } = context;
    this.#admission = new Admission(admit, {
      admitted: (node) => this.#guarded(() => this.#introduced(node)),
      refused: (reason) => this.#failed(reason),
      pause: () => transport.pause(),
      resume: () => transport.resume(),
    });
    this.#variant = variant;
    this.#transport = transport;
    this.#context = context;
    this.connectedAt = clock.now();
    this.#order = new PushOrder({
      watch: (type) => this.#watches.get(type),
      sets: context.pushes.sets,
      clock,
      timeoutMs: limits.orderTimeoutMs,
      expired: () => this.pump(),
    });
    this.#restraint = new Restraint(this, transport, context, claims);
    this.#introduction = clock.after(limits.introductionMs, () => this.end(saysNothing(limits)));
  }

  /** What the proxy says of itself; undefined before its first request. */
  get node(): ProxyNode | undefined {
    return this.#node;
  }

  /**
   * Takes a request in; one that cannot be served ends the stream.
   * @param read decodes the request, or throws.
   * @param bytes how long it is.
   */
  receive(read: () => Request, bytes = 0): void {
    if (!this.#ended) this.#guarded(() => this.#receive(read, bytes));
  }

  /** Sends what is due, as far as order, acknowledgements and flow control allow. */
  pump(): void {
    this.#guarded(() => this.#pump());
    this.#settle();
  }

  /** Tells whether the proxy has all of what changed. */
  #settle(): void {
    const owes = !this.#ended && this.#watches.unsettled(this.#context.rounds.pressed);
    if (owes === this.#owing) return;
    this.#owing = owes;
    this.#context.rounds.owes(this, owes);
  }

  /** A fault ends this stream and no other. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (fault) {
      this.#failed(fault);
    }
  }

  #failed(fault: unknown): void {
    this.end(fault instanceof WeftError ? fault : new WeftError("Internal", "the stream failed", fault));
  }

  /** Looks again whether the stream may go on; one that may not is ended with the reason. */
  readmit(): void {
    if (!this.#ended) void this.#admission.again();
  }

  #pump(): void {
    if (this.#ended || this.#sending || this.#watches.still) return;
    const { rounds } = this.#context;
    // What follows from a change goes with the next, while more wait.
    if (rounds.pressed && !this.#watches.urgent) {
      rounds.putOff(this);
      return;
    }
    // All that may go out now leaves as one write: what comes later in it may build on what comes before.
    const pushes: Push[] = [];
    let isNew = false;
    for (const watch of this.#watches.stirred()) {
      if (watch.late) watch.retry(this.#order.missing());
      if (!watch.pending || watch.outstanding || !this.#order.mayPush(watch.type)) continue;
      isNew ||= watch.isNew;
      this.#push(watch, pushes);
    }
    // Last what may be taken away now that nothing waits for its turn before it.
    for (const watch of this.#watches.stirred()) {
      if (watch.outstanding || !watch.mayTidy(this.#order)) continue;
      // Nor in a response of its own.
      if (!watch.keepsMuch && rounds.pressed) rounds.putOff(this);
      else this.#push(watch, pushes);
    }
    this.#watches.rest();
    if (pushes.length > 0) this.#send(pushes, isNew ? "sync" : "change");
  }

  /** Adds a watch's next response to those that are sent, if there is one; the stream is ended where that is not known any more. */
  #push(watch: Watch, pushes: Push[]): void {
    if (watch.lost) throw fallsBehind();
    const { asks } = watch;
    const push = watch.next(this.#order);
    if (!push) return;
    if (asks) this.#restraint.spend("answeredBytes", push.message.length);
    watch.sent(push);
    this.#order.sent(watch.type, push.difference);
    this.#followUp(watch.type, push);
    pushes.push(push);
  }

  /** The class's scopes changed. */
  rescope(): void {
    for (const watch of this.#watches.all()) watch.scope(this.#scopesOf(watch.type));
  }

  /** The scopes of a type; of virtual hosts those of the route configurations that are asked for. */
  #scopesOf(type: TypeUrl): readonly ScopeKey[] {
    if (type !== typeUrls.virtualHost) return this.#class?.scopes[type] ?? [];
    return this.#hostScopes(this.#watches.get(typeUrls.route)?.subscription?.names ?? []);
  }

  /** The scopes of the virtual hosts of route configurations. */
  #hostScopes(configurations: Iterable<string>): readonly ScopeKey[] {
    const { hostScopes, pushes } = this.#context;
    const scopes = this.#class?.scopes[typeUrls.virtualHost] ?? [];
    if (scopes.length === 0) return scopes;
    const names = configurations instanceof NameSet ? configurations : pushes.sets.of(configurations);
    return hostScopes.of(scopes, names);
  }

  /** How the proxy stands; undefined before its first request. */
  status(): ProxyStatus | undefined {
    if (!this.#node) return undefined;
    const never: TypeState = { state: "NEVER", version: "", since: this.connectedAt };
    const virtualHosts = virtualHostUse(this.#node, this.#variant);
    return { node: this.#node, connectedAt: this.connectedAt, virtualHosts, types: this.#watches.states(never) };
  }

  /** The endpoints that it is to hold; undefined where it has not asked for any. */
  endpoints(): DueEndpoints | undefined {
    const view = this.#watches.get(typeUrls.endpoints)?.shown;
    return view && { view, revision: view.revision, resources: () => view.resources() };
  }

  /** How the proxy stands with all types together: `NACKED` where it refuses something, `STALE` where it lacks something. */
  standing(): "SYNCED" | "STALE" | "NACKED" {
    return this.#watches.standing;
  }

  /** Ends the stream so that its proxy connects anew, to a replica that has fewer where there are several. */
  move(): void {
    if (this.#ended) return;
    this.#transport.retire();
    this.end();
  }

  /** Ends the stream and lets go of everything. */
  end(reason?: WeftError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#introduction[Symbol.dispose]();
    this.#order[Symbol.dispose]();
    if (this.#node) this.#context.owed.keep(this.#node.id, this.#debts());
    for (const watch of this.#watches.all()) watch.dispose();
    this.#context.left(this);
    if (this.#asking) this.#context.demand?.left(this.#asking);
    this.#transport.end(reason);
    this.#abandon(reason);
    this.#restraint[Symbol.dispose]();
    this.#held = [];
  }

  /** A status waits behind what was sent: whoever does not take that must not keep it in memory, nor go on sending. */
  #abandon(reason: WeftError | undefined): void {
    if (this.#grant) this.#context.budget.taken(this.#grant);
    if (reason ?? this.#grant) this.#context.clock.after(lastChanceMs, () => this.#transport.abort());
    if (reason instanceof Misconduct) this.#restraint.ended(reason);
    else if (reason) {
      const fields = { node: this.#node?.id ?? "", code: reason.code, reason: messageOf(reason) };
      this.#context.ended.say("warn", "an xDS stream was ended", fields);
    }
  }

  #receive(read: () => Request, bytes: number): void {
    const request = read();
    const { node } = request;
    if (this.#class) this.#take(request);
    else if (this.#held.push(request) === 1) this.#introduce(node);
    this.#restraint.spend("requests", 1);
    this.#restraint.spend("requestBytes", bytes);
    if (this.#class) this.#restraint.settle();
  }

  #introduce(claimed: ProxyNode | undefined): void {
    this.#introduction[Symbol.dispose]();
    if (!claimed) {
      this.#restraint.note("ProxyInvalidRequest", namelessStream);
      throw new WeftError("InvalidArgument", "the first request of a stream must hold the node");
    }
    if (!isPlain(claimed.id)) throw oddNodeId();
    // Before it can do anything to the proxy that it says it is.
    this.#admission.begin(claimed);
  }

  #introduced(node: ProxyNode): void {
    if (this.#ended) return;
    const { limits } = this.#context;
    const streams = this.#restraint.introduced(node, () => this.#guarded(() => this.#begin(node)));
    const [oldest] = streams;
    if (streams.size > limits.streamsPerProxy) oldest?.end(tooManyStreams(limits));
  }

  /** The proxy is served from now on. */
  #begin(node: ProxyNode): void {
    this.#enter(node);
    const held = this.#held;
    this.#held = [];
    for (const request of held) if (!this.#ended) this.#take(request);
  }

  #take(request: Request): void {
    this.#checkNode(request.node);
    if (!servedTypes.has(request.typeUrl)) {
      this.#context.logger.debug("a type was asked for that is not served", { type: request.typeUrl });
      return;
    }
    const watch = this.#watch(request.typeUrl as TypeUrl);
    this.#answered(watch, request);
    this.#asked(watch, request);
    if (watch.type === typeUrls.route)
      this.#watches.get(typeUrls.virtualHost)?.scope(this.#scopesOf(typeUrls.virtualHost));
    // Answers come several at a time: what they let go goes out together.
    if (!this.#watches.still) this.#context.due(this);
    else if (this.#owing) this.#settle();
  }

  /** @throws Misconduct when the proxy says that it is another than it said before. */
  #checkNode(node: ProxyNode | undefined): void {
    if (!node || node.id === "" || node.id === this.#node?.id) return;
    throw changesNode(node.id);
  }

  #enter(node: ProxyNode): void {
    const use = virtualHostUse(node, this.#variant);
    try {
      this.#class = this.#context.join(this, node, use);
    } catch (fault) {
      if (codeOf(fault) === "InvalidArgument") {
        this.#restraint.note("ProxyInvalidNode", `cannot be served: ${shortened(messageOf(fault))}`);
      }
      throw fault;
    }
    this.#node = node;
    if (use === "asked") this.#asking = { node, class: this.#class.key };
    if (this.#asking) this.#context.demand?.came(this.#asking);
    for (const [type, names] of this.#context.owed.take(node.id)) this.#watch(type).force(names);
    this.#context.changed();
  }

  #watch(type: TypeUrl): Watch {
    let watch = this.#watches.get(type);
    if (!watch) {
      const { pushes, clock } = this.#context;
      const due = (): void => {
        this.#watches.stir(type);
        this.#context.due(this);
      };
      watch = new Watch(type, { pushes, variant: this.#variant, now: () => clock.now(), due });
      watch.scope(this.#scopesOf(type));
      this.#watches.set(type, watch);
    }
    return watch;
  }

  #answered(watch: Watch, request: Request): void {
    if (request.nonce === "") return;
    const refusedBefore = watch.refused;
    const answer = watch.answered(request.nonce, request.refusal);
    if (answer.kind === "stale") {
      if (!watch.knows(request.nonce)) this.#restraint.note("ProxyForeignAnswer", foreignAnswer);
      return;
    }
    if (answer.kind === "nack") {
      this.#restraint.refused();
      this.#order.refused(watch.type, answer.difference);
      this.#watches.stir(watch.type);
      const { id } = this.#node ?? { id: "" };
      const fields = { node: id, type: watch.type, why: request.refusal };
      this.#context.logger[answer.known ? "debug" : "warn"]("a proxy refused configuration", fields);
    }
    if (answer.kind === "nack" || refusedBefore !== watch.refused) this.#context.changed();
  }

  #asked(watch: Watch, request: Request): void {
    const { sets } = this.#context.pushes;
    const { limits } = this.#context;
    const before = watch.subscription;
    if (request.kind === "delta") {
      const { subscribe, unsubscribe } = request;
      if (before && subscribe.length === 0 && unsubscribe.length === 0) return;
      for (const names of [subscribe, unsubscribe]) checkNames(names, limits);
      if (!before) checkNames(Object.keys(request.versions), limits);
      if (demanded.has(watch.type)) this.#demanded(subscribe);
      const asked = deltaStep(watch.type, before, request, sets);
      this.#checkAsked(asked.subscription, watch);
      const base = before ? nothing : told(request.versions);
      if (base !== nothing) this.#returned(watch.type, base);
      watch.ask(asked, base);
      return;
    }
    // A request that answers an older response does not know the newest names either: the next one repeats its own.
    if (before && request.nonce !== watch.nonce) return;
    checkNames(request.names, limits);
    const asked = sotwStep(watch.type, before, request.names, sets);
    this.#checkAsked(asked.subscription, watch);
    watch.ask(asked);
  }

  #checkAsked({ names }: Subscription, { type, subscription: before }: Watch): void {
    if (names === before?.names) return;
    const { limits } = this.#context;
    checkSubscription(names, limits);
    for (const heaviest of this.#restraint.asks(type, names)) {
      if (heaviest === this) throw tooManyInAll(limits);
      heaviest.end(tooManyInAll(limits));
    }
  }

  /** What is asked for by name must be known, with what it leads to, before it is answered. */
  #demanded(subscribe: readonly string[]): void {
    const names = subscribe.filter((name) => name !== "*");
    if (this.#asking && names.length > 0) this.#context.demand?.asked(this.#asking, names);
  }

  #send(pushes: readonly Push[], lane: Lane): void {
    const { budget, sent } = this.#context;
    const messages = pushes.map(({ message }) => message);
    const bytes = messages.reduce((sum, { length }) => sum + length, 0);
    this.#sending = true;
    budget.ask(bytes, lane, {
      granted: (grant) => {
        this.#grant = grant;
        if (this.#ended) {
          budget.taken(grant);
          return;
        }
        sent(messages);
        this.#guarded(() => this.#transport.send(messages, () => this.#wasTaken()));
      },
      timedOut: () => this.end(neverReads()),
    });
  }

  #wasTaken(): void {
    if (this.#grant) this.#context.budget.taken(this.#grant);
    this.#grant = undefined;
    this.#sending = false;
    this.pump();
  }

  #debts(): OwedNames {
    const debts = new Map<TypeUrl, NameSet>();
    for (const type of [typeUrls.endpoints, typeUrls.route, typeUrls.virtualHost]) {
      const owed = this.#watches.get(type)?.owed;
      if (owed && owed.size > 0) debts.set(type, owed);
    }
    return debts;
  }

  /**
   * Envoy warms a changed cluster until it has endpoints, a changed listener until it has routes, and these until they
   * have their virtual hosts: they follow.
   */
  #followUp(type: TypeUrl, { difference: { awaits, upserts } }: Push): void {
    if (type === typeUrls.cluster && awaits.size > 0) this.#watch(typeUrls.endpoints).force(awaits);
    if (type === typeUrls.listener && awaits.size > 0) this.#watch(typeUrls.route).force(awaits);
    if (type !== typeUrls.route) return;
    const scopes = this.#hostScopes(upserts.map((resource) => resource.name));
    if (scopes.length > 0) this.#watch(typeUrls.virtualHost).forceScopes(scopes);
  }

  /** The proxy told on connecting what it holds of a type, so it will ask for what goes with it. */
  #returned(type: TypeUrl, held: Base): void {
    if (type === typeUrls.cluster) this.#order.expect(typeUrls.listener);
    if (type === typeUrls.listener) this.#order.expect(typeUrls.route);
    if (type === typeUrls.route && this.#hostScopes(held.names()).length > 0) this.#order.expect(typeUrls.virtualHost);
  }
}
