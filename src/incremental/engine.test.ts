import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Engine } from "./engine.ts";
import type { Query } from "./query.ts";
import type { Table } from "./table.ts";
import { runs } from "#base/testing/runs.ts";

describe("tables", () => {
  test("a query follows the rows that it reads, those that are not there yet included", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const sum = engine.stringQuery("sum", () => (rows.get("a") ?? 0) + (rows.get("b") ?? 0));
    using observed = engine.observe(sum, "");
    expect(observed.current).toBe(0);
    rows.set("a", 2);
    rows.set("b", 3);
    expect(observed.current).toBe(5);
    rows.delete("a");
    expect(observed.current).toBe(3);
  });

  test("an index gives the rows under a name and follows rows that move", () => {
    const engine = new Engine();
    const pets = engine.table<{ kind: string; legs: number }>("pets");
    const byKind = pets.index("kind", (pet) => [pet.kind]);
    const legs = engine.stringQuery("legs", (kind) => byKind.rows(kind).reduce((sum, pet) => sum + pet.legs, 0));
    using cats = engine.observe(legs, "cat");
    using birds = engine.observe(legs, "bird");
    engine.change(() => {
      pets.set("tom", { kind: "cat", legs: 4 });
      pets.set("tweety", { kind: "bird", legs: 2 });
    });
    expect([cats.current, birds.current, byKind.names()]).toEqual([4, 2, ["bird", "cat"]]);
    pets.set("tom", { kind: "bird", legs: 4 });
    expect([cats.current, birds.current, byKind.names()]).toEqual([0, 6, ["bird"]]);
  });

  test("a change of one row runs only what read that row or its bucket", () => {
    const engine = new Engine();
    const rows = engine.table<{ group: string; value: number }>("rows");
    const byGroup = rows.index("group", (row) => [row.group]);
    const total = engine.stringQuery("total", (group) => byGroup.rows(group).reduce((sum, row) => sum + row.value, 0));
    engine.change(() => {
      for (let at = 0; at < 100; at += 1) rows.set(`r${at}`, { group: `g${at % 10}`, value: at });
    });
    const observed = Array.from({ length: 10 }, (_, at) => engine.observe(total, `g${at}`));
    const before = engine.computations.get("total") ?? 0;
    rows.set("r7", { group: "g7", value: 1000 });
    expect((engine.computations.get("total") ?? 0) - before).toBe(1);
    for (const one of observed) one[Symbol.dispose]();
  });
});

describe("queries", () => {
  test("an equal result stops a change", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const parity = engine.stringQuery("parity", (key) => (rows.get(key) ?? 0) % 2);
    const text = engine.stringQuery("text", (key) => (parity.get(key) === 0 ? "even" : "odd"));
    let calls = 0;
    using observed = engine.observe(text, "a", () => (calls += 1));
    rows.set("a", 2);
    expect([engine.computations.get("parity"), engine.computations.get("text"), calls]).toEqual([2, 1, 0]);
    rows.set("a", 3);
    expect([observed.current, engine.computations.get("text"), calls]).toEqual(["odd", 2, 1]);
  });

  test("what stands behind an equal result is not looked at", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const parity = engine.stringQuery("parity", (key) => (rows.get(key) ?? 0) % 2);
    const text = engine.stringQuery("text", (key) => `${key} ${parity.get("a")}`);
    const observed = Array.from({ length: 100 }, (_, at) => engine.observe(text, `text-${at}`));
    const { visits } = engine;
    rows.set("a", 2);
    expect([engine.visits - visits, engine.computations.get("text")]).toEqual([0, 100]);
    rows.set("a", 3);
    expect(observed.map((one) => one.current)).toEqual(observed.map((_, at) => `text-${at} 1`));
  });

  test("a change runs a query once, however many ways lead to it and however long they are", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const link: Query<number, number> = engine.query({
      name: "link",
      key: String,
      compute: (at) => (at === 0 ? (rows.get("a") ?? 0) : link.get(at - 1) + 1),
    });
    const sum = engine.stringQuery("sum", () => [0, 5, 9].reduce((all, at) => all + link.get(at), 0));
    using observed = engine.observe(sum, "");
    rows.set("a", 1);
    expect([observed.current, engine.computations.get("sum"), engine.computations.get("link")]).toEqual([17, 2, 20]);
  });

  test("observers see a batch of edits as one change", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const sum = engine.stringQuery("sum", () => rows.rows().reduce((a, b) => a + b, 0));
    const seen: number[] = [];
    using observed = engine.observe(sum, "", () => seen.push(sum.get("")));
    engine.change(() => {
      rows.set("a", 1);
      rows.set("b", 2);
      engine.change(() => rows.set("c", 3));
    });
    expect(seen).toEqual([6]);
    expect(observed.current).toBe(6);
  });

  test("what a computation throws is kept for its readers and goes away with its cause", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const checked = engine.stringQuery("checked", (key) => {
      const row = rows.get(key);
      if (row === undefined) throw new Error(`no row ${key}`);
      return row;
    });
    using observed = engine.observe(checked, "a");
    expect(() => observed.current).toThrow("no row a");
    rows.set("a", 1);
    expect(observed.current).toBe(1);
  });

  test("a circle of queries is named, and mended by a change", () => {
    const engine = new Engine();
    const next = engine.table<string>("next");
    const end = engine.stringQuery("end", (key): string => {
      const target = next.get(key);
      return target === undefined ? key : end.get(target);
    });
    engine.change(() => {
      next.set("a", "b");
      next.set("b", "a");
    });
    using observed = engine.observe(end, "a");
    expect(() => observed.current).toThrow("end(a) -> end(b) -> end(a)");
    next.set("b", "c");
    expect(observed.current).toBe("c");
  });

  test("a circle stands, and harms nobody else, when a change stops before it", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const parity = engine.stringQuery("parity", (key) => (rows.get(key) ?? 0) % 2);
    const one: Query<string, number> = engine.stringQuery("one", (key) => parity.get(key) + other.get(key));
    const other: Query<string, number> = engine.stringQuery("other", (key) => one.get(key));
    const plain = engine.stringQuery("plain", (key) => rows.get(key) ?? 0);
    using circle = engine.observe(one, "a");
    using beside = engine.observe(plain, "a");
    rows.set("a", 2);
    expect(beside.current).toBe(2);
    expect(() => circle.current).toThrow("queries read each other in a circle");
  });

  test("who recovers from a circle keeps its value however often it is computed", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const back = engine.stringQuery("back", (key): number => safe.get(key));
    const safe: Query<string, number> = engine.stringQuery("safe", (key) => {
      rows.get(key);
      try {
        return back.get(key);
      } catch {
        return 5;
      }
    });
    using observed = engine.observe(safe, "a");
    expect(observed.current).toBe(5);
    rows.set("a", 1);
    expect(observed.current).toBe(5);
  });

  test("a query that is read between two edits of one change follows the second, too", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const own = engine.stringQuery("own", (key) => rows.get(key) ?? 0);
    const twice = engine.stringQuery("twice", (key) => 2 * own.get(key));
    const seen: number[] = [];
    using observed = engine.observe(twice, "a", () => seen.push(twice.get("a")));
    engine.change(() => {
      rows.set("a", 1);
      expect(twice.get("a")).toBe(2);
      rows.set("a", 2);
      expect(twice.get("a")).toBe(4);
      rows.set("a", 3);
    });
    expect(observed.current).toBe(6);
    expect(seen).toEqual([6]);
  });

  test("an observation that another observer ends is not called any more", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const own = engine.stringQuery("own", (key) => rows.get(key) ?? 0);
    const called: string[] = [];
    const observations = ["first", "second"].map((name) =>
      engine.observe(own, "a", () => {
        called.push(name);
        for (const observation of observations) observation[Symbol.dispose]();
      }),
    );
    rows.set("a", 1);
    expect(called).toEqual(["first"]);
    expect(own.size).toBe(0);
  });

  test("inputs cannot change while a query or an observer runs", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const bad = engine.stringQuery("bad", () => rows.set("x", 1));
    expect(() => bad.get("")).toThrow("inputs cannot change while a query runs");
    const good = engine.stringQuery("good", () => rows.get("a"));
    using _observed = engine.observe(good, "", () => rows.set("b", 1));
    expect(() => rows.set("a", 1)).toThrow("inputs cannot change while observers are called");
    expect(rows.get("a")).toBe(1);
  });

  test("an observer that fails does not keep the others from being called", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const row = engine.stringQuery("row", (key) => rows.get(key));
    let called = 0;
    using _first = engine.observe(row, "a", () => {
      throw new Error("first");
    });
    using _second = engine.observe(row, "a", () => (called += 1));
    expect(() => rows.set("a", 1)).toThrow("an observer failed: first");
    expect(called).toBe(1);
  });
});

describe("disposal", () => {
  test("what nobody observes or reads is forgotten", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const inner = engine.stringQuery("inner", (key) => rows.get(key) ?? 0);
    const outer = engine.stringQuery("outer", (key) => inner.get(key) + 1);
    const observed = engine.observe(outer, "a");
    expect([outer.size, inner.size]).toEqual([1, 1]);
    observed[Symbol.dispose]();
    expect([outer.size, inner.size]).toEqual([0, 0]);
  });

  test("what a query no longer reads is forgotten and no longer moves it", () => {
    const engine = new Engine();
    const rows = engine.table<string>("rows");
    const value = engine.stringQuery("value", (key) => rows.get(key));
    const followed = engine.stringQuery("followed", () => value.get(rows.get("which") ?? "a"));
    using observed = engine.observe(followed, "");
    engine.change(() => {
      rows.set("a", "A");
      rows.set("b", "B");
    });
    rows.set("which", "b");
    expect([observed.current, value.size]).toEqual(["B", 1]);
    const before = engine.computations.get("followed");
    rows.set("a", "other");
    expect(engine.computations.get("followed")).toBe(before);
  });

  test("reads from outside are not kept over the next change", () => {
    const engine = new Engine();
    const rows = engine.table<number>("rows");
    const row = engine.stringQuery("row", (key) => rows.get(key));
    row.get("a");
    row.get("b");
    rows.set("z", 1);
    expect(row.size).toBe(0);
  });
});

/** A program over input rows: layers of queries whose reads, and so whose order, depend on values. */
interface Program {
  readonly layers: readonly (readonly Cell[])[];
}
interface Cell {
  readonly operation: "sum" | "pick" | "parity" | "rows" | "beside";
  readonly reads: readonly number[];
}
type Edit = { readonly row: string; readonly value: number | undefined; readonly readAfter: boolean };

const cell: fc.Arbitrary<Cell> = fc.record({
  operation: fc.constantFrom("sum", "pick", "parity", "rows", "beside"),
  reads: fc.array(fc.nat(11), { minLength: 1, maxLength: 3 }),
});
const program: fc.Arbitrary<Program> = fc.record({
  layers: fc.array(fc.array(cell, { minLength: 3, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
});
const edit: fc.Arbitrary<Edit> = fc.record({
  row: fc.constantFrom("a", "b", "c", "d"),
  value: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
  readAfter: fc.boolean(),
});
const edits = fc.array(fc.array(edit, { maxLength: 4 }), { maxLength: 25 });

interface Reads {
  row(key: string): number | undefined;
  bucket(parity: string): readonly number[];
  cell(layer: number, at: number): number;
}

function evaluate({ layers }: Program, layer: number, at: number, reads: Reads): number {
  const cells = layers[layer] ?? [];
  const { operation, reads: targets } = cells[at % cells.length]!;
  /** A cell of any lower layer. */
  const read = (target: number): number =>
    layer === 0 ? (reads.row("abcd"[target % 4]!) ?? -1) : reads.cell(target % layer, target % 6);
  switch (operation) {
    case "sum":
      return targets.reduce((sum, target) => sum + read(target), 0);
    case "pick":
      // Which target is read depends on the first one's value.
      return read(targets[Math.abs(read(targets[0]!)) % targets.length]!);
    case "parity":
      return Math.abs(read(targets[0]!) % 2);
    case "rows":
      return reads.bucket(String(targets[0]! % 2)).reduce((sum, value) => sum + value, 0);
    case "beside":
      // Of two neighbours one reads the other, and the other way round after a change.
      return (reads.row("a") ?? 0) % 2 === at % 2 ? reads.cell(layer, at ^ 1) + 1 : read(targets[0]!);
  }
}

/** The rows as plain values, to compute from scratch with. */
class PlainRows {
  readonly #rows = new Map<string, number>();

  row(key: string): number | undefined {
    return this.#rows.get(key);
  }

  bucket(parity: string): readonly number[] {
    const rows = [...this.#rows].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
    return rows.filter((value) => String(value % 2) === parity);
  }

  edit(change: readonly Edit[]): void {
    for (const { row, value } of change) {
      if (value === undefined) this.#rows.delete(row);
      else this.#rows.set(row, value);
    }
  }
}

function setRow(rows: Table<number>, { row, value }: Edit): void {
  if (value === undefined) rows.delete(row);
  else rows.set(row, value);
}

test("after any edits every observed query equals recomputation from scratch", () => {
  fc.assert(
    fc.property(program, edits, (written, changes) => {
      const engine = new Engine();
      const rows = engine.table<number>("rows");
      const byParity = rows.index("parity", (row) => [String(row % 2)]);
      const ran: string[] = [];
      const query: Query<{ layer: number; at: number }, number> = engine.query({
        name: "cell",
        key: ({ layer, at }) => `${layer}/${at}`,
        compute: ({ layer, at }) => {
          ran.push(`${layer}/${at}`);
          return evaluate(written, layer, at, {
            row: (key) => rows.get(key),
            bucket: (parity) => byParity.rows(parity),
            cell: (below, target) => query.get({ layer: below, at: target }),
          });
        },
      });
      const last = written.layers.length - 1;
      const stale = new Set<number>();
      const observed = [0, 1, 2].map((at) => engine.observe(query, { layer: last, at }, () => stale.delete(at)));
      const plain = new PlainRows();
      const scratch = (layer: number, at: number): number =>
        evaluate(written, layer, at, {
          row: (key) => plain.row(key),
          bucket: (parity) => plain.bucket(parity),
          cell: scratch,
        });
      for (const change of changes) {
        const before = observed.map((one) => one.current);
        plain.edit(change);
        stale.clear();
        for (const at of [0, 1, 2]) if (scratch(last, at) !== before[at]) stale.add(at);
        ran.length = 0;
        engine.change(() => {
          for (const each of change) {
            setRow(rows, each);
            if (each.readAfter) query.get({ layer: last, at: 0 });
          }
        });
        expect(observed.map((one) => one.current)).toEqual([0, 1, 2].map((at) => scratch(last, at)));
        expect(stale, "every observer of a value that changed was called").toEqual(new Set());
        if (!change.some(({ readAfter }) => readAfter)) expect(ran, "each ran once").toEqual([...new Set(ran)]);
      }
      for (const one of observed) one[Symbol.dispose]();
      expect(query.size).toBe(0);
    }),
    { numRuns: runs(500) },
  );
});

/** Cells that read each other as their values want it, circles included: each reads two of them, or rows. */
const tangle = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { minLength: 6, maxLength: 6 });

/** Reads one or two others, the second where the first is even; targets from 6 on are rows. */
function follow(
  cells: readonly (readonly [number, number])[],
  at: number,
  read: { row: (key: string) => number; cell: (at: number) => number },
): number {
  const valueOf = (target: number): number => (target < 6 ? read.cell(target) : read.row("abcd"[target - 6]!));
  const [first, second] = cells[at]!;
  const value = valueOf(first);
  return value % 2 === 0 ? (value + valueOf(second)) % 5 : value;
}

test("whoever reads a circle fails, and everybody else has what recomputation from scratch gives", () => {
  fc.assert(
    fc.property(tangle, edits, (cells, changes) => {
      const engine = new Engine();
      const rows = engine.table<number>("rows");
      const query: Query<number, number> = engine.query({
        name: "cell",
        key: String,
        compute: (at) => follow(cells, at, { row: (key) => rows.get(key) ?? 0, cell: (other) => query.get(other) }),
      });
      const plain = new PlainRows();
      const scratch = (at: number, above: readonly number[] = []): number => {
        if (above.includes(at)) throw new Error("a circle");
        return follow(cells, at, {
          row: (key) => plain.row(key) ?? 0,
          cell: (other) => scratch(other, [...above, at]),
        });
      };
      const outcome = (read: () => number): number | "circle" => {
        try {
          return read();
        } catch {
          return "circle";
        }
      };
      const observed = cells.map((_, at) => engine.observe(query, at));
      for (const change of changes) {
        plain.edit(change);
        engine.change(() => {
          for (const each of change) {
            setRow(rows, each);
            if (each.readAfter) outcome(() => query.get(0));
          }
        });
        const fresh = cells.map((_, at) => outcome(() => scratch(at)));
        expect(observed.map((one) => outcome(() => one.current))).toEqual(fresh);
      }
    }),
    { numRuns: runs(500) },
  );
});
