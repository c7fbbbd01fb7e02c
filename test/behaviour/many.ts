/** Does something many times, a few at a time; results in the order of starting. */
export async function inParallel<V>(
  times: number,
  atOnce: number,
  act: (at: number) => Promise<V>,
): Promise<readonly V[]> {
  const results: V[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < times) {
      const at = next;
      next += 1;
      results[at] = await act(at);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** How many of each there are. */
export function countBy<V, K>(values: readonly V[], key: (value: V) => K): ReadonlyMap<K, number> {
  const counts = new Map<K, number>();
  for (const value of values) counts.set(key(value), (counts.get(key(value)) ?? 0) + 1);
  return counts;
}
