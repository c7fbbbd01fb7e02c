import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { documentationUrl, messageType, messageTypes } from "#api/message-types.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const page = join(root, "docs", "analyze.md");
const mark = "<!-- Written by make golden -->\n";

function table(): string {
  const rows = messageTypes.map((type) => {
    const { code, name, level, meaning } = type;
    const link = code === name ? `<a id="${name.toLowerCase()}"></a>` : `[${code}](${documentationUrl(type)}) `;
    return `| ${link}${name} | ${level} | ${meaning} |\n`;
  });
  return `\n| message | level | meaning |\n| --- | --- | --- |\n${rows.join("")}`;
}

test("the page lists every kind of message", () => {
  const text = readFileSync(page, "utf8");
  const end = text.indexOf(mark) + mark.length;
  if (process.env["WEFT_GOLDEN"] === "write") writeFileSync(page, text.slice(0, end) + table());
  expect(readFileSync(page, "utf8").slice(end)).toBe(table());
});

test("no code and no name is there twice", () => {
  for (const member of ["code", "name"] as const) {
    const all = messageTypes.map((type) => type[member]);
    expect(new Set(all).size).toBe(all.length);
  }
});

test("every code of a finding is listed, or is one of Istio's messages", () => {
  const files = globSync("src/{model,translate}/**/*.ts", { cwd: root }).filter((file) => !file.endsWith(".test.ts"));
  const codes = files.flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/(?:\bcode: |\bproblem\()"([A-Z][A-Za-z]+)"/g)].map(
      ([, code = ""]) => code,
    ),
  );
  expect(codes.length).toBeGreaterThan(10);
  const names = new Set(messageTypes.map(({ name }) => name));
  const nameOf = (code: string, kind: string): string =>
    messageType({ code, severity: "error", resource: { group: "", kind, name: "x" }, message: "" }).name;
  // A code that is missing here is added to src/api/message-types.ts.
  expect(codes.filter((code) => !names.has(nameOf(code, "Sidecar")))).toEqual([]);
});
