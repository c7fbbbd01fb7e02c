import type { ErrorCode } from "#base/errors.ts";
import type { AuthorityFiles } from "./authority.ts";
import type { Issued, IssueRequest } from "./issue.ts";

/** What the signing thread is told. Only requests are answered, in order. */
export type SignerRequest =
  /** Signs from now on with this authority, which was checked. */
  | { readonly kind: "authority"; readonly files: AuthorityFiles; readonly now: number }
  | { readonly kind: "issue"; readonly request: IssueRequest };

/** What it answers. */
export type SignerReply =
  | { readonly kind: "issued"; readonly issued: Issued }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };
