import { mostLogCharacters } from "#api/weft/proxy-report.ts";
import type { Clock } from "#base/clock.ts";
import { readLog } from "#runtime/log.ts";

/** The end of the log of one start of a process, whole lines, as much as one answer holds. */
export async function logEnd(folder: string, lines: number, clock: Clock): Promise<string> {
  const options = { tailLines: lines, timestamps: true };
  const parts: Buffer[] = [];
  for await (const part of readLog(folder, options, () => false, clock, new AbortController().signal)) parts.push(part);
  const text = Buffer.concat(parts).toString("utf8");
  if (text.length <= mostLogCharacters) return text;
  const cut = text.slice(-mostLogCharacters);
  return cut.slice(cut.indexOf("\n") + 1);
}
