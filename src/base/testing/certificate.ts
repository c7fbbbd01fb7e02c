import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { isIP } from "node:net";

/** A certificate with its key, as PEM texts. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Signs certificates: an authority that tests make for themselves. */
export interface Authority {
  /** Its own certificate, as a PEM text. */
  readonly certificate: string;
  /** A certificate for names: DNS names, addresses or URIs. */
  issue(...names: readonly string[]): Certificate;
}

/** Identifiers of X.509 in DER, RFC 5280 and RFC 5480. */
const oid = {
  commonName: [0x55, 0x04, 0x03],
  subjectAltName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
} as const;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const identifier = (bytes: readonly number[]): Buffer => der(0x06, Buffer.from(bytes));
const algorithm = sequence(identifier(oid.ecdsaWithSha256));

function nameOf(common: string): Buffer {
  return sequence(der(0x31, sequence(identifier(oid.commonName), der(0x0c, Buffer.from(common)))));
}

function time(at: Date): Buffer {
  return der(0x18, Buffer.from(at.toISOString().replaceAll(/[-:T]|\.\d+/g, "")));
}

function altName(name: string): Buffer {
  if (isIP(name) === 4) return der(0x87, Buffer.from(name.split(".").map(Number)));
  return name.includes("://") ? der(0x86, Buffer.from(name)) : der(0x82, Buffer.from(name));
}

function extension(id: readonly number[], value: Buffer): Buffer {
  return sequence(identifier(id), der(0x04, value));
}

interface Request {
  readonly subject: string;
  readonly names: readonly string[];
  readonly publicKey: KeyObject;
  readonly authority: boolean;
}

/** A certificate that is good for a day. */
function signed({ subject, names, publicKey, authority }: Request, issuer: string, key: KeyObject): string {
  const now = Date.now();
  const extensions = [
    extension(oid.basicConstraints, sequence(...(authority ? [der(0x01, Buffer.from([255]))] : []))),
    ...(names.length > 0 ? [extension(oid.subjectAltName, sequence(...names.map(altName)))] : []),
  ];
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1]), randomBytes(8)),
    algorithm,
    nameOf(issuer),
    sequence(time(new Date(now - 3_600_000)), time(new Date(now + 86_400_000))),
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", body, key));
  const text = sequence(body, algorithm, signature)
    .toString("base64")
    .replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}

/** A new authority. */
export function createAuthority(subject: string): Authority {
  const own = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return {
    certificate: signed({ subject, names: [], publicKey: own.publicKey, authority: true }, subject, own.privateKey),
    issue(...names) {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
      const request = { subject: names[0] ?? "nobody", names, publicKey, authority: false };
      const key = privateKey.export({ type: "pkcs8", format: "pem" });
      return { certificate: signed(request, subject, own.privateKey), key };
    },
  };
}
