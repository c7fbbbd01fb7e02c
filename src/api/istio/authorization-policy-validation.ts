import { FieldPath, forbidden, invalid, required } from "../field.ts";
import type { AuthorizationPolicy, Operation, Rule, Source } from "./authorization-policy.ts";
import { validateCondition } from "./condition-validation.ts";
import { dryRunAnnotation } from "./kind.ts";
import type { Errors } from "./names.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import {
  accountProblem,
  type Problem,
  blockProblem,
  pathProblem,
  portProblem,
  textProblem,
  trustDomainProblem,
  validateTexts,
} from "./rule-texts.ts";
import type { Warnings } from "./warnings.ts";

/** How the values of each field are checked, its `not` form included. */
const sourceProblems: readonly (readonly [keyof Source, keyof Source, Problem])[] = [
  ["principals", "notPrincipals", textProblem],
  ["requestPrincipals", "notRequestPrincipals", textProblem],
  ["namespaces", "notNamespaces", textProblem],
  ["serviceAccounts", "notServiceAccounts", accountProblem],
  ["trustDomains", "notTrustDomains", trustDomainProblem],
  ["ipBlocks", "notIpBlocks", blockProblem],
  ["remoteIpBlocks", "notRemoteIpBlocks", blockProblem],
];

const operationProblems: readonly (readonly [keyof Operation, keyof Operation, Problem])[] = [
  ["hosts", "notHosts", textProblem],
  ["ports", "notPorts", portProblem],
  ["methods", "notMethods", textProblem],
  ["paths", "notPaths", pathProblem],
];

/** Attributes of the caller's identity and token, which an external authorizer is not asked about. */
const identityFields = new Set(["namespaces", "serviceAccounts", "trustDomains", "principals", "requestPrincipals"]);
const identityKey = /^(?:source\.(?:namespace|serviceAccount|trustDomain|principal)$|request\.auth\.)/;

/** Checks the lists of a source or an operation, of which one must hold something. */
function* validateLists<Lists extends object>(
  lists: Lists,
  problems: readonly (readonly [keyof Lists & string, keyof Lists & string, Problem])[],
  path: FieldPath,
): Errors {
  const names = problems.flatMap(([name, not]) => [name, not]);
  const lengths = names.map((name) => (lists[name] as readonly string[] | undefined)?.length ?? 0);
  if (lengths.every((length) => length === 0)) yield required(path, `one of ${names.join(", ")}`);
  for (const [name, not, problem] of problems) {
    yield* validateTexts(lists[name] as readonly string[] | undefined, problem, path.field(name));
    yield* validateTexts(lists[not] as readonly string[] | undefined, problem, path.field(not));
  }
}

function* validateSource(source: Source, path: FieldPath): Errors {
  const accounts = source.serviceAccounts ?? source.notServiceAccounts;
  const others = ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const;
  const beside = others.find((name) => source[name] !== undefined);
  if (accounts !== undefined && beside !== undefined) {
    yield forbidden(path.field(beside), "not together with serviceAccounts");
  }
  yield* validateLists(source, sourceProblems, path);
}

function* validateRule(rule: Rule, path: FieldPath): Errors {
  const { from = [], to = [], when = [] } = rule;
  for (const [index, { source }] of from.entries()) {
    const at = path.field("from").item(index).field("source");
    if (source === undefined) yield required(at);
    else yield* validateSource(source, at);
  }
  for (const [index, { operation }] of to.entries()) {
    const at = path.field("to").item(index).field("operation");
    if (operation === undefined) yield required(at);
    else yield* validateLists(operation, operationProblems, at);
  }
  for (const [index, condition] of when.entries()) yield* validateCondition(condition, path.field("when").item(index));
}

/** What the rules of a policy for an external authorizer cannot ask. */
function* validateCustom({ from = [], when = [] }: Rule, path: FieldPath): Errors {
  for (const [index, { source = {} }] of from.entries()) {
    for (const [name, values] of Object.entries(source)) {
      const plain = name.replace(/^not([A-Z])/, (_, letter: string) => letter.toLowerCase());
      if (!identityFields.has(plain) || values.length === 0) continue;
      yield forbidden(path.field("from").item(index).field("source", name), "not supported with the action CUSTOM");
    }
  }
  for (const [index, { key }] of when.entries()) {
    if (!identityKey.test(key)) continue;
    yield forbidden(path.field("when").item(index).field("key"), `${key} is not supported with the action CUSTOM`);
  }
}

function* validateAction({ spec }: AuthorizationPolicy, path: FieldPath): Errors {
  const { action = "ALLOW", rules = [], provider } = spec;
  if (rules.length === 0 && (action === "CUSTOM" || action === "DENY")) {
    const always = "add an empty rule, {}, for every request";
    yield required(path.field("rules"), `without rules the action ${action} is never done; ${always}`);
  }
  if (action !== "CUSTOM") {
    if (provider !== undefined) yield forbidden(path.field("provider"), "only with the action CUSTOM");
    return;
  }
  if (rules.length > 0 && !provider?.name) yield required(path.field("provider", "name"));
  for (const [index, rule] of rules.entries()) yield* validateCustom(rule, path.field("rules").item(index));
}

function* validateDryRun({ metadata, spec }: AuthorizationPolicy): Errors {
  const value = metadata.annotations?.[dryRunAnnotation];
  if (value === undefined) return;
  const path = FieldPath.root.field("metadata", "annotations").key(dryRunAnnotation);
  const { action = "ALLOW" } = spec;
  if (action !== "ALLOW" && action !== "DENY") yield forbidden(path, "only with the actions ALLOW and DENY");
  else if (!/^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value)) {
    yield invalid(path, value, "must be true or false");
  }
}

/** Checks an AuthorizationPolicy as Istio's CRD and webhook do. */
export function* validateAuthorizationPolicy(policy: AuthorizationPolicy): Errors {
  const path = FieldPath.root.field("spec");
  yield* validateDryRun(policy);
  yield* validateTargets(policy.spec, path);
  yield* validateAction(policy, path);
  for (const [index, rule] of (policy.spec.rules ?? []).entries()) {
    yield* validateRule(rule, path.field("rules").item(index));
  }
}

/** Fields of a source that connections have which are not HTTP. */
const tcpFields = ["principals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks"].flatMap((name) => [
  name,
  `not${name.charAt(0).toUpperCase()}${name.slice(1)}`,
]);

/** Whether a rule asks only what requests of HTTP can tell. */
function asksHttpOnly({ from = [], to = [] }: Rule): boolean {
  if (to.length > 0) {
    return !to.some(({ operation }) => operation?.ports !== undefined || operation?.notPorts !== undefined);
  }
  return from.length > 0 && !from.some(({ source = {} }) => tcpFields.some((name) => name in source));
}

/** What Istio warns of in an AuthorizationPolicy. */
export function* authorizationPolicyWarnings({ spec }: AuthorizationPolicy): Warnings {
  const path = FieldPath.root.field("spec");
  yield* targetWarnings(spec, path);
  if (spec.action !== "DENY") return;
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    if (!asksHttpOnly(rule)) continue;
    const at = path.field("rules").item(index).toString();
    yield `${at}: only requests of HTTP can be asked this, so all other connections are refused; name the ports`;
  }
}
