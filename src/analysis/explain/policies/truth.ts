/** Whether something holds: known, or dependent on what is not known here. */
export type Truth = boolean | Unknown;

/** What would have to be known, in words. */
export interface Unknown {
  readonly needs: string;
}

/** Whether everything holds; what is not known matters only where nothing fails. */
export function allHold(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false;
  return truths.find((each) => each !== true) ?? true;
}

/** Whether something of it holds. */
export function oneHolds(truths: readonly Truth[]): Truth {
  if (truths.includes(true)) return true;
  return truths.find((each) => each !== false) ?? false;
}

/** The opposite. */
export function opposite(truth: Truth): Truth {
  return typeof truth === "boolean" ? !truth : truth;
}
