import { RE2JS } from "re2js";
import { messageOf } from "#base/errors.ts";

/** Longest regular expression that Istio takes, in characters. */
const lengthLimit = 1024;

/**
 * Says why Istio would not take a text as a regular expression in RE2's syntax; undefined where it would. JavaScript's
 * own expressions differ too much to be asked: they know back references and looking around, which RE2 does not.
 */
export function expressionProblem(text: string): string | undefined {
  if (text === "") return "must not be empty";
  if (text.length > lengthLimit) return `must have ${lengthLimit} characters or fewer`;
  try {
    RE2JS.compile(text);
    return undefined;
  } catch (error) {
    return `must be a regular expression of RE2: ${messageOf(error).replace("error parsing regexp: ", "")}`;
  }
}

/** Whether a regular expression of RE2 is found in a text; one that does not compile is found in none. */
export function foundByExpression(expression: string, text: string): boolean {
  return expressionProblem(expression) === undefined && RE2JS.compile(expression).matcher(text).find();
}
