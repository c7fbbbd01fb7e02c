/** How many letters must be changed, added, left out or swapped with the next to make one word of another. */
function distance(a: string, b: string): number {
  let last: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let at = 0; at < a.length; at += 1) {
    const next = [at + 1];
    for (let to = 0; to < b.length; to += 1) {
      const changed = (row[to] ?? 0) + Number(a[at] !== b[to]);
      const swaps = to > 0 && at > 0 && a[at] === b[to - 1] && a[at - 1] === b[to];
      const swapped = swaps ? (last[to - 1] ?? 0) + 1 : changed;
      next.push(Math.min(changed, swapped, (row[to + 1] ?? 0) + 1, (next[to] ?? 0) + 1));
    }
    [last, row] = [row, next];
  }
  return row.at(-1) ?? 0;
}

/** The known word that a word was most likely meant to be: of those that differ in at most a third of their letters. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    if (candidate === word || Math.abs(candidate.length - word.length) >= least) continue;
    const found = distance(word.toLowerCase(), candidate.toLowerCase());
    if (found < least) [best, least] = [candidate, found];
  }
  return best;
}
