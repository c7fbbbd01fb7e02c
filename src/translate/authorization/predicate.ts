/** Something asked of a request or connection that Envoy knows only of HTTP. */
export const httpOnly = Symbol("HTTP only");

/** What a field asks, as Envoy has it; `httpOnly` where the connection is not HTTP and cannot be asked it. */
export type Asked<Matcher> = Matcher | typeof httpOnly;

/** A field of a rule with its values, of which one must hold, and those of which none may. */
export interface Field<Matcher> {
  readonly values: readonly string[];
  readonly notValues: readonly string[];
  /** What one value asks. */
  readonly ask: (value: string) => Asked<Matcher>;
}

/** How matchers are put together. */
export interface Logic<Matcher> {
  readonly or: (matchers: Matcher[]) => Matcher;
  readonly and: (matchers: Matcher[]) => Matcher;
  readonly not: (matcher: Matcher) => Matcher;
  readonly any: Matcher;
}

/**
 * All of some fields. A field that cannot be asked is left out where the rule refuses, which makes it refuse more; a rule
 * that allows cannot be held then, and allows nothing.
 * @returns undefined for such a rule.
 */
export function allOf<Matcher>(
  fields: readonly Field<Matcher>[],
  { or, and, not, any }: Logic<Matcher>,
  allows: boolean,
): Matcher | undefined {
  const all: Matcher[] = [];
  for (const { values, notValues, ask } of fields) {
    for (const [list, combine] of [
      [values, or],
      [notValues, (matchers: Matcher[]): Matcher => not(or(matchers))],
    ] as const) {
      const asked = list.map(ask);
      const known = asked.filter((each): each is Matcher => each !== httpOnly);
      if (known.length < asked.length && allows) return undefined;
      if (known.length > 0) all.push(combine(known));
    }
  }
  return and(all.length > 0 ? all : [any]);
}
