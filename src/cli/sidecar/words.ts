import { formatAge } from "#base/duration.ts";

/** Bytes for people: `41.2Mi`. */
export function bytesText(bytes: number): string {
  const units = ["", "Ki", "Mi", "Gi", "Ti"];
  let [value, at] = [bytes, 0];
  while (value >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)}${units[at]}`;
}

/** Thousandths of a processor, as kubectl top has them. */
export function cpuText(millis: number): string {
  return `${Math.round(millis)}m`;
}

/** How far off a time is. */
export function untilText(time: string, now: number): string {
  const left = Date.parse(time) - now;
  return left > 0 ? `ends in ${formatAge(left)}` : `ended ${formatAge(-left)} ago`;
}

/** A rate with as many digits as say something. */
export function rateText(perSecond: number): string {
  return perSecond === 0 || perSecond >= 10 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}
