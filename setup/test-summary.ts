/** Prints `N passed, N failed` from Vitest's JSON report; a skipped test or an empty run counts as a failure. */
import { readFileSync } from "node:fs";

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numFailedTestSuites: number;
  readonly success: boolean;
}

const [, , file = "build/tests.json"] = process.argv;
const report = JSON.parse(readFileSync(file, "utf8")) as Report;
const skipped = report.numPendingTests + report.numTodoTests;
if (skipped > 0) console.error(`${skipped} tests were skipped: no test may skip`);
const failed = Math.max(report.numFailedTests, report.success ? 0 : 1) + skipped;
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exit(failed > 0 || report.numPassedTests === 0 ? 1 : 0);
