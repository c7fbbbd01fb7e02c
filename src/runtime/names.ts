import { createHash } from "node:crypto";

/** Ten hexadecimal digits that stand for a longer name where the kernel allows only short ones (interfaces: 15 characters). */
export function shortId(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 10);
}
