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

/** The suites that an entry of a list is about: a suite, one that is moved or taken out, all, or a group of equals. */
function suitesOf(entry: string): readonly string[] {
  if (entry === "ALL") return [...cipherSuites];
  const [, group] = /^\[(.+)\]$/.exec(entry) ?? [];
  return group?.split("|") ?? [entry.replace(/^[!+-]/, "")];
}

/** Whether some suite is left when a list has been read as the TLS library reads it: one taken out by `!` never comes back. */
function leavesSome(entries: readonly string[]): boolean {
  const chosen = new Set<string>();
  const banned = new Set<string>();
  for (const entry of entries) {
    const [sign] = /^[!+-]/.exec(entry) ?? [];
    for (const suite of suitesOf(entry)) {
      if (sign === "!") banned.add(suite);
      if (sign === "!" || sign === "-") chosen.delete(suite);
      else if (sign === undefined && !banned.has(suite)) chosen.add(suite);
    }
  }
  return chosen.size > 0;
}

const isGroup = (entry: string): boolean => entry.startsWith("[");

/** Whether a list takes suites out, or moves them, after a group of equals, which the TLS library refuses. */
function changesGroups(entries: readonly string[]): boolean {
  return entries.slice(entries.findIndex(isGroup)).some((entry) => /^[!+-]/.test(entry)) && entries.some(isGroup);
}

/**
 * Of a list of suites what proxies surely know, each once; nothing where that leaves no suite or is no list to the TLS
 * library, since a proxy refuses those.
 */
export function usableCipherSuites(entries: readonly string[]): string[] {
  const known = [...new Set(entries)].filter((entry) => suitesOf(entry).every((suite) => cipherSuites.has(suite)));
  return leavesSome(known) && !changesGroups(known) ? known : [];
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
