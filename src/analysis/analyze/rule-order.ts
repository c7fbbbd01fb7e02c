import { FieldPath } from "#api/field.ts";
import { shadowedPrefixes, unusedRules } from "#api/istio/unreachable-rules.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { ObjectRef } from "#api/meta.ts";
import { ruleFindings } from "#translate/routes/findings.ts";
import type { Fix, PatchOperation } from "./message.ts";

/** Warnings of the API begin with the path of their field. */
export function splitWarning(warning: string): { readonly field: string; readonly text: string } {
  const end = warning.indexOf(": ");
  return { field: warning.slice(0, end), text: warning.slice(end + 2) };
}

/** The API's warnings of rules and matches of a VirtualService that are never used. */
export function unusedWarnings({ http = [], tls = [], tcp = [] }: VirtualServiceSpec): ReadonlySet<string> {
  const at = FieldPath.root.field("spec");
  return new Set([
    ...unusedRules(http, at.field("http")),
    ...shadowedPrefixes(http, at.field("http")),
    ...unusedRules(tls, at.field("tls")),
    ...unusedRules(tcp, at.field("tcp")),
  ]);
}

/** The fields of everything that is never used. */
function unusedFields(resource: ObjectRef, spec: VirtualServiceSpec): ReadonlySet<string> {
  const fields = [...unusedWarnings(spec)].map((warning) => splitWarning(warning).field);
  return new Set([...fields, ...ruleFindings(resource, spec).flatMap(({ field }) => field ?? [])]);
}

type List = "http" | "tls" | "tcp";
interface Rule {
  readonly match?: readonly object[];
}

/** A change of the rules that may help, as what it leaves and as a patch. */
interface Candidate {
  readonly rules: readonly Rule[];
  readonly text: string;
  readonly operation: PatchOperation;
}

function* candidates(rules: readonly Rule[], list: List, at: number, match: number | undefined): Generator<Candidate> {
  const path = `/spec/${list}`;
  for (const [index, rule] of rules.slice(0, at).entries()) {
    const operation = { op: "move", from: `${path}/${index}`, path: `${path}/-` } as const;
    yield { rules: [...rules.toSpliced(index, 1), rule], text: `Put spec.${list}[${index}] last.`, operation };
  }
  const { match: matches = [] } = rules[at] ?? {};
  if (match !== undefined && matches.length > 1) {
    const operation = { op: "remove", path: `${path}/${at}/match/${match}` } as const;
    const changed = { ...rules[at], match: matches.toSpliced(match, 1) };
    yield { rules: rules.with(at, changed), text: `Remove spec.${list}[${at}].match[${match}].`, operation };
  }
  const operation = { op: "remove", path: `${path}/${at}` } as const;
  yield { rules: rules.toSpliced(at, 1), text: `Remove spec.${list}[${at}].`, operation };
}

/** How a rule or match that is never used gets used, or goes: the first change that leaves less that is never used. */
export function usedRules(resource: ObjectRef, spec: VirtualServiceSpec, field: string): Fix | undefined {
  const [, list, rule, match] = /^spec\.(http|tls|tcp)\[(\d+)\](?:\.match\[(\d+)\])?$/.exec(field) ?? [];
  if (list !== "http" && list !== "tls" && list !== "tcp") return undefined;
  const before = unusedFields(resource, spec).size;
  const tried = candidates(spec[list] ?? [], list, Number(rule), match === undefined ? undefined : Number(match));
  for (const { rules, text, operation } of tried) {
    const after = unusedFields(resource, { ...spec, [list]: rules });
    if (after.size < before && !after.has(field)) return { text, patch: [operation] };
  }
  return undefined;
}
