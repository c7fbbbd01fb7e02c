import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { foundByExpression } from "#api/re2.ts";
import type { FieldRules } from "#proto/gen/validate/validate_pb.js";

/** Limits of numbers of any type. */
interface NumberLimits {
  readonly gt?: number | bigint;
  readonly gte?: number | bigint;
  readonly lt?: number | bigint;
  readonly lte?: number | bigint;
  readonly in?: readonly (number | bigint)[];
  readonly notIn?: readonly (number | bigint)[];
}

/** Limits of spans of time. */
interface DurationLimits {
  readonly gt?: Duration | undefined;
  readonly gte?: Duration | undefined;
  readonly lt?: Duration | undefined;
  readonly lte?: Duration | undefined;
}

/** Limits of texts. */
interface TextLimits {
  readonly ignoreEmpty?: boolean;
  readonly minLen?: bigint;
  readonly minBytes?: bigint;
  readonly maxLen?: bigint;
  readonly maxBytes?: bigint;
  readonly prefix?: string;
  readonly pattern?: string;
  readonly in?: readonly string[];
  readonly wellKnown?: { readonly case: string | undefined };
}

function numberProblem(value: number | bigint, { gt, gte, lt, lte, in: some = [], notIn = [] }: NumberLimits) {
  if (gt !== undefined && !(value > gt)) return `must be greater than ${gt}`;
  if (gte !== undefined && !(value >= gte)) return `must be ${gte} or more`;
  if (lt !== undefined && !(value < lt)) return `must be less than ${lt}`;
  if (lte !== undefined && !(value <= lte)) return `must be ${lte} or less`;
  const known = (list: readonly (number | bigint)[]): boolean => list.some((each) => String(each) === String(value));
  if (some.length > 0 && !known(some)) return `must be one of ${some.join(", ")}`;
  return known(notIn) ? "is a value that is not allowed" : undefined;
}

function inMilliseconds(limit: Duration | undefined): number | undefined {
  return limit && durationMs(limit);
}

function durationProblem(value: Duration, { gt, gte, lt, lte }: DurationLimits): string | undefined {
  const limits = { gt: inMilliseconds(gt), gte: inMilliseconds(gte), lt: inMilliseconds(lt), lte: inMilliseconds(lte) };
  const given = Object.entries(limits).filter(([, limit]) => limit !== undefined);
  const problem = numberProblem(durationMs(value), Object.fromEntries(given));
  return problem && `${problem} ms`;
}

/** Characters that no header may have; a name may have less still, which Envoy leaves open as well. */
const inHeader = /^[^\0\n\r]*$/;

function textProblem(value: string, rules: TextLimits): string | undefined {
  if (rules.ignoreEmpty === true && value === "") return undefined;
  const { minLen = 0n, minBytes = 0n, maxLen, maxBytes, prefix = "", pattern = "", in: some = [], wellKnown } = rules;
  const bytes = Buffer.byteLength(value);
  if ((minLen > 0n || minBytes > 0n) && value === "") return "must not be empty";
  const { length } = Array.from(value);
  if (length < minLen || bytes < minBytes) return `must have ${minLen || minBytes} characters or more`;
  if (maxLen !== undefined && length > maxLen) return `must have ${maxLen} characters or fewer`;
  if (maxBytes !== undefined && bytes > maxBytes) return `must have ${maxBytes} bytes or fewer`;
  if (!value.startsWith(prefix)) return `must begin with ${prefix}`;
  if (pattern !== "" && !foundByExpression(pattern, value)) return `must match ${pattern}`;
  if (some.length > 0 && !some.includes(value)) return `must be one of ${some.join(", ")}`;
  return wellKnown?.case === "wellKnownRegex" && !inHeader.test(value) ? "must fit in a header" : undefined;
}

/** Why a field's value breaks the rules that Envoy's schema has for it. Lists and messages are for others to look at. */
export function valueProblem(value: unknown, { type }: FieldRules): string | undefined {
  // Copies, since limits that are not set would read as zero.
  switch (type.case) {
    case "string":
      return textProblem(value as string, { ...type.value });
    case "bytes":
      return (value as Uint8Array).length < type.value.minLen ? "must not be empty" : undefined;
    case "float":
    case "double":
    case "int32":
    case "int64":
    case "uint32":
    case "uint64":
      return numberProblem(value as number | bigint, { ...type.value });
    case "enum":
      return numberProblem(value as number, { ...type.value });
    case "duration":
      return durationProblem(value as Duration, { ...type.value });
    case undefined:
    case "any":
    case "bool":
    case "fixed32":
    case "fixed64":
    case "map":
    case "repeated":
    case "sfixed32":
    case "sfixed64":
    case "sint32":
    case "sint64":
    case "timestamp":
      return undefined;
  }
}
