import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { ProxyReport, ProxyWord, ReportedNode, ReportQuestion } from "#api/weft/proxy-report.ts";
import { readQuestion, reportMethod } from "#api/weft/proxy-report.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { endpointAddresses, endpointHashes } from "./endpoints.ts";
import { type GaugeOptions, ProxyGauge } from "./gauge.ts";

/** A stream of reports. */
type ReportStream = ClientDuplexStream<Buffer, Buffer>;

/** The proxy's way to the control plane. */
export interface ReportWay {
  /** Opens a stream on the connection that the proxy's own are on. @throws WeftError when there is no way. */
  open(path: string): ReportStream;
  /** Another one once that leads elsewhere. */
  readonly connection: object;
  /** Leads elsewhere, the proxy's own streams too: nobody answers on this one. */
  lost(): void;
}

/** What a reporter needs. */
export interface ReporterOptions extends GaugeOptions {
  readonly node: ReportedNode;
  readonly way: ReportWay;
  /** The end of the log of the process that runs, or of the one before, where it is at hand. */
  readonly log?: (lines: number, previous: boolean) => Promise<string>;
  /** Milliseconds between reports; 10 seconds unless told. */
  readonly everyMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const defaultEveryMs = 10_000;
/** Of so many reports one tells anew which endpoints Envoy holds. */
const endpointsRarer = 3;
/** Changes that are known at once are told together, so long after the first, in milliseconds. */
const settleMs = 300;
/** Questions of the control plane that are answered at once. */
const mostQuestions = 3;
/** Milliseconds that a control plane has to say that a report came. What is sent to a host that is gone keeps the kernel's probes from noticing. */
const heardMs = 10_000;
/** What is the same is told again after so many milliseconds. */
const againMs = 60_000;

/** A stream that is open. */
interface Open {
  readonly stream: ReportStream;
  readonly connection: object;
  /** Whether what was written waits to be taken. */
  full: boolean;
  /** Runs while a report is not known to have come. */
  unheard: Disposable | undefined;
}

/**
 * Tells the control plane how one proxy stands, also while its Envoy does not run: on a stream of its own beside the proxy's, on the same
 * connection, so that the replica that serves the proxy is the one that is told.
 */
export class ProxyReporter implements Disposable {
  readonly #options: ReporterOptions;
  readonly #gauge: ProxyGauge;
  readonly #end = new AbortController();
  #nudge = new AbortController();
  #open: Open | undefined;
  #answering = 0;
  /** Whether the control plane that was last heard is one that says that reports came: the next one is expected to. */
  #acknowledges = false;
  #told: { readonly report: ProxyReport; readonly at: number } | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
    const { everyMs = defaultEveryMs } = options;
    this.#gauge = new ProxyGauge({ endpointsEveryMs: everyMs * endpointsRarer, ...options });
    void this.#run(this.#end.signal);
  }

  /** How the proxy stands has changed: that is told soon. */
  changed(): void {
    this.#nudge.abort();
  }

  /** Tells no more; the control plane forgets the proxy unless another agent tells of it. */
  [Symbol.dispose](): void {
    this.#end.abort();
    this.#open?.stream.end();
    this.#close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger, node, everyMs = defaultEveryMs } = this.#options;
    // A node's proxies are taken over at once, and told of one after the other.
    await clock.sleep(settleMs + (Math.random() * everyMs) / 10, signal).catch(() => undefined);
    while (!signal.aborted) {
      this.#nudge = new AbortController();
      try {
        await this.#tell(signal);
      } catch (error) {
        logger.debug("how a proxy stands was not told", { node: node.id, error: messageOf(error) });
      }
      await clock.sleep(everyMs, AbortSignal.any([signal, this.#nudge.signal])).catch(() => undefined);
      if (this.#nudge.signal.aborted) await clock.sleep(settleMs, signal).catch(() => undefined);
    }
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const report = await this.#gauge.read();
    if (signal.aborted) return;
    const open = this.#opened();
    const now = this.#options.clock.monotonic();
    if (this.#told && equal(this.#told.report, report) && now - this.#told.at < againMs) return;
    // Who takes nothing is told the newest once it does.
    if (open.full) return;
    this.#told = { report, at: now };
    if (this.#acknowledges) open.unheard ??= this.#options.clock.after(heardMs, () => this.#lose(open));
    this.#say(open, { kind: "report", report });
  }

  /** Nobody is there who takes reports, nor who sends the proxy anything. */
  #lose(open: Open): void {
    const { logger, node, way } = this.#options;
    if (this.#open !== open) return;
    logger.warn("the control plane does not answer any more: another connection is made", { node: node.id });
    this.#acknowledges = false;
    this.#close();
    open.stream.cancel();
    way.lost();
  }

  #close(): void {
    this.#open?.unheard?.[Symbol.dispose]();
    this.#open = undefined;
  }

  #opened(): Open {
    const { way, node, logger } = this.#options;
    const { connection } = way;
    if (this.#open?.connection === connection) return this.#open;
    this.#open?.stream.end();
    this.#close();
    const stream = way.open(reportMethod);
    const open: Open = { stream, connection, full: false, unheard: undefined };
    this.#open = open;
    this.#told = undefined;
    stream.on("drain", () => (open.full = false));
    stream.on("data", (bytes: Buffer) => void this.#asked(open, bytes));
    const closed = (error?: ServiceError): void => {
      if (this.#open === open) this.#close();
      if (error) logger.debug("a stream of reports ended", { node: node.id, error: error.details });
    };
    stream.on("error", closed);
    stream.on("end", () => closed());
    this.#say(open, { kind: "hello", node });
    return open;
  }

  /** Answers a question of the control plane, a few at a time. */
  async #asked(open: Open, bytes: Buffer): Promise<void> {
    // Whatever it says shows that it is there.
    open.unheard?.[Symbol.dispose]();
    open.unheard = undefined;
    if (open.full || this.#answering >= mostQuestions) return;
    this.#answering += 1;
    try {
      const question = readQuestion(bytes);
      if (question?.ask === "nothing") this.#acknowledges = true;
      const words = question ? await this.#answers(question) : [];
      if (this.#open !== open) return;
      for (const word of words) this.#say(open, word);
    } catch (error) {
      const { logger, node } = this.#options;
      logger.debug("a question about a proxy was not answered", { node: node.id, error: messageOf(error) });
    } finally {
      this.#answering -= 1;
    }
  }

  async #answers(question: ReportQuestion): Promise<readonly ProxyWord[]> {
    if (question.ask === "log") {
      const text = await this.#options.log?.(question.lines, question.previous);
      return text === undefined ? [] : [{ kind: "log", text }];
    }
    if (question.ask === "nothing") return [];
    const held = await this.#gauge.endpoints();
    return question.ask === "hashes" ? endpointHashes(held) : [endpointAddresses(held, question.clusters)];
  }

  #say(open: Open, word: ProxyWord): void {
    open.full = !open.stream.write(Buffer.from(JSON.stringify(word)));
  }
}
