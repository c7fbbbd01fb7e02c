/** How wide a cell is on a terminal: control sequences take no room. */
function width(cell: string): number {
  // oxlint-disable-next-line no-control-regex -- colours are control sequences
  return cell.replaceAll(/\u001B\[[0-9;]*m/g, "").length;
}

/** Rows in aligned columns, as kubectl prints them: three spaces between, nothing after the last. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, at) => Math.max(...all.map((row) => width(row[at] ?? ""))));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : cell + " ".repeat((widths[at] ?? 0) - width(cell) + 3)))
      .join("")
      .trimEnd();
  return all.map((row) => `${line(row)}\n`).join("");
}
