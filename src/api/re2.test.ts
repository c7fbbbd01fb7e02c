import { expect, test } from "vitest";
import { expressionProblem } from "./re2.ts";

test.each(
  [
    "a",
    ".*",
    "^/api/v[0-9]+/.*$",
    "(a|b)*?c",
    "(?:x)+",
    "(?i)abc",
    "(?i:abc)d",
    "(?s-i:a.b)",
    "(?P<year>\\d{4})-(?<month>\\d\\d)",
    "x{2,5}",
    "x{1000}",
    "x{2,}?",
    "{",
    "a{,5}",
    "a{b}",
    "[]a]",
    "[^]a]",
    "[a-z-]",
    "[-a]",
    "[\\d\\-x]",
    "[[:alpha:][:^digit:]]",
    "[\\]]",
    "\\pN\\p{Greek}\\P{Lu}\\p{^Greek}",
    "\\Qa(b\\E?",
    "\\Q(",
    "\\A\\z\\b\\B",
    "\\x7f\\x{10FFFF}\\012\\0\\a\\f\\t\\n\\r\\v",
    "\\.\\*\\-\\_\\~",
    "^*",
    "a||b",
    "()",
    "",
    "snowman: ☃, rocket: 🚀",
  ].filter((text) => text !== ""),
)("RE2 takes %s", (text) => {
  expect(expressionProblem(text)).toBeUndefined();
});

test.each([
  ["*", "missing argument to repetition operator: `*`"],
  ["a|*", "missing argument to repetition operator: `*`"],
  ["(+)", "missing argument to repetition operator: `+`"],
  ["a**", "invalid nested repetition operator: `**`"],
  ["a*??", "invalid nested repetition operator: `*??`"],
  ["a{2}{3}", "invalid nested repetition operator: `{2}{3}`"],
  ["x{1001}", "invalid repeat count: `{1001}`"],
  ["x{3,2}", "invalid repeat count: `{3,2}`"],
  ["(a", "missing closing ): `(a`"],
  ["a)", "unexpected ): `a)`"],
  ["[a", "missing closing ]: `[a`"],
  ["[z-a]", "invalid character class range: `z-a`"],
  ["[a-\\d]", "invalid escape sequence: `\\d`"],
  ["[[:letters:]]", "invalid character class range: `[:letters:]`"],
  ["(?=a)", "invalid or unsupported Perl syntax: `(?=`"],
  ["(?!a)", "invalid or unsupported Perl syntax: `(?!`"],
  ["(?<=a)b", "invalid named capture: `(?<=a)b`"],
  ["(?<!a)b", "invalid named capture: `(?<!a)b`"],
  ["(?x)a", "invalid or unsupported Perl syntax: `(?x`"],
  ["(?P<a>x)(?P<a>y)", "duplicate capture group name: `a`"],
  ["(?P<a b>x)", "invalid named capture: `(?P<a b>`"],
  ["(a)\\1", "invalid escape sequence: `\\1`"],
  ["\\Z", "invalid escape sequence: `\\Z`"],
  ["\\k", "invalid escape sequence: `\\k`"],
  ["\\x{110000}", "invalid escape sequence: `\\x{110000`"],
  ["\\xZZ", "invalid escape sequence: `\\xZZ`"],
  ["[\\b]", "invalid escape sequence: `\\b`"],
  ["\\p{Nonsense}", "invalid character class range: `\\p{Nonsense}`"],
  ["a\\", "trailing backslash at end of expression"],
])("RE2 does not take %s", (text, problem) => {
  expect(expressionProblem(text)).toBe(`must be a regular expression of RE2: ${problem}`);
});

test("an expression has a length", () => {
  expect(expressionProblem("")).toBe("must not be empty");
  expect(expressionProblem("a".repeat(1024))).toBeUndefined();
  expect(expressionProblem("a".repeat(1025))).toBe("must have 1024 characters or fewer");
});
