import { createHash } from "node:crypto";
import { canonical } from "./canonical.ts";

/** Tells contents apart: equal values have equal hashes, in whatever order their members stand. */
export function contentHash(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex").slice(0, 32);
}
