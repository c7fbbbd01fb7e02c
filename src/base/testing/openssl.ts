import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs OpenSSL's program. @returns what it says. */
export function openssl(args: readonly string[], input = ""): string {
  return execFileSync("openssl", args, { input, encoding: "utf8", stdio: "pipe" });
}

/** What may be wrong with a certificate, by OpenSSL's numbers (`X509_V_ERR_`), which stay when its words change. */
const problems: Readonly<Record<string, string>> = {
  9: "not yet valid",
  10: "expired",
  20: "no issuer",
  26: "purpose",
  62: "host name",
  64: "address",
};

/**
 * What OpenSSL's program finds wrong first with a chain of certificates; `OK` when it finds nothing. It goes strictly by RFC 5280.
 * @param chain the certificate, then what is sent beside it, as PEM texts.
 * @param roots what is trusted.
 * @param options such as `-purpose sslserver`.
 */
export function opensslVerdict(chain: readonly string[], roots: string, ...options: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "weft-verify-"));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  try {
    const [leaf = "", ...between] = chain;
    const untrusted = between.length > 0 ? ["-untrusted", write("between.pem", between.join(""))] : [];
    const args = ["verify", "-x509_strict", "-CAfile", write("roots.pem", roots), ...untrusted, ...options];
    return openssl([...args, write("leaf.pem", leaf)])
      .replace(/^.*: /, "")
      .trim();
  } catch (error) {
    const { stderr = "" } = error as { readonly stderr?: string };
    const [said, number = ""] = /^error (\d+) at .*$/m.exec(stderr) ?? [];
    if (said === undefined) throw error;
    return problems[number] ?? said;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
