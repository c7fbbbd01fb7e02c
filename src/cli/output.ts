import { isDuration, parseDuration } from "#base/duration.ts";
import { InvalidArgumentError, Option } from "commander";
import { stringify } from "yaml";

/** What a command prints: a table for people, or data for programs. */
export type OutputFormat = "table" | "wide" | "json" | "yaml" | "name";

/** The `-o` option with the formats that a command has. */
export function outputOption(formats: readonly OutputFormat[]): Option {
  return new Option("-o, --output <format>", "how to print").choices(formats).default("table");
}

/** Data as the text of a format. */
export function serialize(data: unknown, format: "json" | "yaml"): string {
  return format === "json" ? `${JSON.stringify(data, undefined, 2)}\n` : stringify(data, { lineWidth: 0 });
}

/** Reads a duration, such as 24h or 90s, as milliseconds. */
export function durationValue(text: string): number {
  if (!isDuration(text)) throw new InvalidArgumentError("write a duration such as 24h or 90m.");
  return parseDuration(text);
}

/** Reads a whole number of a flag within bounds; commander prints the refusal beside the flag's name. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`write a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

/** Takes one value of a flag that may be given several times. */
export function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
