import { WeftError } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";

/** Kubernetes `meta/v1.Status`, as far as a client reads it. */
export interface StatusBody {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
}

const codes: Readonly<Record<number, ErrorCode>> = {
  400: "InvalidArgument",
  401: "Unauthenticated",
  403: "PermissionDenied",
  404: "NotFound",
  405: "Unsupported",
  406: "Unsupported",
  408: "DeadlineExceeded",
  409: "Conflict",
  410: "Gone",
  412: "FailedPrecondition",
  413: "InvalidArgument",
  415: "Unsupported",
  422: "InvalidArgument",
  429: "ResourceExhausted",
  501: "Unsupported",
  502: "Unavailable",
  503: "Unavailable",
  504: "DeadlineExceeded",
};

function codeFor(status: number, reason: string | undefined): ErrorCode {
  if (reason === "AlreadyExists") return "AlreadyExists";
  if (reason === "Expired") return "Gone";
  return codes[status] ?? "Internal";
}

/** The error that a `Status` stands for; `fallback` is used where the body names no code. */
export function statusError(body: StatusBody, fallback: number): WeftError {
  const status = body.code ?? fallback;
  return new WeftError(codeFor(status, body.reason), body.message ?? `the server answered ${status}`);
}

/** The error that a response of status 400 and above stands for; its body may be a `Status` or any text. */
export function responseError(status: number, body: Buffer): WeftError {
  const text = body.toString("utf8");
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null)
      return statusError({ ...(parsed as StatusBody), code: status }, status);
  } catch {
    // Not JSON: a proxy on the way answered, or the path is none of the API's.
  }
  const said = text.trim().slice(0, 200);
  return statusError(said === "" ? {} : { message: `the server answered ${status}: ${said}` }, status);
}
