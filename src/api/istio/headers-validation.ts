import { type FieldPath, forbidden, invalid, required } from "../field.ts";
import type { HeaderOperations, Headers } from "./http-route.ts";
import type { Errors } from "./names.ts";

/** The characters that RFC 9110 allows in a header's name. */
const headerName = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;

/** What Envoy takes as a header's value. */
// oxlint-disable-next-line eslint/no-control-regex -- control characters are what it is about
const headerValue = /^[^\u0000-\u0008\u000A-\u001F\u007F]*$/;

const pseudoHeaders = new Set([":method", ":scheme", ":authority", ":path", ":status"]);

/** Envoy's commands in a header's value: `%NAME%`, `%NAME(argument)%`, `%NAME(["a", "b"])%`; `%%` stands for a percent. */
const commands =
  /^(?:[^%]|%%|%[^%(]+%|%[^%(]*\( *\[ *(?:"(?:[^"\\]|\\.)*" *(?:, *"(?:[^"\\]|\\.)*" *)*)?\] *\) *%|%[^%(]*\((?! *\[)(?:[^)\\]|\\.)*\) *%)*$/;

/** Whether a header's name asks for a claim of the request's JWT, as only gateways can: `@request.auth.claims.group`. */
export function isClaim(name: string): boolean {
  return /^@request\.auth\.claims(?:\..+|\[.+\])$/i.test(name);
}

/** Whether a header is the request's authority. */
function isAuthority(name: string): boolean {
  return /^(?::authority|host)$/i.test(name);
}

/** Checks the name of a header that requests are matched by. */
export function* validateMatchedHeader(name: string, path: FieldPath): Errors {
  if (name === "") yield invalid(path, name, "a header's name must not be empty");
  else if (!isClaim(name) && !pseudoHeaders.has(name) && !headerName.test(name)) {
    yield invalid(path, name, "is no header's name");
  }
}

/** Checks the name of a header in a CORS policy. */
export function* validateCorsHeader(name: string, path: FieldPath): Errors {
  if (name !== "*" && !headerName.test(name)) yield invalid(path, name, "is no header's name");
}

function* validateName(name: string, authority: boolean, path: FieldPath): Errors {
  if (name === "") yield invalid(path, name, "a header's name must not be empty");
  else if (!(authority && isAuthority(name)) && (name.startsWith(":") || isAuthority(name))) {
    yield forbidden(path, `${name} cannot be changed here`);
  }
}

function* validateValue(value: string, path: FieldPath): Errors {
  if (!headerValue.test(value)) yield invalid(path, value, "must not hold control characters");
  else if (!commands.test(value)) {
    yield invalid(path, value, "write %% for a percent sign; a command of Envoy's ends with one: %PROTOCOL%");
  }
}

/** @param authority whether the Host header may be set: in requests, on their way to the destination. */
function* validateOperations(operations: HeaderOperations | undefined, authority: boolean, path: FieldPath): Errors {
  for (const name of ["set", "add"] as const) {
    for (const [header, value] of Object.entries(operations?.[name] ?? {})) {
      yield* validateName(header, authority, path.field(name).key(header));
      yield* validateValue(value, path.field(name).key(header));
    }
  }
  for (const [index, header] of (operations?.remove ?? []).entries()) {
    yield* validateName(header, false, path.field("remove").item(index));
  }
}

/** Checks changes of headers. */
export function* validateHeaders(headers: Headers | undefined, path: FieldPath): Errors {
  yield* validateOperations(headers?.request, true, path.field("request"));
  yield* validateOperations(headers?.response, false, path.field("response"));
}

/** Checks that the authority is changed at one place only. */
export function* validateAuthority(
  rewritten: string | undefined,
  headers: Headers | undefined,
  path: FieldPath,
): Errors {
  let current = rewritten ?? "";
  for (const name of ["set", "add"] as const) {
    for (const [header, value] of Object.entries(headers?.request?.[name] ?? {})) {
      if (!isAuthority(header)) continue;
      if (current !== "") yield forbidden(path.field(name).key(header), `the authority is set to ${current} already`);
      current = value;
    }
  }
}

/** Checks the header of a probe of a WorkloadGroup. */
export function* validateProbeHeader(name: string | undefined, path: FieldPath): Errors {
  if (!name) yield required(path);
  else if (!/^[-A-Za-z0-9]+$/.test(name)) yield invalid(path, name, "must be letters, digits and '-'");
}
