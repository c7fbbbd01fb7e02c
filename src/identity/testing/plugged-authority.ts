import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openssl } from "#base/testing/openssl.ts";
import type { AuthorityFiles } from "../authority.ts";

const keyArgs = {
  ec: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
  rsa: ["-newkey", "rsa:2048", "-nodes"],
} as const;

/** Kinds of keys that an authority is made with. */
export type KeyType = keyof typeof keyArgs;

/** What an authority is made with. */
export interface PluggedOptions {
  /** Days that its intermediates are good; 30 unless told. */
  readonly days?: number;
  /** The keys of the root and of the intermediates, by turns; ECDSA unless told. */
  readonly types?: readonly KeyType[];
}

/**
 * A root and intermediates under it, each signed by the one before, as an operator makes them with openssl.
 * @param folder where their files are left, as `NAME-0.key` and `NAME-0.crt` for the root.
 */
export function pluggedAuthority(
  folder: string,
  name: string,
  intermediates: number,
  { days = 30, types = ["ec"] }: PluggedOptions = {},
): AuthorityFiles {
  const file = join(folder, "ca.ext");
  writeFileSync(
    file,
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
  );
  const extensions = ["-extfile", file];
  const at = (index: number, end: string): string => join(folder, `${name}-${index}.${end}`);
  for (let index = 0; index <= intermediates; index++) {
    const subject = ["-subj", `/O=${name}/CN=${index === 0 ? "Root" : `Intermediate ${index}`}`];
    const key = [...keyArgs[types[index % types.length] ?? "ec"], "-keyout", at(index, "key")];
    openssl(["req", "-new", ...key, ...subject, "-out", at(index, "csr")]);
    const signer =
      index === 0
        ? ["-key", at(0, "key"), "-days", "60"]
        : ["-CA", at(index - 1, "crt"), "-CAkey", at(index - 1, "key"), "-CAcreateserial", "-days", String(days)];
    openssl(["x509", "-req", "-in", at(index, "csr"), ...signer, ...extensions, "-out", at(index, "crt")]);
  }
  const read = (index: number, end: string): string => readFileSync(at(index, end), "utf8");
  // As Istio's tools write it: from the signing certificate to the root.
  const chain = Array.from({ length: intermediates + 1 }, (_, index) => read(intermediates - index, "crt")).join("");
  return {
    certificate: read(intermediates, "crt"),
    key: read(intermediates, "key"),
    chain,
    roots: read(0, "crt"),
    revoked: "",
  };
}
