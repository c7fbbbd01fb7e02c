import type { ProxyReport, ProxyWord, ReportedNode, ReportQuestion } from "#api/weft/proxy-report.ts";
import { mostReportBytes, readProxyWord, reportMethod } from "#api/weft/proxy-report.ts";
import { Allowance } from "#base/allowance.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { SparingLog } from "#base/sparing-log.ts";
import { frameHead } from "#grpc/frames.ts";
import type { Call, Methods } from "#grpc/server.ts";
import type { Admit, Gatekeeper } from "#xds/gatekeeper.ts";

/** What an agent said last of a proxy. */
export interface HeldReport {
  readonly node: ReportedNode;
  readonly report: ProxyReport;
  /** Milliseconds since the epoch: of this report, and of the first. */
  readonly at: number;
  readonly since: number;
  /** Whether its agent is still there. */
  readonly live: boolean;
}

/** What is needed to take reports. */
export interface ProxyReportsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Proxies that are told of over one control plane, and streams of one proxy. */
const mostProxies = 50_000;
/** Milliseconds that an agent has to say of which proxy it tells, and for which its last word is kept once it is gone. */
const introductionMs = 10_000;
const keptMs = 120_000;
/** Milliseconds after which it is looked again whether a stream may go on. */
const readmitMs = 60_000;
/** Messages of one stream: a second, and at once. */
const [perSecond, burst] = [2, 20];
/** Milliseconds between looks for what is not kept any more. */
const lookMs = 5_000;

/** What an agent answers. */
type ReportAnswer = Exclude<ProxyWord, { readonly kind: "hello" | "report" }>;

/** One agent's stream about one proxy. */
class ReportStream {
  readonly #call: Call;
  readonly #admit: Admit | undefined;
  readonly #reports: ProxyReports;
  readonly #allowance: Allowance;
  readonly #introduction: Disposable;
  readonly #clock: Clock;
  #node: ReportedNode | undefined;
  #admittedAt = 0;
  /** Messages are taken one after the other: the first may take time to be admitted. */
  #turn: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(call: Call, admit: Admit | undefined, reports: ProxyReports, clock: Clock) {
    this.#call = call;
    this.#admit = admit;
    this.#reports = reports;
    this.#clock = clock;
    this.#allowance = new Allowance(perSecond, burst, 60_000, () => clock.monotonic());
    const late = new WeftError("DeadlineExceeded", "the agent does not say of which proxy it tells");
    this.#introduction = clock.after(introductionMs, () => this.end(late));
  }

  /** Takes what the agent says from now on. */
  begin(): void {
    this.#call.stream.follow(mostReportBytes, {
      message: (bytes) => this.#received(Buffer.from(bytes)),
      held: () => undefined,
      end: (reason) => this.end(reason),
    });
  }

  get node(): ReportedNode | undefined {
    return this.#node;
  }

  /** Asks the agent something. */
  ask(question: ReportQuestion): void {
    const bytes = Buffer.from(JSON.stringify(question));
    this.#call.stream.send([{ pieces: [frameHead(bytes.length), bytes] }], () => undefined);
  }

  /** Ends it; what was said last is kept for a while. */
  end(reason?: WeftError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#introduction[Symbol.dispose]();
    this.#call.stream.end(reason);
    this.#reports.left(this, this.#call.from, reason);
  }

  #received(bytes: Buffer): void {
    if (this.#ended) return;
    if (!this.#allowance.spend(1)) {
      this.end(new WeftError("ResourceExhausted", "the agent tells of the proxy more often than it may"));
      return;
    }
    this.#turn = this.#turn.then(async () => this.#take(bytes)).catch((fault: unknown) => this.#failed(fault));
  }

  #failed(fault: unknown): void {
    this.end(fault instanceof WeftError ? fault : new WeftError(codeOf(fault), messageOf(fault), fault));
  }

  async #take(bytes: Buffer): Promise<void> {
    const word = readProxyWord(bytes);
    if (this.#ended) return;
    if (word.kind === "hello") await this.#introduce(word.node);
    else if (!this.#node) throw new WeftError("InvalidArgument", "the first message must say of which proxy it is");
    else if (word.kind === "report") await this.#tell(this.#node, word.report);
    else this.#reports.answered(this, this.#node, word);
  }

  async #tell(node: ReportedNode, report: ProxyReport): Promise<void> {
    if (this.#clock.monotonic() - this.#admittedAt > readmitMs) await this.#ask(node);
    if (this.#ended) return;
    this.ask({ ask: "nothing" });
    this.#reports.told(this, node, report);
  }

  /** @throws WeftError when it may not be that proxy, or may not be it any more. */
  async #ask({ id, cluster, namespace }: ReportedNode): Promise<void> {
    const metadata = { CLUSTER_ID: cluster, NAMESPACE: namespace };
    await this.#admit?.({ id, cluster: "", metadata, version: "", locality: { region: "", zone: "", subzone: "" } });
    this.#admittedAt = this.#clock.monotonic();
  }

  async #introduce(node: ReportedNode): Promise<void> {
    if (this.#node) throw new WeftError("InvalidArgument", "a stream tells of one proxy");
    this.#introduction[Symbol.dispose]();
    await this.#ask(node);
    if (this.#ended) return;
    this.#node = node;
    this.#reports.came(this, node);
  }
}

/**
 * What agents say of their proxies, of each the last word. Who may be a proxy's stream of configuration, and nobody else, may tell of it.
 */
export class ProxyReports implements Disposable {
  readonly #options: ProxyReportsOptions;
  readonly #refusals: SparingLog;
  readonly #held = new Map<string, HeldReport>();
  /** The newest stream of each proxy. */
  readonly #streams = new Map<string, ReportStream>();
  readonly #look: Disposable;
  readonly #answers = new Set<(id: string, answer: ReportAnswer) => void>();
  readonly #listeners = new Set<(held: HeldReport, before: HeldReport | undefined) => void>();

  constructor(options: ProxyReportsOptions) {
    this.#options = options;
    this.#refusals = new SparingLog(options.logger, options.clock);
    this.#look = options.clock.every(lookMs, () => this.#forget());
  }

  /** The method by which agents tell. */
  methods(gatekeeper: Gatekeeper | undefined): Methods {
    return { [reportMethod]: (call) => void this.#accept(call, gatekeeper) };
  }

  /** What is said of a proxy, by its node id. */
  get(id: string): HeldReport | undefined {
    return this.#held.get(id);
  }

  /** What is said of all. */
  all(): Iterable<HeldReport> {
    return this.#held.values();
  }

  /** Calls back with each report that comes, and the one before. */
  onReport(callback: (held: HeldReport, before: HeldReport | undefined) => void): Disposable {
    const listener = (held: HeldReport, before: HeldReport | undefined): void => callback(held, before);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Calls back with each answer to a question. */
  onAnswer(callback: (id: string, answer: ReportAnswer) => void): Disposable {
    const listener = (id: string, answer: ReportAnswer): void => callback(id, answer);
    this.#answers.add(listener);
    return { [Symbol.dispose]: () => this.#answers.delete(listener) };
  }

  /** Asks a proxy's agent, where there is one. */
  ask(id: string, question: ReportQuestion): void {
    this.#streams.get(id)?.ask(question);
  }

  answered(stream: ReportStream, { id }: ReportedNode, answer: ReportAnswer): void {
    if (this.#streams.get(id) !== stream) return;
    for (const listener of this.#answers) listener(id, answer);
  }

  /** @throws WeftError `ResourceExhausted` when there are too many. */
  came(stream: ReportStream, { id }: ReportedNode): void {
    const before = this.#streams.get(id);
    if (!before && this.#streams.size >= mostProxies) {
      throw new WeftError("ResourceExhausted", `over ${mostProxies} proxies are told of`);
    }
    this.#streams.set(id, stream);
    before?.end(new WeftError("AlreadyExists", "another stream tells of the proxy"));
  }

  told(stream: ReportStream, node: ReportedNode, report: ProxyReport): void {
    if (this.#streams.get(node.id) !== stream) return;
    const at = this.#options.clock.now();
    const before = this.#held.get(node.id);
    const held = { node, report, at, since: before?.since ?? at, live: true };
    this.#held.set(node.id, held);
    for (const listener of this.#listeners) listener(held, before);
  }

  left(stream: ReportStream, from: string, reason: WeftError | undefined): void {
    const id = stream.node?.id ?? "";
    if (this.#streams.get(id) === stream) {
      this.#streams.delete(id);
      const held = this.#held.get(id);
      if (held) this.#held.set(id, { ...held, live: false });
    }
    if (!reason || reason.code === "AlreadyExists") return;
    this.#refusals.say("warn", "what is told of a proxy was refused", { from, node: id, reason: messageOf(reason) });
  }

  [Symbol.dispose](): void {
    this.#look[Symbol.dispose]();
    for (const stream of this.#streams.values())
      stream.end(new WeftError("Unavailable", "the server is shutting down"));
  }

  #forget(): void {
    const oldest = this.#options.clock.now() - keptMs;
    for (const [id, { live, at }] of this.#held) if (!live && at < oldest) this.#held.delete(id);
  }

  async #accept(call: Call, gatekeeper: Gatekeeper | undefined): Promise<void> {
    const { clock } = this.#options;
    try {
      const admit = await gatekeeper?.callerOf(call);
      new ReportStream(call, admit, this, clock).begin();
    } catch (fault) {
      const reason = fault instanceof WeftError ? fault : new WeftError("Internal", "the caller is not known", fault);
      const fields = { from: call.from, reason: messageOf(reason) };
      this.#refusals.say("warn", "what is told of a proxy was refused", fields);
      call.stream.end(reason);
    }
  }
}
