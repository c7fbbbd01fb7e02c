/**
 * Asks again and again until a check gives something other than undefined and false.
 * @param patience milliseconds after which something that should come true has failed to.
 * @throws Error with the check's last failure as cause.
 */
export async function eventually<V>(
  what: string,
  check: () => V | Promise<V>,
  patience = 60_000,
): Promise<NonNullable<V>> {
  const until = Date.now() + patience;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const value = await check();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (fault) {
      last = fault;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  throw new Error(`never came true: ${what}`, { cause: last });
}

/**
 * How many times as long as on an idle machine things may take in a test: what must happen within a second or two is shown
 * to happen soon, on whatever machine.
 */
export const busy = 5;
