/**
 * Plays many Envoys against any ADS server, in a process of its own:
 * `node bench/xds-simulator.ts --address 127.0.0.1:15010 --proxies 100 --namespaces 20 [--variant sotw]`.
 * Prints when all hold everything, then each second in which something came; ends with the terminal's interrupt.
 * A benchmark forks it and talks to it over IPC instead (`SimulatorRequest`).
 */
import { parseArgs } from "node:util";
import { difference, expectedNames, type Names } from "./expected.ts";
import type { ServedScale } from "./served.ts";
import { SimulatedProxy, simulatedNode, type Counts } from "./xds-client.ts";
import { Scanner, type Variant } from "./xds-wire.ts";

/** What a benchmark asks of the simulator. */
export type SimulatorRequest =
  | {
      readonly kind: "connect";
      readonly address: string;
      readonly variant: Variant;
      /** The workloads that the proxies are of: each has the number of its service. */
      readonly numbers: readonly number[];
      readonly namespaces: number;
      readonly remember: boolean;
      readonly record: boolean;
      /** So many get their first configuration at a time; all unless given. */
      readonly atOnce?: number;
    }
  | { readonly kind: "mark" }
  | { readonly kind: "check"; readonly scale: ServedScale }
  | { readonly kind: "report" }
  | { readonly kind: "close" };

/** What the simulator answers: `synced` when all proxies hold everything. Times are of the monotonic clock. */
export type SimulatorAnswer =
  | { readonly kind: "synced"; readonly at: string; readonly counts: Counts }
  | { readonly kind: "marked" | "closed" }
  | { readonly kind: "ended"; readonly reason: string }
  | {
      readonly kind: "report";
      readonly counts: Counts;
      /** For each proxy that got something since the mark: when the last of it came, in nanoseconds. */
      readonly times: readonly string[];
      /** For each proxy, responses since the mark; only where they are recorded. */
      readonly recorded: readonly (readonly RecordedResponse[])[];
    }
  /** What is wrong with what proxies hold; only where they remember. */
  | { readonly kind: "checked"; readonly problems: readonly string[] };

/** A response as it came, in base64. */
export interface RecordedResponse {
  readonly type: string;
  readonly bytes: string;
}

/** All simulated proxies of this process. */
class Simulator {
  readonly counts: Counts = { bytes: 0, responses: 0, acks: 0 };
  /** Proxies by the numbers of their workloads. */
  readonly proxies = new Map<number, SimulatedProxy>();
  #synced = 0;

  /** Connects proxies; `done` is called when all hold everything. */
  connect(
    request: Extract<SimulatorRequest, { kind: "connect" }>,
    done: () => void,
    ended: (why: string) => void,
  ): void {
    const { address, variant, numbers, namespaces, remember, record, atOnce = numbers.length } = request;
    const scanner = new Scanner(variant);
    const waiting = numbers.values();
    const one = (): void => {
      const { value: number } = waiting.next();
      if (number === undefined) return;
      const onSynced = (): void => {
        this.#synced += 1;
        if (this.#synced === numbers.length) done();
        else one();
      };
      const node = simulatedNode(number, namespaces);
      const manner = { variant, remember, record, counts: this.counts, scanner };
      this.proxies.set(number, new SimulatedProxy({ address, node, ...manner, onSynced, onEnd: ended }));
    };
    for (let at = 0; at < atOnce; at += 1) one();
  }

  mark(): void {
    Object.assign(this.counts, { bytes: 0, responses: 0, acks: 0 });
    for (const proxy of this.proxies.values()) {
      proxy.responses = 0;
      proxy.recorded.length = 0;
    }
  }

  report(): SimulatorAnswer {
    const proxies = [...this.proxies.values()];
    const times = proxies.filter(({ responses }) => responses > 0).map(({ lastAt }) => String(lastAt));
    const recorded = proxies.map((proxy) =>
      proxy.recorded.map(({ type, bytes }) => ({ type, bytes: bytes.toString("base64") })),
    );
    return { kind: "report", counts: { ...this.counts }, times, recorded };
  }

  check(scale: ServedScale): readonly string[] {
    // Proxies of a namespace must hold the same, but for those of no service.
    const expected = new Map<string, Names>();
    return [...this.proxies].flatMap(([number, { held }]) => {
      const key = `${number % scale.namespaces} ${number < scale.services}`;
      const names = expected.get(key) ?? expectedNames(number, scale);
      expected.set(key, names);
      return difference(held, names).map((problem) => `the proxy of svc-${number} ${problem}`);
    });
  }

  close(): void {
    for (const proxy of this.proxies.values()) proxy.close();
    this.proxies.clear();
    this.#synced = 0;
    this.mark();
  }
}

function serveParent(): void {
  const simulator = new Simulator();
  const answer = (message: SimulatorAnswer): void => {
    process.send?.(message);
  };
  const done = (): void =>
    answer({ kind: "synced", at: String(process.hrtime.bigint()), counts: { ...simulator.counts } });
  process.on("message", (request: SimulatorRequest) => {
    if (request.kind === "connect") {
      simulator.connect(request, done, (reason) => answer({ kind: "ended", reason }));
    } else if (request.kind === "mark") {
      simulator.mark();
      answer({ kind: "marked" });
    } else if (request.kind === "report") answer(simulator.report());
    else if (request.kind === "check") answer({ kind: "checked", problems: simulator.check(request.scale) });
    else {
      simulator.close();
      answer({ kind: "closed" });
    }
  });
  process.on("disconnect", () => process.exit());
}

function serveTerminal(): void {
  const { values } = parseArgs({
    options: {
      address: { type: "string" },
      proxies: { type: "string", default: "1" },
      namespaces: { type: "string", default: "20" },
      variant: { type: "string", default: "delta" },
    },
  });
  if (values.address === undefined) {
    console.error(
      "usage: node bench/xds-simulator.ts --address HOST:PORT [--proxies N] [--namespaces N] [--variant sotw]",
    );
    process.exit(2);
  }
  const simulator = new Simulator();
  const started = performance.now();
  const tell = (what: string): void => {
    const { bytes, responses, acks } = simulator.counts;
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    console.log(JSON.stringify({ seconds: Number(seconds), what, bytes, responses, acks }));
    simulator.mark();
  };
  simulator.connect(
    {
      kind: "connect",
      address: values.address,
      variant: values.variant === "sotw" ? "sotw" : "delta",
      numbers: Array.from({ length: Number(values.proxies) }, (_, number) => number),
      namespaces: Number(values.namespaces),
      remember: false,
      record: false,
    },
    () => tell("all proxies hold everything"),
    (reason) => console.error(`a stream ended: ${reason}`),
  );
  setInterval(() => simulator.counts.responses > 0 && tell("responses"), 1000);
}

if (process.send) serveParent();
else serveTerminal();
