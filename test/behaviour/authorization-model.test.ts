/**
 * Policies and requests at random: what a real Envoy does with them is what a small model of Istio's documentation ("Rule",
 * "Source", "Operation", "Condition", "Value matching") says, which shares no code with the translation.
 */
import { BlockList } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { patience, runs } from "#base/testing/runs.ts";
import { eventually } from "../support/eventually.ts";
import { type Group, plainPort, plainPortsOf, policiesOf, requestOn } from "./policy-matrix.ts";
import { World } from "./world.ts";

/** What a policy can ask of a request, and what the request says of it; absent where it has no such thing. */
interface Attributes {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly header: string | undefined;
  readonly remote: string;
  readonly direct: string;
}
type Field = keyof Attributes;

/** For each attribute its fields in a rule, and values that policies name. */
const fields: Readonly<
  Record<Exclude<Field, "header">, { readonly name: string; readonly values: readonly string[] }>
> = {
  method: { name: "methods", values: ["GET", "POST", "*", "P*", "*T"] },
  path: { name: "paths", values: ["/a", "/a/*", "*/b", "*", "/a/{*}", "/c*"] },
  host: { name: "hosts", values: ["one.example", "*.example", "two.*", "*"] },
  remote: { name: "remoteIpBlocks", values: ["192.0.2.1", "192.0.2.0/24", "198.51.100.0/24", "10.10.0.0/20"] },
  direct: { name: "ipBlocks", values: ["10.10.0.1", "10.10.15.0/24", "10.10.0.0/20"] },
};
const headerValues = ["a", "a*", "*b", "*"];
const operationFields = ["method", "path", "host"] as const;
const sourceFields = ["remote", "direct"] as const;

/** Values of which one must hold, and of which none may. */
interface Asked {
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}
type Part = Partial<Readonly<Record<Field, Asked>>>;
interface Rule {
  readonly from: readonly Part[];
  readonly to: readonly Part[];
  readonly when: readonly Asked[];
}
interface Policy {
  readonly action: "ALLOW" | "DENY";
  readonly rules: readonly Rule[];
}

function asked(values: readonly string[]): fc.Arbitrary<Asked> {
  const some = fc.uniqueArray(fc.constantFrom(...values), { maxLength: 2 });
  return fc.record({ values: some, notValues: some }).filter((each) => each.values.length + each.notValues.length > 0);
}

function part(names: readonly Exclude<Field, "header">[]): fc.Arbitrary<Part> {
  const members = Object.fromEntries(names.map((name) => [name, asked(fields[name].values)]));
  return fc.record(members, { requiredKeys: [] }).filter((each) => Object.keys(each).length > 0);
}

const rule: fc.Arbitrary<Rule> = fc.record({
  from: fc.array(part(sourceFields), { maxLength: 2 }),
  to: fc.array(part(operationFields), { maxLength: 2 }),
  when: fc.array(asked(headerValues), { maxLength: 1 }),
});
const policies: fc.Arbitrary<readonly Policy[]> = fc.array(
  fc.record({
    action: fc.constantFrom("ALLOW" as const, "DENY" as const),
    rules: fc.array(rule, { minLength: 1, maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 3 },
);
const request: fc.Arbitrary<Attributes> = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT"),
  path: fc.constantFrom("/", "/a", "/a/b", "/a/b/c", "/c", "/cb"),
  host: fc.constantFrom("one.example", "ONE.example", "two.net", "three"),
  header: fc.option(fc.constantFrom("a", "ab", "b", "c"), { nil: undefined }),
  remote: fc.constantFrom("192.0.2.1", "192.0.2.9", "198.51.100.1", "203.0.113.1"),
  direct: fc.constantFrom("10.10.0.1", "10.10.15.1"),
});

function isWithin(address: string, block: string): boolean {
  const list = new BlockList();
  const [network = "", bits = "32"] = block.split("/");
  list.addSubnet(network, Number(bits));
  return list.check(address);
}

/** Whether a text fits a value with a wildcard at one end, or a template. */
function fitsText(text: string, value: string): boolean {
  if (value === "*") return true;
  if (value.endsWith("/{*}"))
    return /^\/[^/]+$/.test(text.slice(value.length - 4)) && text.startsWith(value.slice(0, -3));
  if (value.startsWith("*")) return text.endsWith(value.slice(1));
  return value.endsWith("*") ? text.startsWith(value.slice(0, -1)) : text === value;
}

function fits(field: Field, said: string | undefined, value: string): boolean {
  if (said === undefined) return false;
  if (field === "remote" || field === "direct") return isWithin(said, value);
  return field === "host" ? fitsText(said.toLowerCase(), value) : fitsText(said, value);
}

function holds(field: Field, said: string | undefined, { values, notValues }: Asked): boolean {
  const one = values.length === 0 || values.some((value) => fits(field, said, value));
  return one && !notValues.some((value) => fits(field, said, value));
}

function partHolds(each: Part, attributes: Attributes): boolean {
  return (Object.entries(each) as [Field, Asked][]).every(([field, ask]) => holds(field, attributes[field], ask));
}

function ruleHolds({ from, to, when }: Rule, attributes: Attributes): boolean {
  const one = (parts: readonly Part[]): boolean =>
    parts.length === 0 || parts.some((each) => partHolds(each, attributes));
  return one(from) && one(to) && when.every((ask) => holds("header", attributes.header, ask));
}

/** What Istio's documentation says of a request: no rule that denies fits, and one that allows does, if there are any. */
function isAllowed(all: readonly Policy[], attributes: Attributes): boolean {
  const any = (action: Policy["action"]): boolean =>
    all.some((each) => each.action === action && each.rules.some((one) => ruleHolds(one, attributes)));
  return !any("DENY") && (any("ALLOW") || !all.some(({ action }) => action === "ALLOW"));
}

const capital = (name: string): string => `not${name.charAt(0).toUpperCase()}${name.slice(1)}`;

function partText(each: Part): object {
  const entries = (Object.entries(each) as [Exclude<Field, "header">, Asked][]).flatMap(([field, ask]) => {
    const { name } = fields[field];
    const lists = [[name, ask.values] as const, [capital(name), ask.notValues] as const];
    return lists.filter(([, values]) => values.length > 0);
  });
  return Object.fromEntries(entries);
}

function ruleText({ from, to, when }: Rule): object {
  return {
    ...(from.length > 0 && { from: from.map((each) => ({ source: partText(each) })) }),
    ...(to.length > 0 && { to: to.map((each) => ({ operation: partText(each) })) }),
    ...(when.length > 0 && { when: when.map((ask) => ({ key: "request.headers[x-a]", ...ask })) }),
  };
}

function groupOf(all: readonly Policy[]): Group {
  const texts = all.map(({ action, rules }) => [action, stringify(rules.map(ruleText))] as const);
  return { heading: "", policies: texts, rows: "" };
}

const count = Math.min(runs(40), 120);
const made = fc.sample(policies, count);
let world: World;

beforeAll(async () => {
  const groups = made.map(groupOf);
  world = await World.start("am", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "server", labels: { app: "server" }, serves: true },
    ],
    services: [{ name: "server", servedBy: ["server"], ports: [{ name: "http", port: 80, to: "http" }] }],
    istio: [policiesOf(groups, "server"), plainPortsOf(groups, "server")],
  });
  await eventually("the server answers", async () => (await statusOf(0, anything)) !== 503);
}, patience(120_000));

afterAll(async () => world[Symbol.asyncDispose]());

const anything: Attributes = {
  method: "GET",
  path: "/",
  host: "three",
  header: undefined,
  remote: "192.0.2.1",
  direct: "10.10.0.1",
};

async function statusOf(at: number, { method, path, host, header, remote, direct }: Attributes): Promise<number> {
  const from = direct === "10.10.0.1" ? world.outside : world.caller("caller");
  const socket = await from.connect(world.addressOf("server"), plainPort(at));
  const headers = { host, "x-forwarded-for": remote, ...(header !== undefined && { "x-a": header }) };
  return (await requestOn(socket, { method, path, headers })).status;
}

test("a real Envoy does what the documentation says", { timeout: patience(120_000) }, async () => {
  const seen = new Set<number>();
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: made.length - 1 }), request, async (at, attributes) => {
      const status = await statusOf(at, attributes);
      seen.add(status);
      const all = made[at] ?? [];
      expect({ status, all }).toEqual({ status: isAllowed(all, attributes) ? 200 : 403, all });
    }),
    { numRuns: runs(400) },
  );
  expect(seen).toEqual(new Set([200, 403]));
});
