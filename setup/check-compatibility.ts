/** Rejects a compatibility page that lacks a field of the API, or whose rows name no field or no test. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Row {
  readonly kind: string;
  readonly pattern: string;
  readonly state: string;
  readonly text: string;
  readonly fits: RegExp;
}

const root = join(import.meta.dirname, "..");
const page = "docs/compatibility.md";
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Sections whose rows are no fields of Istio's kinds. */
const factSections: ReadonlySet<string> = new Set(["Protocols", "Kubernetes Service", "Networks", "DNS", "Injection"]);

function expression(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[.[\]{}]/g, String.raw`\$&`)
    .replace(/\\\.\*\*$/, String.raw`(?:[.\[{].*)?`)
    .replace(/^\*/, ".*");
  return new RegExp(`^${source}$`);
}

function rowsOf(text: string): readonly Row[] {
  let kind = "";
  return text.split("\n").flatMap((line) => {
    kind = /^## (.+)$/.exec(line)?.[1] ?? kind;
    if (factSections.has(kind)) return [];
    const [, pattern, state = "", said = ""] = /^\| `([^`]+)` \| ([^|]+) \| (.+) \|$/.exec(line) ?? [];
    return pattern === undefined ? [] : [{ kind, pattern, state, text: said, fits: expression(pattern) }];
  });
}

/** Fields without fields below them, of the kinds that the page has. */
function leavesOf(kinds: ReadonlySet<string>): readonly (readonly [kind: string, field: string])[] {
  const all = ["fields", "mesh-config"]
    .flatMap((name) => read(`src/api/istio/testdata/${name}-1.31.txt`).trim().split("\n"))
    .map((line) => line.split(" ") as [string, string])
    .filter(([kind, field]) => kinds.has(kind) && (kind === "MeshConfig" || /^(spec\.|status\.addresses)/.test(field)));
  const inner = new Set(all.map(([kind, field]) => `${kind} ${field.slice(0, Math.max(0, field.lastIndexOf(".")))}`));
  return all.filter(([kind, field]) => !inner.has(`${kind} ${field}`));
}

function testProblem({ state, text }: Row): string | undefined {
  if (!["works", "differs", "not yet"].includes(state)) return `state "${state}" is none of works, differs, not yet`;
  if (state !== "works") return undefined;
  const [, file = "", title = ""] = /^((?:kubernetes\/)?[\w-]+): (.+)$/.exec(text) ?? [];
  const path = file.includes("/") ? `test/${file}.test.ts` : `test/behaviour/${file}.test.ts`;
  if (!existsSync(join(root, path))) return `there is no ${path}`;
  return read(path).includes(`"${title}"`) ? undefined : `${path} has no test or group "${title}"`;
}

/** Rows of a section whose rows are no fields of Istio's kinds. */
function factRows(text: string, title: string): readonly Row[] {
  const [, section = ""] = text.split(new RegExp(`^## ${title}\n`, "m"));
  return (section.split(/^## /m)[0] ?? "").split("\n").flatMap((line) => {
    const [, pattern, state = "", said = ""] = /^\| ([^|]+) \| (works|differs|not yet) \| (.+) \|$/.exec(line) ?? [];
    return pattern === undefined ? [] : [{ kind: title, pattern, state, text: said, fits: /$^/ }];
  });
}

const rows = rowsOf(read(page));
const facts = [...factSections].map((title) => factRows(read(page), title));
const leaves = leavesOf(new Set(rows.map(({ kind }) => kind)));
const used = new Set<Row>();
const problems: string[] = [];
for (const [kind, field] of leaves) {
  const fitting = rows.filter((row) => row.kind === kind && row.fits.test(field));
  const [best] = fitting.toSorted(
    (a, b) => b.pattern.replaceAll("*", "").length - a.pattern.replaceAll("*", "").length,
  );
  if (best) used.add(best);
  else problems.push(`${kind} ${field} has no row`);
}
for (const row of rows) {
  const problem = used.has(row) ? testProblem(row) : "no field fits";
  if (problem !== undefined) problems.push(`${row.kind} ${row.pattern}: ${problem}`);
}
for (const row of facts.flat()) {
  const problem = testProblem(row);
  if (problem !== undefined) problems.push(`${row.kind} ${row.pattern}: ${problem}`);
}
for (const problem of problems) console.error(`${page}: ${problem}`);
const empty = rows.length === 0 || facts.some((each) => each.length === 0);
if (empty) console.error(`${page}: no rows found`);
process.exitCode = problems.length > 0 || empty ? 1 : 0;
