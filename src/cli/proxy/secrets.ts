import { readCertificates } from "#model/credentials/certificate.ts";
import { table } from "../table.ts";
import type { ConfigDump } from "./dump.ts";

/** Bytes in base64, as Envoy's dumps have them, or a text. */
interface DataSource {
  readonly inline_bytes?: string;
  readonly inline_string?: string;
}

/** A secret of a dump, as far as it may be shown. */
interface SecretConfig {
  readonly name?: string;
  readonly tls_certificate?: { readonly certificate_chain?: DataSource };
  readonly validation_context?: { readonly trusted_ca?: DataSource };
}

/** An entry of `SecretsConfigDump`. */
interface SecretState {
  readonly name: string;
  readonly secret?: SecretConfig;
}

/** Members of the section of a dump that tells of secrets. */
export interface SecretSection {
  readonly static_secrets?: readonly SecretState[];
  readonly dynamic_active_secrets?: readonly SecretState[];
  readonly dynamic_warming_secrets?: readonly SecretState[];
}

/** A certificate that a proxy holds, or a secret that it waits for. Times are of RFC 3339. */
export interface SecretItem {
  readonly name: string;
  /** Empty for what it waits for. */
  readonly type: "Cert Chain" | "CA" | "";
  readonly state: "ACTIVE" | "WARMING";
  /** Whether it may be used now. */
  readonly valid: boolean;
  /** In hexadecimal. */
  readonly serialNumber?: string;
  readonly notAfter?: string;
  readonly notBefore?: string;
}

function bytesOf({ inline_bytes: bytes, inline_string: text }: DataSource = {}): string {
  return bytes ?? Buffer.from(text ?? "").toString("base64");
}

function timeText(time: string): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
}

/** The certificates of a secret: of a chain the first, of authorities all. */
function itemsOf({ name, secret }: SecretState, state: SecretItem["state"], now: number): readonly SecretItem[] {
  const chain = secret?.tls_certificate?.certificate_chain;
  const type = chain ? "Cert Chain" : secret?.validation_context?.trusted_ca ? "CA" : "";
  const read = readCertificates(bytesOf(chain ?? secret?.validation_context?.trusted_ca));
  if ("problem" in read) return [{ name, type, state, valid: false }];
  return (type === "CA" ? read : [read[0]]).map(({ serialNumber, validFrom, validTo }) => ({
    name,
    type,
    state,
    valid: Date.parse(validFrom) <= now && now < Date.parse(validTo),
    serialNumber: serialNumber.toLowerCase(),
    notAfter: timeText(validTo),
    notBefore: timeText(validFrom),
  }));
}

/** Secrets of a dump, by name, without what is secret of them. */
export function secretsOf({ configs }: ConfigDump, now: number): readonly SecretItem[] {
  const items = configs.flatMap((section) => [
    ...[...(section.static_secrets ?? []), ...(section.dynamic_active_secrets ?? [])].flatMap((each) =>
      itemsOf(each, "ACTIVE", now),
    ),
    ...(section.dynamic_warming_secrets ?? []).flatMap((each) => itemsOf(each, "WARMING", now)),
  ]);
  return items.toSorted((a, b) => a.name.localeCompare(b.name));
}

/** Secrets: a row for each certificate, in istioctl's columns. */
export function secretTable(items: readonly SecretItem[]): string {
  const rows = items.map(({ name, type, state, valid, serialNumber = "", notAfter = "", notBefore = "" }) => [
    name,
    type,
    state,
    String(valid),
    serialNumber,
    notAfter,
    notBefore,
  ]);
  return table(["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"], rows);
}
