import { type FieldPath, invalid, notSupported, required } from "../field.ts";
import { ownValue } from "../record.ts";
import type { Condition } from "./authorization-policy.ts";
import type { Errors } from "./names.ts";
import {
  accountProblem,
  blockProblem,
  portProblem,
  type Problem,
  textProblem,
  validateTexts,
  wildcardProblem,
} from "./rule-texts.ts";

/** How the values of each attribute are checked. */
const attributes: Readonly<Record<string, Problem>> = {
  "source.ip": blockProblem,
  "remote.ip": blockProblem,
  "source.namespace": textProblem,
  "source.serviceAccount": accountProblem,
  "source.principal": textProblem,
  "source.trustDomain": wildcardProblem,
  "request.auth.principal": textProblem,
  "request.auth.audiences": textProblem,
  "request.auth.presenter": textProblem,
  "destination.ip": blockProblem,
  "destination.port": portProblem,
  "connection.sni": textProblem,
};

/** What attributes begin with that have a key in brackets. */
const keyed = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];

/** Attributes that Istio once had. */
const former: Readonly<Record<string, string>> = {
  "destination.namespace": "the policy's own namespace takes its place",
  "destination.name": "it is not supported any more",
  "destination.user": "it is not supported any more",
};

function formerProblem(key: string): string | undefined {
  if (key.startsWith("destination.labels")) return "the policy's selector takes its place";
  return ownValue(former, key);
}

/** Checks a condition on an attribute. */
export function* validateCondition({ key, values = [], notValues = [] }: Condition, path: FieldPath): Errors {
  const at = path.field("key");
  const hasKey = keyed.some((prefix) => key.startsWith(prefix));
  const problem = hasKey ? textProblem : ownValue(attributes, key);
  const gone = formerProblem(key);
  if (key === "") yield required(at);
  else if (values.length === 0 && notValues.length === 0) yield required(path, "values or notValues");
  else if (hasKey && !/^[^[]+\[.+\]$/.test(key)) yield invalid(at, key, "must have a key in brackets, as a[b]");
  else if (gone !== undefined) yield invalid(at, key, gone);
  else if (problem === undefined) yield notSupported(at, key, [...Object.keys(attributes), ...keyed]);
  else {
    yield* validateTexts(values, problem, path.field("values"));
    yield* validateTexts(notValues, problem, path.field("notValues"));
  }
}
