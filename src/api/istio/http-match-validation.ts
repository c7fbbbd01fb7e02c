import { type FieldPath, invalid } from "../field.ts";
import { expressionProblem } from "../re2.ts";
import { validateMatchedHeader } from "./headers-validation.ts";
import type { HTTPMatchRequest, StringMatch } from "./http-match.ts";
import { type Errors, isDnsLabel, labelMessage, validateGatewayNames, validatePort, validateTags } from "./names.ts";

/** Checks the regular expression of a match, if it has one. */
export function* validateExpression({ regex }: StringMatch, path: FieldPath): Errors {
  const problem = regex === undefined ? undefined : expressionProblem(regex);
  if (problem !== undefined) yield invalid(path.field("regex"), regex, problem);
}

/** Checks how a text is matched where an empty prefix, which fits all, is a mistake. */
function* validateStringMatch(match: StringMatch, path: FieldPath): Errors {
  if (match.prefix === "") yield invalid(path.field("prefix"), "", "must not be empty");
  yield* validateExpression(match, path);
}

function* validateMatchedHeaders(match: HTTPMatchRequest, path: FieldPath): Errors {
  for (const [name, value] of Object.entries(match.headers ?? {})) {
    const at = path.field("headers").key(name);
    yield* validateMatchedHeader(name, at);
    yield* validateStringMatch(value, at);
  }
  for (const [name, value] of Object.entries(match.withoutHeaders ?? {})) {
    const at = path.field("withoutHeaders").key(name);
    yield* validateMatchedHeader(name, at);
    // A lone * is no expression: it asks that the header is not there at all.
    if (value.regex !== "*") yield* validateStringMatch(value, at);
  }
}

/** Checks the conditions of an HTTP route. */
export function* validateHttpMatch(match: HTTPMatchRequest, path: FieldPath): Errors {
  yield* validateMatchedHeaders(match, path);
  // Envoy takes an empty prefix of the path, not of other texts.
  if (match.uri !== undefined) yield* validateExpression(match.uri, path.field("uri"));
  for (const name of ["scheme", "method", "authority"] as const) {
    const value = match[name];
    if (value !== undefined) yield* validateStringMatch(value, path.field(name));
  }
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    yield* validateStringMatch(value, path.field("queryParams").key(name));
  }
  if (match.port) yield* validatePort(match.port, path.field("port"));
  yield* validateTags(match.sourceLabels, path.field("sourceLabels"));
  yield* validateGatewayNames(match.gateways, path.field("gateways"));
  if (match.sourceNamespace && !isDnsLabel(match.sourceNamespace)) {
    yield invalid(path.field("sourceNamespace"), match.sourceNamespace, labelMessage);
  }
}
