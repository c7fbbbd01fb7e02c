/**
 * Names what failed and prints `N passed, N failed` from Vitest's JSON report; a skipped test or an empty run counts as a
 * failure.
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

const [, , file = "build/tests.json"] = process.argv;
const report = JSON.parse(readFileSync(file, "utf8")) as Report;
printFailures(report.testResults);
const skipped = report.numPendingTests + report.numTodoTests;
if (skipped > 0) console.error(`${skipped} tests were skipped: no test may skip`);
const failed = Math.max(report.numFailedTests, report.success ? 0 : 1) + skipped;
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exit(failed > 0 || report.numPassedTests === 0 ? 1 : 0);
