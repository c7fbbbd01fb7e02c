/** The proxies of a storm, in a process that the benchmark forks: one of them stalls, others reconnect. */
import { Deliveries, type Speed } from "./deliveries.ts";
import { sees } from "./expected.ts";
import { digestOf, linesOf } from "./holdings.ts";
import { monotonicMs } from "./monotonic.ts";
import type { ServedScale } from "./served.ts";
import type { StormChange } from "./storm-load.ts";
import { SimulatedProxy, simulatedNode } from "./xds-client.ts";
import { Scanner } from "./xds-wire.ts";

/** What the benchmark asks for. */
export type StormRequest =
  | {
      readonly kind: "connect";
      readonly address: string;
      readonly proxies: number;
      readonly scale: ServedScale;
    }
  /** One proxy reads nothing from now on; others reconnect, one each so many milliseconds. */
  | { readonly kind: "trouble"; readonly stalled: number; readonly everyMs: number }
  /** No more of that, but that one is stalled. */
  | { readonly kind: "calm" }
  /** The stalled one reads again. */
  | { readonly kind: "resume" }
  | { readonly kind: "progress" }
  | { readonly kind: "speed"; readonly changes: readonly StormChange[] }
  | { readonly kind: "digests" }
  | { readonly kind: "held"; readonly proxy: number };

/** What it answers. */
export type StormAnswer =
  | { readonly kind: "synced" | "troubled" | "calmed" | "resumed" }
  | {
      readonly kind: "progress";
      readonly responses: number;
      readonly bytes: number;
      /** When the last response came to any proxy but the stalled one; milliseconds of the monotonic clock. */
      readonly lastAt: number;
      readonly reconnected: number;
      /** Streams that the server ended, and why. */
      readonly ended: readonly string[];
    }
  | { readonly kind: "speed"; readonly speed: Speed }
  /** For each proxy, in order, what it holds, as a hash. */
  | { readonly kind: "digests"; readonly digests: readonly string[] }
  | { readonly kind: "held"; readonly lines: readonly string[] };

/** Which proxy reconnects: all over the namespaces, each once at most in a minute's storm of one a second. */
const reconnectStep = 17;
/** Milliseconds after which a proxy connects again whose stream the server ended. */
const againMs = 500;
/** Bytes of the window of the proxy that stalls: as small as HTTP/2 has it unless told. */
const narrowBytes = 65_535;

type Connect = Extract<StormRequest, { kind: "connect" }>;

class StormSimulator {
  readonly #options: Connect;
  readonly #scanner = new Scanner("delta");
  readonly #counts = { bytes: 0, responses: 0, acks: 0 };
  readonly #proxies: SimulatedProxy[] = [];
  readonly #deliveries = new Deliveries();
  readonly #reconnected = new Set<number>();
  readonly #ended: string[] = [];
  #stalled: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #turns = 0;
  #lastAt = 0;

  constructor(options: Connect, synced: () => void) {
    this.#options = options;
    let left = options.proxies;
    for (let number = 0; number < options.proxies; number += 1) {
      this.#proxies.push(
        this.#connect(number, {
          onSynced: () => {
            left -= 1;
            if (left === 0) synced();
          },
        }),
      );
    }
  }

  trouble(stalled: number, everyMs: number): void {
    this.#stalled = stalled;
    this.#proxies[stalled]?.close();
    // Its connection has a narrow window, and it stalls when it has everything.
    const proxy = this.#connect(stalled, { windowBytes: narrowBytes, onSynced: () => proxy.stall() });
    this.#proxies[stalled] = proxy;
    this.#timer = setInterval(() => this.#reconnect(), everyMs);
  }

  calm(): void {
    clearInterval(this.#timer);
  }

  resume(): void {
    if (this.#stalled !== undefined) this.#proxies[this.#stalled]?.resume();
  }

  progress(): StormAnswer {
    const { bytes, responses } = this.#counts;
    const [lastAt, reconnected, ended] = [this.#lastAt, this.#reconnected.size, this.#ended];
    return { kind: "progress", bytes, responses, lastAt, reconnected, ended };
  }

  /** Of proxies that were in no trouble. */
  speed(changes: readonly StormChange[]): Speed {
    const { scale } = this.#options;
    const numbers = [...this.#proxies.keys()].filter((each) => each !== this.#stalled && !this.#reconnected.has(each));
    // A service of a namespace has a number like the namespace's, or one that a multiple of their count is added to.
    const concerned = Array.from(
      { length: scale.namespaces },
      (_, namespace) => new Set(numbers.filter((number) => sees(number, namespace, scale))),
    );
    return this.#deliveries.speed(changes, ({ namespace }) => concerned[namespace] ?? new Set());
  }

  digests(): readonly string[] {
    return this.#proxies.map(({ held }) => digestOf(linesOf(held)));
  }

  held(proxy: number): readonly string[] {
    return linesOf(this.#proxies[proxy]?.held ?? new Map());
  }

  /** By turns as one that goes on where it was, and as one that was restarted and holds nothing. */
  #reconnect(): void {
    const number = (this.#turns * reconnectStep) % this.#options.proxies;
    this.#turns += 1;
    const before = this.#proxies[number];
    if (number === this.#stalled || !before) return;
    this.#reconnected.add(number);
    before.close();
    this.#proxies[number] = this.#connect(number, this.#turns % 2 === 0 ? { after: before } : {});
  }

  #connect(
    number: number,
    more: Partial<Pick<ConstructorParameters<typeof SimulatedProxy>[0], "after" | "windowBytes" | "onSynced">>,
  ): SimulatedProxy {
    const { address, scale } = this.#options;
    const proxy: SimulatedProxy = new SimulatedProxy({
      address,
      variant: "delta",
      node: simulatedNode(number, scale.namespaces),
      scanner: this.#scanner,
      counts: this.#counts,
      remember: true,
      record: false,
      onResponse: (response) => {
        const at = monotonicMs();
        if (number !== this.#stalled) this.#lastAt = at;
        if (!this.#reconnected.has(number) && number !== this.#stalled) this.#deliveries.add(number, at, response);
      },
      onSynced: () => undefined,
      onEnd: (reason) => {
        this.#ended.push(`${number}: ${reason}`);
        setTimeout(() => (this.#proxies[number] = this.#connect(number, { after: proxy })), againMs);
      },
      ...more,
    });
    return proxy;
  }
}

function serveParent(): void {
  let simulator: StormSimulator | undefined;
  const answer = (message: StormAnswer): void => void process.send?.(message);
  const started = (): StormSimulator => {
    if (!simulator) throw new Error("nothing is connected yet");
    return simulator;
  };
  process.on("message", (request: StormRequest) => {
    switch (request.kind) {
      case "connect":
        simulator = new StormSimulator(request, () => answer({ kind: "synced" }));
        return;
      case "trouble":
        started().trouble(request.stalled, request.everyMs);
        return answer({ kind: "troubled" });
      case "calm":
        started().calm();
        return answer({ kind: "calmed" });
      case "resume":
        started().resume();
        return answer({ kind: "resumed" });
      case "progress":
        return answer(started().progress());
      case "speed":
        return answer({ kind: "speed", speed: started().speed(request.changes) });
      case "digests":
        return answer({ kind: "digests", digests: started().digests() });
      case "held":
        return answer({ kind: "held", lines: started().held(request.proxy) });
    }
  });
  process.on("disconnect", () => process.exit());
}

serveParent();
