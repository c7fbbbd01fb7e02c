import { resolve } from "node:path";
import type { Command } from "commander";
import type { EnvoyOptions } from "#agent/options.ts";
import { wholeNumber } from "./output.ts";

/** Which Envoys an agent runs. */
export interface EnvoyFlags {
  readonly envoy: string;
  readonly envoys?: string;
  readonly envoyConcurrency: number;
}

/** Adds what is told beside the Envoy's path. */
export function withEnvoyFlags(command: Command, workers: number): Command {
  return command
    .option("--envoy-concurrency <threads>", "worker threads of each Envoy", wholeNumber(1, 64), workers)
    .option("--envoys <file>", "JSON file of other versions that proxies may change to: path and SHA-256 of each");
}

/** The same as the agent takes it. */
export function envoyOptions({ envoy, envoys, envoyConcurrency }: EnvoyFlags): EnvoyOptions {
  return { program: envoy, concurrency: envoyConcurrency, ...(envoys !== undefined && { others: resolve(envoys) }) };
}
