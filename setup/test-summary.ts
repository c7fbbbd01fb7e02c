/**
 * Names what failed and prints `N passed, N failed` from Vitest's JSON reports, summed up: `test-summary.ts [--ended=CODE] REPORT...`.
 * A skipped test counts as a failure, as does an empty run, or one that ended with a code other than 0 (what a set-up's end found).
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numFailedTestSuites: number;
  readonly success: boolean;
  readonly testResults: readonly FileResult[];
}

interface FileResult {
  readonly name: string;
  readonly status: string;
  /** Why the file as a whole failed; empty where its tests did. */
  readonly message: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages: readonly string[];
  }[];
}

const shownLines = 6;

function shown(message: string): string {
  const lines = stripVTControlCharacters(message).trim().split("\n");
  return lines
    .slice(0, shownLines)
    .map((line) => `    ${line}`)
    .join("\n");
}

/** What failed, again and shortly, since logs that are kept are often cut at their beginning. */
function printFailures(results: readonly FileResult[]): void {
  for (const { name, status, message, assertionResults } of results) {
    const file = relative(process.cwd(), name);
    if (status === "failed" && message !== "") console.log(`failed: ${file}\n${shown(message)}`);
    for (const { status: one, fullName, failureMessages } of assertionResults)
      if (one === "failed") console.log(`failed: ${file}: ${fullName}\n${shown(failureMessages.join("\n"))}`);
  }
}

const args = process.argv.slice(2);
const endedWell = args.every((text) => !text.startsWith("--ended=") || text === "--ended=0");
const files = args.filter((text) => !text.startsWith("--"));
const reports = files.map((file) => JSON.parse(readFileSync(file, "utf8")) as Report);
let [passed, failed] = [0, 0];
for (const report of reports) {
  printFailures(report.testResults);
  const skipped = report.numPendingTests + report.numTodoTests;
  if (skipped > 0) console.error(`${skipped} tests were skipped: no test may skip`);
  passed += report.numPassedTests;
  const whole = report.success && report.numPassedTests > 0;
  failed += Math.max(report.numFailedTests, whole ? 0 : 1) + skipped;
}
if (!endedWell) failed = Math.max(failed, 1);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
