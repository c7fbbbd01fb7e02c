import type { CheckResult } from "#controllers/clusters/checks.ts";
import type { Progress } from "#controllers/clusters/steps.ts";

/** Tells of steps on standard output, a line each. */
export const lines: Progress = {
  begun: (title) => console.log(`  ... ${title}`),
  done: (title) => console.log(`  ok  ${title}`),
  failed: (title, why) => console.log(`  !!  ${title}: ${why}`),
};

const marks = { passed: "ok ", warned: "?? ", failed: "!! " } as const;

/** One check as a line. */
export function checkLine({
  check,
  outcome,
  message,
}: Omit<CheckResult, "check"> & { readonly check: string }): string {
  return `  ${marks[outcome]} ${check.padEnd(11)} ${message}`;
}

/** Tells what is waited for. */
export function waiting(text: string): void {
  console.log(`      ${text}`);
}

/** A signal that aborts when a person or the system asks the command to end, so that it can take back what it did. */
export function interrupted(): AbortSignal {
  const end = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => end.abort(new Error("interrupted")));
  return end.signal;
}
