import { WeftError } from "./errors.ts";

/** Nanoseconds in each unit that Go's `time.ParseDuration` knows, which Kubernetes and Istio durations follow. */
const units: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const whole = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))*$/;
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g;

/** Whether `parseDuration` would take this text. */
export function isDuration(text: string): boolean {
  return text === "0" || whole.test(text);
}

/**
 * Reads a duration such as `1h30m`, `250ms` or `0`, as Go's `time.ParseDuration` does.
 * @returns milliseconds, possibly with a fraction.
 * @throws WeftError `InvalidArgument` when the text is no duration.
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (!whole.test(text)) {
    throw new WeftError(
      "InvalidArgument",
      `"${text}" is not a duration: write a number and a unit, such as 250ms, 10s or 1h30m`,
    );
  }
  let nanoseconds = 0;
  for (const [, amount, unit] of text.matchAll(part)) nanoseconds += Number(amount) * (units[unit ?? ""] ?? 0);
  return ((text.startsWith("-") ? -1 : 1) * nanoseconds) / 1e6;
}

/** Milliseconds as a person reads an age: `45s`, `12m`, `3h20m`, `5d`. The form of kubectl's AGE column. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}
