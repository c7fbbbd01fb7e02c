import type { Analyzer } from "./analyzer.ts";
import { findingsAnalyzer } from "./checks/findings.ts";
import { schemaAnalyzer } from "./checks/schema.ts";

/** Everything that is looked at. */
export const analyzers: readonly Analyzer[] = [schemaAnalyzer, findingsAnalyzer];
