/**
 * What went wrong, in the vocabulary that gRPC and Kubernetes share. Each server turns a code into its own
 * status in one place.
 */
export type ErrorCode =
  | "InvalidArgument"
  | "Unauthenticated"
  | "PermissionDenied"
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Gone"
  | "FailedPrecondition"
  | "ResourceExhausted"
  | "Unsupported"
  | "Unavailable"
  | "DeadlineExceeded"
  | "Cancelled"
  | "Internal";

/**
 * The one class of error that Weft throws for a system fault. A user's mistake is a value (`Finding`), not an
 * exception, except at the edge that answers the user directly (an API request, a command line).
 */
export class WeftError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "WeftError";
    this.code = code;
  }
}

/** The code of any thrown value; what Weft did not throw is `Internal`, an abort is `Cancelled`. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof WeftError) return error.code;
  if (error instanceof Error && error.name === "AbortError") return "Cancelled";
  return "Internal";
}

/** A thrown value as one line for a log or a terminal, with the messages of its causes. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${messageOf(error.cause)}`;
}
