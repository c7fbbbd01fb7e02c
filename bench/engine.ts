/**
 * The incremental engine by itself: what one edit costs by what it reaches. `node bench/engine.ts`; the last line is
 * JSON.
 */
import { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { printFigures, progress } from "./figures.ts";

/** One figure. */
type Row = {
  readonly change: string;
  /** Rows of input, and results held. */
  readonly size: number;
  /** Queries computed for each edit. */
  readonly computed: number;
  readonly "CPU us per edit": number;
};

function total(engine: Engine): number {
  return [...engine.computations.values()].reduce((sum, count) => sum + count, 0);
}

/** Milliseconds of CPU: others' work on the machine does not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Runs edits for half a second of CPU, after some to warm up. */
function measure(change: string, size: number, engine: Engine, edit: (turn: number) => void): Row {
  let turn = 1;
  for (; turn <= 200; turn += 1) edit(turn);
  const computed = total(engine);
  const from = turn;
  const started = cpuMs();
  while (cpuMs() - started < 500) {
    for (let more = 0; more < 10; more += 1) {
      edit(turn);
      turn += 1;
    }
  }
  const elapsed = cpuMs() - started;
  const edits = turn - from;
  const row: Row = {
    change,
    size,
    computed: Number(((total(engine) - computed) / edits).toFixed(2)),
    "CPU us per edit": Number(((elapsed * 1000) / edits).toFixed(2)),
  };
  progress(`engine: ${change}, ${size}: ${row["CPU us per edit"]} us`);
  return row;
}

/** One observed result reads one row each. */
function wide(size: number): Row {
  const engine = new Engine();
  const table = engine.table<number>("rows");
  const query = engine.stringQuery("double", (key) => 2 * (table.get(key) ?? 0));
  engine.change(() => {
    for (let index = 0; index < size; index += 1) table.set(`row-${index}`, 0);
  });
  for (let index = 0; index < size; index += 1) engine.observe(query, `row-${index}`);
  return measure("one row, one reader of it", size, engine, (turn) => table.set(`row-${turn % size}`, turn));
}

/** One row is read by all results: each is computed anew. */
function shared(size: number): Row {
  const engine = new Engine();
  const table = engine.table<number>("rows");
  const query = engine.stringQuery("sum", (key) => key.length + (table.get("shared") ?? 0));
  for (let index = 0; index < size; index += 1) engine.observe(query, `result-${index}`);
  return measure("one row, read by all", size, engine, (turn) => table.set("shared", turn));
}

/** One row is read by all results through a query whose value stays equal: the change stops there. */
function cutOff(size: number): Row {
  const engine = new Engine();
  const table = engine.table<number>("rows");
  const sign = engine.stringQuery("sign", () => Math.sign(table.get("shared") ?? 0));
  const query = engine.stringQuery("labelled", (key) => `${key} ${sign.get("")}`);
  for (let index = 0; index < size; index += 1) engine.observe(query, `result-${index}`);
  return measure("one row, cut off before all", size, engine, (turn) => table.set("shared", turn));
}

/** A chain of queries, each reading the one before. */
function deep(size: number): Row {
  const engine = new Engine();
  const table = engine.table<number>("rows");
  const link: Query<number, number> = engine.query({
    name: "link",
    key: String,
    compute: (at: number): number => (at === 0 ? (table.get("first") ?? 0) : link.get(at - 1) + 1),
  });
  engine.observe(link, size);
  return measure("a chain of queries", size, engine, (turn) => table.set("first", turn));
}

/** A query reads every row by an index, as a list of names does. */
function listing(size: number): Row {
  const engine = new Engine();
  const table = engine.table<number>("rows");
  const byGroup = table.index("group", (_row, key) => [key.split("/")[0] ?? ""]);
  const query = engine.stringQuery("names", (group) => byGroup.keys(group));
  engine.change(() => {
    for (let index = 0; index < size; index += 1) table.set(`group/row-${index}`, 0);
  });
  engine.observe(query, "group");
  return measure("a row added or removed, a list of all", size, engine, (turn) => {
    if (turn % 2 === 0) table.delete("group/extra");
    else table.set("group/extra", turn);
  });
}

const rows = [1000, 10_000].flatMap((size) => [wide(size), shared(size), cutOff(size), listing(size)]);
rows.push(deep(10), deep(100));
printFigures("engine", "The incremental engine: one edit of an input", {}, rows);
