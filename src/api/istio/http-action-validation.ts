import { parseDuration } from "#base/duration.ts";
import { type FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import { grpcStatuses } from "../grpc-statuses.ts";
import { expressionProblem } from "../re2.ts";
import { validateCorsHeader } from "./headers-validation.ts";
import { validateExpression } from "./http-match-validation.ts";
import type { HTTPMatchRequest } from "./http-match.ts";
import type {
  CorsPolicy,
  HTTPDirectResponse,
  HTTPFaultInjection,
  HTTPRedirect,
  HTTPRetry,
  HTTPRewrite,
} from "./http-route.ts";
import type { Percent } from "./common.ts";
import { type Errors, validatePort } from "./names.ts";

/** Conditions of Envoy's router under which it tries again, of HTTP and of gRPC. */
const retryConditions = new Set([
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);

const corsMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

/** Largest body that a route may answer with itself, in bytes. */
const bodyLimit = 1024 * 1024;

/** Checks a share of requests. */
export function* validatePercent(percent: Percent | undefined, path: FieldPath): Errors {
  const value = percent?.value ?? 0;
  if (value < 0 || value > 100) yield invalid(path.field("value"), value, "must be between 0 and 100");
}

function* validateFaultShare(percent: Percent | undefined, path: FieldPath): Errors {
  yield* validatePercent(percent, path);
  const value = percent?.value ?? 0;
  // Envoy counts in millionths.
  if (value > 0 && value < 0.0001) yield invalid(path.field("value"), value, "must be 0, or 0.0001 or more");
}

function* validateStatus(status: number, path: FieldPath): Errors {
  if (status < 200 || status > 600) yield invalid(path, status, "must be between 200 and 599");
}

/** Checks faults put in on purpose. */
export function* validateFault(fault: HTTPFaultInjection, path: FieldPath): Errors {
  const { abort, delay } = fault;
  if (abort === undefined && delay === undefined) yield required(path, "abort or delay");
  yield* validateFaultShare(abort?.percentage, path.field("abort", "percentage"));
  yield* validateFaultShare(delay?.percentage, path.field("delay", "percentage"));
  if (abort?.httpStatus !== undefined) yield* validateStatus(abort.httpStatus, path.field("abort", "httpStatus"));
  if (abort?.grpcStatus !== undefined && !grpcStatuses.includes(abort.grpcStatus)) {
    yield notSupported(path.field("abort", "grpcStatus"), abort.grpcStatus, grpcStatuses);
  }
  if (abort?.http2Error !== undefined) yield forbidden(path.field("abort", "http2Error"), "not supported");
  if (delay?.exponentialDelay !== undefined) yield forbidden(path.field("delay", "exponentialDelay"), "not supported");
}

/** Whether Envoy knows what to do at a status of this number, as Go's `http.StatusText` knows a text for it. */
function isStatus(text: string): boolean {
  const status = Number(text);
  return /^[1-5]\d\d$/.test(text) && knownStatuses.some(([from, to]) => status >= from && status <= to);
}

/** Statuses that are registered, from and to. */
const knownStatuses: readonly (readonly [number, number])[] = [
  [100, 103],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
];

/** Checks when and how often a request is tried again. */
export function* validateRetries(retries: HTTPRetry, path: FieldPath): Errors {
  const { attempts = 0, perTryTimeout, retryOn = "", retryRemoteLocalities } = retries;
  if (attempts < 0) yield invalid(path.field("attempts"), attempts, "must be 0 or more");
  if (attempts === 0 && (perTryTimeout !== undefined || retryOn !== "" || retryRemoteLocalities !== undefined)) {
    yield invalid(path.field("attempts"), attempts, "must be 1 or more where other settings of retries are given");
  }
  for (const condition of retryOn === "" ? [] : retryOn.split(",")) {
    if (retryConditions.has(condition) || isStatus(condition)) continue;
    yield invalid(path.field("retryOn"), condition, "must be one of Envoy's retry conditions or an HTTP status");
  }
}

/** Checks a redirection. */
export function* validateRedirect(
  redirect: HTTPRedirect,
  matches: readonly HTTPMatchRequest[],
  path: FieldPath,
): Errors {
  const { uri, prefixRewrite, authority, port, derivePort, scheme, redirectCode } = redirect;
  if (uri && prefixRewrite) yield forbidden(path.field("prefixRewrite"), "only one of uri, prefixRewrite may be set");
  if (prefixRewrite && matches.some((match) => match.uri !== undefined && match.uri.prefix === undefined)) {
    yield forbidden(path.field("prefixRewrite"), "every match of the path must be by prefix");
  }
  const target = uri || prefixRewrite || authority || scheme;
  if (!target && port === undefined && derivePort === undefined) {
    yield required(path, "uri, prefixRewrite, authority, scheme or port");
  }
  if (redirectCode && (redirectCode < 300 || redirectCode > 399)) {
    yield invalid(path.field("redirectCode"), redirectCode, "must be between 300 and 399");
  }
  if (scheme && scheme !== "http" && scheme !== "https") {
    yield notSupported(path.field("scheme"), scheme, ["http", "https"]);
  }
  if (port) yield* validatePort(port, path.field("port"));
}

/** Checks an answer that the proxy gives itself. */
export function* validateDirectResponse({ status, body }: HTTPDirectResponse, path: FieldPath): Errors {
  yield* validateStatus(status, path.field("status"));
  if (bodySize(body) > bodyLimit) {
    yield invalid(path.field("body"), `${bodySize(body)} bytes`, `must have ${bodyLimit} bytes or fewer`);
  }
}

/** How many bytes a body of a route's own has. */
export function bodySize(body: HTTPDirectResponse["body"]): number {
  return Buffer.byteLength(body?.string ?? "") + Buffer.byteLength(body?.bytes ?? "", "base64");
}

/** Checks changes of the path and authority. */
export function* validateRewrite({ uri, uriRegexRewrite, authority }: HTTPRewrite, path: FieldPath): Errors {
  if (uri && uriRegexRewrite !== undefined) {
    yield forbidden(path.field("uriRegexRewrite"), "only one of uri, uriRegexRewrite may be set");
  }
  if (!uri && uriRegexRewrite === undefined && !authority) yield required(path, "uri, uriRegexRewrite or authority");
  if (uriRegexRewrite === undefined) return;
  const { match = "", rewrite = "" } = uriRegexRewrite;
  const at = path.field("uriRegexRewrite");
  if (rewrite === "") yield required(at.field("rewrite"));
  if (match === "") yield required(at.field("match"));
  const problem = match === "" ? undefined : expressionProblem(match);
  if (problem !== undefined) yield invalid(at.field("match"), match, problem);
}

/** Checks which other origins may call. */
export function* validateCors(policy: CorsPolicy, path: FieldPath): Errors {
  for (const [index, origin] of (policy.allowOrigins ?? []).entries()) {
    const at = path.field("allowOrigins").item(index);
    if (!origin.exact && !origin.prefix && !origin.regex) yield required(at, "exact, prefix or regex");
    else yield* validateExpression(origin, at);
  }
  for (const [index, method] of (policy.allowMethods ?? []).entries()) {
    if (!corsMethods.includes(method)) yield notSupported(path.field("allowMethods").item(index), method, corsMethods);
  }
  for (const name of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [index, header] of (policy[name] ?? []).entries()) {
      yield* validateCorsHeader(header, path.field(name).item(index));
    }
  }
  if (policy.maxAge !== undefined && parseDuration(policy.maxAge) % 1000 !== 0) {
    yield invalid(path.field("maxAge"), policy.maxAge, "must be whole seconds");
  }
}
