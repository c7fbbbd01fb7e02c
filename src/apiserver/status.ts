import type { FieldError, Kind } from "#api/kind.ts";
import { resourceName } from "#api/kind.ts";
import { WeftError, codeOf, messageOf, type ErrorCode } from "#base/errors.ts";

/** One cause of a refusal. Kubernetes' `meta/v1.StatusCause`. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
}

/** What a status speaks of. Kubernetes' `meta/v1.StatusDetails`. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  /** The plural of the kind, or the kind for refused objects, as Kubernetes has it. */
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** The answer to a request that has no object to give. Kubernetes' `meta/v1.Status`. */
export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: { readonly continue?: string };
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: Reason;
  readonly details?: StatusDetails;
  readonly code: number;
}

/** Kubernetes' reasons and their HTTP statuses, as far as this server gives them. */
const reasons = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const;

/** Why a request was refused, in Kubernetes' words. */
export type Reason = keyof typeof reasons;

const codes: Readonly<Record<Reason, ErrorCode>> = {
  BadRequest: "InvalidArgument",
  Unauthorized: "Unauthenticated",
  Forbidden: "PermissionDenied",
  NotFound: "NotFound",
  MethodNotAllowed: "Unsupported",
  NotAcceptable: "Unsupported",
  AlreadyExists: "AlreadyExists",
  Conflict: "Conflict",
  Gone: "Gone",
  Expired: "Gone",
  RequestEntityTooLarge: "ResourceExhausted",
  UnsupportedMediaType: "Unsupported",
  Invalid: "InvalidArgument",
  TooManyRequests: "ResourceExhausted",
  InternalError: "Internal",
  ServiceUnavailable: "Unavailable",
  Timeout: "DeadlineExceeded",
};

/** A refusal as Kubernetes words it: what the API's clients get. */
export class ApiError extends WeftError {
  readonly reason: Reason;
  readonly details: StatusDetails | undefined;
  /** A token to go on with, for a list that cannot be continued as it began. */
  readonly continue: string | undefined;

  constructor(
    reason: Reason,
    message: string,
    extra: { readonly details?: StatusDetails; readonly continue?: string } = {},
  ) {
    super(codes[reason], message);
    this.reason = reason;
    this.details = extra.details;
    this.continue = extra.continue;
  }
}

/** Reasons for what the other rooms throw. */
const reasonOfCode: Readonly<Record<ErrorCode, Reason>> = {
  InvalidArgument: "BadRequest",
  Unauthenticated: "Unauthorized",
  PermissionDenied: "Forbidden",
  NotFound: "NotFound",
  AlreadyExists: "AlreadyExists",
  Conflict: "Conflict",
  Gone: "Expired",
  FailedPrecondition: "Conflict",
  ResourceExhausted: "TooManyRequests",
  Unsupported: "BadRequest",
  Unavailable: "ServiceUnavailable",
  DeadlineExceeded: "Timeout",
  Cancelled: "ServiceUnavailable",
  Internal: "InternalError",
};

/** The one place where what was thrown becomes what a client is told. */
export function statusOf(error: unknown): Status {
  if (error instanceof ApiError) {
    return failure(error.reason, error.message, error.details, error.continue);
  }
  return failure(reasonOfCode[codeOf(error)], messageOf(error));
}

function failure(reason: Reason, message: string, details?: StatusDetails, continueToken?: string): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: continueToken === undefined ? {} : { continue: continueToken },
    status: "Failure",
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code: reasons[reason],
  };
}

/** The answer to a request that was done, such as a deletion. */
export function success(details: StatusDetails): Status {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details, code: 200 };
}

function detailsOf(kind: Pick<Kind, "group" | "plural">, name: string): StatusDetails {
  return { ...(name === "" ? {} : { name }), ...(kind.group === "" ? {} : { group: kind.group }), kind: kind.plural };
}

/** There is no object of that name. */
export function notFound(kind: Pick<Kind, "group" | "plural">, name: string): ApiError {
  return new ApiError("NotFound", `${resourceName(kind)} "${name}" not found`, { details: detailsOf(kind, name) });
}

/** There is already an object of that name. */
export function alreadyExists(kind: Kind, name: string): ApiError {
  return new ApiError("AlreadyExists", `${resourceName(kind)} "${name}" already exists`, {
    details: detailsOf(kind, name),
  });
}

/** The write was made for another version of the object, or a precondition does not hold. */
export function conflict(
  kind: Kind,
  name: string,
  problem = "the object has been modified; please apply your changes to the latest version and try again",
): ApiError {
  return new ApiError("Conflict", `Operation cannot be fulfilled on ${resourceName(kind)} "${name}": ${problem}`, {
    details: detailsOf(kind, name),
  });
}

/** The request may not be done now. */
export function forbidden(
  kind: Pick<Kind, "group" | "plural">,
  name: string,
  problem: string,
  causes?: readonly StatusCause[],
): ApiError {
  return new ApiError("Forbidden", `${resourceName(kind)} "${name}" is forbidden: ${problem}`, {
    details: { ...detailsOf(kind, name), ...(causes === undefined ? {} : { causes }) },
  });
}

/** The object has wrong fields. */
export function invalid(kind: Pick<Kind, "group" | "kind">, name: string, errors: readonly FieldError[]): ApiError {
  const texts = errors.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  const summary = texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
  const qualified = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return new ApiError("Invalid", `${qualified} "${name}" is invalid: ${summary}`, {
    details: {
      ...(name === "" ? {} : { name }),
      ...(kind.group === "" ? {} : { group: kind.group }),
      kind: kind.kind,
      causes: errors.map(({ reason, message, field }) => ({ reason, message, field })),
    },
  });
}

/** Nothing is served at that path. */
export function noSuchPath(): ApiError {
  return new ApiError("NotFound", "the server could not find the requested resource", { details: {} });
}

/** The resource does not know that verb. */
export function methodNotAllowed(kind?: Kind): ApiError {
  return new ApiError("MethodNotAllowed", "the server does not allow this method on the requested resource", {
    details: kind === undefined ? {} : detailsOf(kind, ""),
  });
}
