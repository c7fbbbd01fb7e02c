import type { Finding, Severity } from "#api/finding.ts";
import type { Config } from "../rows.ts";

/** What is wrong, and where in the object. */
export interface Problem {
  readonly code: string;
  readonly severity: Severity;
  readonly field: string;
  readonly message: string;
}

/** That a port says MySQL, for which upstream Envoy has no filter: nothing is wrong, and nothing is counted. */
export function passedOn(field: string, port: number): Problem {
  const message = `Port ${port} says MySQL, which proxies have no filter for: its connections are passed on as TCP, and its commands are not counted.`;
  return { code: "ProtocolPassedOn", severity: "info", field, message };
}

/** Problems as findings of the object that has them. */
export function findingsOf({ ref }: Config<unknown>, problems: readonly Problem[]): readonly Finding[] {
  return problems.map(({ code, severity, field, message }) => ({ code, severity, resource: ref, field, message }));
}

/** A list in a sentence: `a, b and c`; of many only the first few. */
export function listed(words: readonly string[]): string {
  const shown = words.length > 4 ? [...words.slice(0, 3), `${words.length - 3} more`] : words;
  return shown.length < 2 ? (shown[0] ?? "none") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}
