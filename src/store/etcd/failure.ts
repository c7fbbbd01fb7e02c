import { status, type ServiceError } from "@grpc/grpc-js";
import { type ErrorCode, messageOf, WeftError } from "#base/errors.ts";

/** An error of gRPC, which has a status. */
function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** What etcd says that it has no room left. */
const noSpace = "mvcc: database space exceeded";

/** What etcd says, or gRPC for it, of a request that is too large. */
const tooLarge = /request is too large|received message larger than max/;

/** What it says of a login that is no longer good. */
const staleLogin = /invalid auth token|revision of auth store is old/;

/** Statuses after which another member may answer, or the same one in a moment. */
const passing: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.UNKNOWN,
  status.ABORTED,
]);

/** Whether a request that failed so may be sent again. What it asked for may have been done all the same. */
export function isPassing(error: unknown): boolean {
  if (!isServiceError(error)) return false;
  if (error.code === status.RESOURCE_EXHAUSTED) return error.details.includes("too many requests");
  return passing.has(error.code) || isStaleLogin(error);
}

/** Whether a new login may help. */
export function isStaleLogin(error: unknown): boolean {
  return isServiceError(error) && staleLogin.test(error.details);
}

/** Whether a revision was asked for that etcd has compacted away. */
export function isCompacted(error: unknown): boolean {
  return isServiceError(error) && error.code === status.OUT_OF_RANGE && error.details.includes("has been compacted");
}

/** Whether a revision was asked for that etcd has not had yet. */
export function isFuture(error: unknown): boolean {
  return isServiceError(error) && error.code === status.OUT_OF_RANGE && error.details.includes("is a future revision");
}

/** Whether a request was larger than etcd takes. */
export function isTooLarge(error: unknown): boolean {
  return isServiceError(error) && tooLarge.test(error.details);
}

function codeOf(error: ServiceError): ErrorCode {
  const { code, details } = error;
  if (code === status.PERMISSION_DENIED) return "PermissionDenied";
  if (code === status.UNAUTHENTICATED || details.includes("authentication failed")) return "Unauthenticated";
  if (code === status.RESOURCE_EXHAUSTED) return "ResourceExhausted";
  if (code === status.FAILED_PRECONDITION) return "FailedPrecondition";
  return isPassing(error) ? "Unavailable" : "Internal";
}

/** What a person can do about it. */
function help({ code, details }: ServiceError): string {
  if (details.includes(noSpace)) {
    return "; its space (--quota-backend-bytes) is used up: compact and defragment it, then disarm the alarm (etcdctl alarm disarm)";
  }
  if (code === status.PERMISSION_DENIED) return "; its user needs a role that reads and writes the store's prefix";
  return "";
}

/** A failed request as an error of Weft. @param asked which endpoint was asked last. */
export function failureOf(error: unknown, asked: string): WeftError {
  if (error instanceof WeftError) return error;
  if (!isServiceError(error)) return new WeftError("Internal", `etcd at ${asked}: ${messageOf(error)}`);
  return new WeftError(codeOf(error), `etcd at ${asked}: ${error.details}${help(error)}`, error);
}
