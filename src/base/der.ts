/** Writing ASN.1 in DER (X.690), as far as certificates and what belongs to them need it. */

/** A value with its tag. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

/** A SEQUENCE. */
export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

/** An OBJECT IDENTIFIER by its encoded arcs. */
export function identifier(bytes: readonly number[]): Buffer {
  return der(0x06, Buffer.from(bytes));
}

/** A positive INTEGER by its bytes, as many as there are. */
export function integer(...bytes: readonly Uint8Array[]): Buffer {
  return der(0x02, ...bytes);
}

/** A GeneralizedTime, to the second. */
export function time(at: Date): Buffer {
  return der(0x18, Buffer.from(at.toISOString().replaceAll(/[-:T]|\.\d+/g, "")));
}

/** A time as certificates have it (RFC 5280 4.1.2.5), to the second: before 2050 a UTCTime. */
export function certificateTime(at: Date): Buffer {
  const text = time(at);
  return at.getUTCFullYear() < 2050 ? der(0x17, text.subarray(4)) : text;
}

/** A BIT STRING of whole bytes. */
export function bits(bytes: Uint8Array): Buffer {
  return der(0x03, Buffer.from([0]), bytes);
}

/** Bytes as a PEM text (RFC 7468). */
export function pem(label: string, bytes: Buffer): string {
  // No empty line before the end: before that, readers expect headers.
  const text = (bytes.toString("base64").match(/.{1,64}/g) ?? []).join("\n");
  return `-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`;
}
