import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** Bytes of one value, as Kubernetes bounds a whole Secret. */
const mostBytes = 1024 * 1024;

/** When a certificate may be used, in milliseconds since the epoch. */
export interface Validity {
  readonly from: number;
  readonly until: number;
}

/** Why something cannot be used, in words that say nothing of a key. */
export interface Broken {
  readonly problem: string;
}

/** Values in base64 that are to be a certificate chain, with the leaf first, and its key. */
interface KeyPair {
  readonly chain: string;
  readonly key: string;
}

function textOf(base64: string): string | undefined {
  return base64.length > (mostBytes / 3) * 4 ? undefined : Buffer.from(base64, "base64").toString("latin1");
}

/** The blocks of a PEM text (RFC 7468) that have a label. What stands between blocks says nothing. */
function blocks(text: string, label: string): readonly string[] {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const found: string[] = [];
  for (let at = text.indexOf(begin); at >= 0; at = text.indexOf(begin, at)) {
    const stop = text.indexOf(end, at);
    if (stop < 0) return found;
    found.push(text.slice(at, stop + end.length));
    at = stop + end.length;
  }
  return found;
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** The certificates of a value in base64, the leaf first, or what is wrong with it. */
export function readCertificates(base64: string): readonly [X509Certificate, ...X509Certificate[]] | Broken {
  const text = textOf(base64);
  if (text === undefined) return { problem: "is larger than 1 MiB" };
  const pems = ["CERTIFICATE", "TRUSTED CERTIFICATE"].flatMap((label) => blocks(text, label));
  const all = pems.map(parsed);
  const bad = all.indexOf(undefined);
  if (bad >= 0) return { problem: `has a certificate that cannot be read, number ${bad + 1}` };
  const [first, ...rest] = all.flatMap((each) => each ?? []);
  return first ? [first, ...rest] : { problem: "has no certificate in PEM" };
}

function validityOf({ validFrom, validTo }: X509Certificate): Validity {
  return { from: Date.parse(validFrom), until: Date.parse(validTo) };
}

/** What Envoy does not take a server's or client's key for. */
function unfit({ publicKey }: X509Certificate): string | undefined {
  const { asymmetricKeyType: type = "unknown", asymmetricKeyDetails: details = {} } = publicKey;
  if (type === "rsa") {
    const bits = details.modulusLength ?? 0;
    return bits >= 2048 ? undefined : `has an RSA key of ${bits} bits; proxies take 2048 and more`;
  }
  const curves: readonly string[] = ["prime256v1", "secp384r1", "secp521r1"];
  if (type === "ec" && curves.includes(details.namedCurve ?? "")) return undefined;
  return `has a key of type ${type}${details.namedCurve === undefined ? "" : ` (${details.namedCurve})`}; proxies take RSA, and ECDSA with P-256, P-384 or P-521`;
}

function privateKey(base64: string): KeyObject | undefined {
  const text = textOf(base64);
  try {
    return text === undefined ? undefined : createPrivateKey(text);
  } catch {
    return undefined;
  }
}

/** Whether proxies can use a certificate chain with a key, and when; or which value is at fault, and why. */
export function readKeyPair({ chain, key }: KeyPair): Validity | (Broken & { readonly at: keyof KeyPair }) {
  const all = readCertificates(chain);
  if ("problem" in all) return { at: "chain", ...all };
  const [leaf] = all;
  const problem = unfit(leaf);
  if (problem !== undefined) return { at: "chain", problem };
  const own = privateKey(key);
  if (!own) return { at: "key", problem: "has no private key in PEM that is not encrypted" };
  if (!leaf.checkPrivateKey(own)) return { at: "key", problem: "is not the key of the certificate" };
  return validityOf(leaf);
}

/** Whether proxies can use a bundle of authorities, and until when its first is good. */
export function readAuthorities(base64: string): Validity | Broken {
  const all = readCertificates(base64);
  return "problem" in all ? all : validityOf(all[0]);
}

/** What is wrong with lists of revoked certificates, as far as can be told without an authority. */
export function readRevoked(base64: string): Broken | undefined {
  const text = textOf(base64);
  if (text === undefined) return { problem: "is larger than 1 MiB" };
  return blocks(text, "X509 CRL").length > 0 ? undefined : { problem: "has no X509 CRL in PEM" };
}
