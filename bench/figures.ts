/** How benchmarks speak: progress on stderr while they run; on stdout a table, and last one line of JSON. */
import { table } from "#cli/table.ts";

/** One line of a benchmark's result: all rows of a benchmark have the same fields; null where there is no figure. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

/** Says what is under way. */
export function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}

function cell(value: Row[string] | undefined): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value ?? "-");
}

/** Bytes in the unit that figures of memory have. */
export function mebibytes(bytes: number): number {
  return bytes / 2 ** 20;
}

/** Prints a benchmark's result. */
export function printFigures(
  benchmark: string,
  title: string,
  about: Readonly<Record<string, unknown>>,
  rows: readonly Row[],
): void {
  const header = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => header.map((field) => cell(row[field])));
  process.stdout.write(`\n${title}\n\n${table(header, cells)}\n`);
  console.log(JSON.stringify({ benchmark, ...about, rows }));
}
