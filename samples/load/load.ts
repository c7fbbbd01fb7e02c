/**
 * Sends a steady load to a loopback URL and writes one line of JSON a second:
 *
 *     node samples/load/load.ts --url http://127.0.0.1:18080/api/page --rps 20
 *
 * Ends after `--seconds`, on SIGTERM or SIGINT, or when nobody reads its output. A line of JSON on standard input
 * changes the load while it runs: `{"rps": 100, "concurrency": 200, "headers": {"end-user": "jason"}}`.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { LoadGenerator } from "./generator.ts";
import type { LoadTarget } from "./generator.ts";
import { LoadCounter } from "./report.ts";

interface Command {
  readonly target: Pick<LoadTarget, "url"> & Partial<LoadTarget>;
  readonly seconds: number | undefined;
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Error(`--${name}: "${text}" is not a number`);
  return value;
}

function readCommand(): Command {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      rps: { type: "string" },
      concurrency: { type: "string" },
      "timeout-ms": { type: "string" },
      seconds: { type: "string" },
      header: { type: "string", multiple: true },
    },
  });
  if (values.url === undefined) throw new Error("--url is needed, such as http://127.0.0.1:18080/api/page");
  const headers: Record<string, string> = {};
  for (const header of values.header ?? []) {
    const [name = "", ...value] = header.split(":");
    headers[name.trim()] = value.join(":").trim();
  }
  const numbers = {
    rps: numberOf("rps", values.rps),
    concurrency: numberOf("concurrency", values.concurrency),
    timeoutMs: numberOf("timeout-ms", values["timeout-ms"]),
  };
  const given = Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined));
  return { target: { url: values.url, headers, ...given }, seconds: numberOf("seconds", values.seconds) };
}

function say(message: string): void {
  process.stderr.write(`load: ${message}\n`);
}

/** Applies each line of standard input to the load; what is wrong with one is said, and the load stays. */
function takeChanges(generator: LoadGenerator): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    if (line.trim() === "") return;
    try {
      generator.adjust(JSON.parse(line) as Partial<LoadTarget>);
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    }
  });
}

async function main({ target, seconds }: Command): Promise<void> {
  const counter = new LoadCounter(performance.now());
  const generator = new LoadGenerator(target, {
    done: (result) => counter.add(result),
    skipped: () => counter.skip(),
  });
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  process.stdout.on("error", () => stop.abort());
  const report = (): void => {
    const line = counter.report(performance.now(), Date.now(), generator.target, generator.inFlight);
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  const everySecond = setInterval(report, 1000);
  if (seconds !== undefined) setTimeout(() => stop.abort(), seconds * 1000).unref();
  takeChanges(generator);
  await generator.run(stop.signal);
  clearInterval(everySecond);
  report();
  process.stdin.destroy();
}

try {
  await main(readCommand());
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
