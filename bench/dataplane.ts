/**
 * What the mesh costs a request: a client calls a server through the Envoys of both, under Weft and under Istio's default configuration
 * (`bench/dataplane/baseline/`), and variants between them. `node bench/dataplane.ts [--groups headline,features,measures,16k,256k]
 * [--repeats 11] [--samples 20000] [--load 0.85]`, as root and after `make bpf`; the last line is JSON. In each repeat every variant is
 * started anew and sends so many requests, each time another one first; ratios are to the baseline in the same repeat.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Pair, type Load, type Turn } from "./dataplane/pair.ts";
import { withoutInstructions } from "./dataplane/usage.ts";
import { baselineVariant, type Group, groups, type Variant } from "./dataplane/variants.ts";
import { printFigures, progress, type Row } from "./figures.ts";
import { median, rounded } from "./quantile.ts";

const { values } = parseArgs({
  options: {
    groups: { type: "string", default: Object.keys(groups).join(",") },
    repeats: { type: "string", default: "11" },
    samples: { type: "string", default: "20000" },
    load: { type: "string", default: "0.85" },
  },
});
const [repeats, samples, part] = [Number(values.repeats), Number(values.samples), Number(values.load)];
const wanted = values.groups.split(",").map((name) => {
  const group = groups[name];
  if (!group) throw new Error(`there is no group ${name}; there are ${Object.keys(groups).join(", ")}`);
  return [name, group] as const;
});

/** Folder of the programs for eBPF, which `make bpf` has compiled. */
const programs = readFileSync(join(import.meta.dirname, "..", "build", "bpf.path"), "utf8").trim();
const uncounted = withoutInstructions();
const stopping = new AbortController();
// Network namespaces would stay, and programs in the kernel.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort(new Error(signal)));

/** What requests cost at a steady rate, and when each waits for another: then as many are under way in all variants, and all of the machine is used. */
interface Measurement extends Turn {
  readonly closed: Turn;
}

async function turnOf(variant: Variant, load: Load): Promise<Measurement> {
  stopping.signal.throwIfAborted();
  await using pair = await Pair.start(variant, programs, uncounted === undefined);
  const steady = await pair.turn(load);
  return { ...steady, closed: await pair.turn({ ...load, rate: 0 }) };
}

/** Milliseconds in which all but one of a hundred requests are answered where a rate can be carried. */
const carriedMs = 10;

/**
 * The highest steady rate that the baseline carries. It answers more where each request waits for another, since it then does much at a
 * time; so what it answers so is where the search begins.
 */
async function capacity({ body, answer }: Group): Promise<number> {
  const carried: number[] = [];
  for (let at = 0; at < 3; at += 1) {
    stopping.signal.throwIfAborted();
    await using pair = await Pair.start(baselineVariant, programs, false);
    const load = { count: samples, body, answer };
    let { rate } = await pair.turn({ ...load, rate: 0 });
    while ((await pair.turn({ ...load, rate })).p99 > carriedMs) rate *= 0.95;
    carried.push(rate);
  }
  return median(carried);
}

/** Turns by variant, those of one repeat at the same place. */
type Measured = ReadonlyMap<Variant, readonly Measurement[]>;

async function measured(name: string, group: Group, load: Load): Promise<Measured> {
  const variants = [baselineVariant, ...group.variants];
  const turns = new Map(variants.map((variant) => [variant, [] as Measurement[]]));
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    for (const at of variants.keys()) {
      const variant = variants[(at + repeat) % variants.length] ?? baselineVariant;
      turns.get(variant)?.push(await turnOf(variant, load));
    }
    const last = variants.map((each) => `${each.name} ${rounded(turns.get(each)?.at(-1)?.all ?? 0)}`);
    progress(`dataplane: ${name}, repeat ${repeat + 1} of ${repeats}, us of CPU: ${last.join(", ")}`);
  }
  return turns;
}

function rowOf(variant: Variant, all: Measured): Row {
  const own = all.get(variant) ?? [];
  const base = all.get(baselineVariant) ?? [];
  const figure = (of: (turn: Measurement) => number): number => rounded(median(own.map(of)));
  const ratios = (of: (turn: Measurement) => number): readonly number[] =>
    own.map((turn, at) => of(turn) / of(base[at] ?? turn));
  const spread = (of: (turn: Measurement) => number) => {
    const list = ratios(of);
    return [rounded(median(list)), `${rounded(Math.min(...list))} to ${rounded(Math.max(...list))}`] as const;
  };
  const [cpu, cpuSpread] = spread(({ all: whole }) => whole);
  const [slowest, slowestSpread] = spread(({ p99 }) => p99);
  const [closed, closedSpread] = spread((turn) => turn.closed.all);
  const counts = own.flatMap(({ instructions }) => instructions ?? []);
  return {
    variant: variant.name,
    "CPU us": figure(({ all: whole }) => whole),
    ratio: cpu,
    "least to most": cpuSpread,
    "client's Envoy us": figure(({ client }) => client),
    "server's Envoy us": figure(({ server }) => server),
    "P50 ms": figure(({ p50 }) => p50),
    "P99 ms": figure(({ p99 }) => p99),
    "P99 ratio": slowest,
    "its least to most": slowestSpread,
    "closed loop: a second": figure((turn) => turn.closed.rate),
    "its CPU us": figure((turn) => turn.closed.all),
    "its ratio": closed,
    "of it, least to most": closedSpread,
    instructions: counts.length > 0 ? Math.round(median(counts)) : null,
  };
}

if (uncounted !== undefined) progress(`dataplane: instructions are not counted: ${uncounted}`);
for (const [name, group] of wanted) {
  const { title, body, answer } = group;
  const most = await capacity(group);
  const rate = Math.round(most * part);
  progress(`dataplane: ${name}: the baseline carries ${Math.round(most)} requests a second; ${rate} are sent`);
  const turns = await measured(name, group, { rate, count: samples, body, answer });
  printFigures(
    "dataplane",
    `${title}: ${rate} requests a second, ${part * 100} % of what the baseline can; medians of ${repeats} repeats of ${samples} requests, ratios to the baseline in the same repeat; no request failed`,
    { group: name, rate, capacity: Math.round(most), repeats, samples },
    [baselineVariant, ...group.variants].map((variant) => rowOf(variant, turns)),
  );
}
