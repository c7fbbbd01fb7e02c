import type { LoadStatus } from "./status.ts";

/** A line of the load generator, or undefined for one that is none. */
export function readLoadLine(line: string): LoadStatus | undefined {
  try {
    return JSON.parse(line) as LoadStatus;
  } catch {
    return undefined;
  }
}
