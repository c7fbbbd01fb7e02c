/** Cipher suites that upstream Envoy's TLS library has, in its names. */
const cipherSuites = new Set([
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
]);

/** Whether proxies surely know what stands in a list of suites: a suite, one that is moved or taken out, or a group of equals. */
export function isKnownCipherSuite(entry: string): boolean {
  const [, group] = /^\[(.+)\]$/.exec(entry) ?? [];
  if (group !== undefined) return group.split("|").every((suite) => cipherSuites.has(suite));
  return entry === "ALL" || cipherSuites.has(entry.replace(/^[!+-]/, ""));
}

/** Whether proxies know a cipher suite, as far as can be told: it may also begin an expression of the TLS library's own. */
export function isCipherSuite(suite: string): boolean {
  return suite === "" || suite === "ALL" || !/^[\p{L}\p{N}]/u.test(suite) || cipherSuites.has(suite);
}

const curves = new Set(["P-256", "P-384", "P-521", "X25519", "X25519MLKEM768", "MLKEM1024"]);

/** Whether proxies know a curve of the key exchange. */
export function isKnownCurve(curve: string): boolean {
  return curves.has(curve);
}
