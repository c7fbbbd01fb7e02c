import { constants } from "node:os";

const signalBase = 128;

/** How a process ended, by the code that a shell has for it: 128 and the signal's number when a signal ended it. */
export function exitReason(code: number | undefined): string {
  if (code === undefined) return "nobody saw how it ended";
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - signalBase)?.[0];
  return signal === undefined ? `it ended with code ${code}` : `it was ended by ${signal}`;
}
