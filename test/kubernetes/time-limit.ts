/** Ends a run of tests that takes longer than it may, and names the files that took longest. Its clock starts when everything is built. */
import { relative } from "node:path";
import type { TestProject, Vitest } from "vitest/node";

/** Minutes that the tests may take; no limit unless it is set. */
export const limitVariable = "WEFT_TEST_MINUTES";

/** Files that are named. */
const mostNamed = 5;

/** How long a test file took, or has taken where it has not ended. */
export interface FileTime {
  readonly file: string;
  readonly tookMs: number;
  readonly ended: boolean;
}

function said(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** What is said of a run that took too long. */
export function limitWords(limitMs: number, files: readonly FileTime[]): string {
  const longest = files.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, mostNamed);
  const named = longest.map(({ file, tookMs, ended }) => `  ${file} ${said(tookMs)}${ended ? "" : " so far"}\n`);
  return `the tests took longer than ${said(limitMs)}, the limit of ${limitVariable}; the files that took longest:\n${named.join("")}`;
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const minutes = Number(text);
  if (!(minutes > 0)) throw new Error(`${limitVariable} must be a number of minutes, not ${text}`);
  return minutes * 60_000;
}

function timesOf({ state, config }: Vitest): readonly FileTime[] {
  return state.getFiles().flatMap(({ filepath, result }) => {
    if (result?.startTime === undefined) return [];
    const ended = result.duration !== undefined;
    return { file: relative(config.root, filepath), tookMs: result.duration ?? Date.now() - result.startTime, ended };
  });
}

/** Vitest calls it for each project of a run, before its tests. */
const watched = new WeakSet<Vitest>();

/**
 * Called by Vitest before all tests. At the limit no further test begins; those that run end by themselves or by their own limits, so
 * that what they made is taken away. Such a run has failed, also when its tests had all passed by then.
 * @returns what is called after them.
 */
export function setup({ vitest }: TestProject): (() => void) | undefined {
  const limitMs = limitOf(process.env[limitVariable]);
  if (limitMs === undefined || watched.has(vitest)) return undefined;
  watched.add(vitest);
  let verdict: string | undefined;
  const timer = setTimeout(() => {
    verdict = limitWords(limitMs, timesOf(vitest));
    console.error(verdict);
    process.exitCode = 1;
    void vitest.cancelCurrentRun("test-failure");
  }, limitMs);
  return () => {
    clearTimeout(timer);
    // Again at the end, where people look.
    if (verdict !== undefined) console.error(verdict);
  };
}
