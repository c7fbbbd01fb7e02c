import { type FieldPath, forbidden, required } from "../field.ts";
import type { ServerTLSSettings } from "./common.ts";
import type { Errors } from "./names.ts";

/** Fields that say where certificates come from. */
const certificateFields = [
  "serverCertificate",
  "privateKey",
  "caCertificates",
  "tlsCertificates",
  "credentialName",
  "credentialNames",
] as const;

function isSet(value: string | readonly unknown[] | undefined): boolean {
  return value !== undefined && value.length > 0;
}

function* validateSources(tls: ServerTLSSettings, path: FieldPath): Errors {
  const files = isSet(tls.serverCertificate) && isSet(tls.privateKey);
  const sources = [
    ...(files ? ["serverCertificate"] : []),
    ...(["credentialName", "credentialNames", "tlsCertificates"] as const).filter((name) => isSet(tls[name])),
  ];
  for (const name of sources.slice(1)) {
    const detail =
      "only one of serverCertificate and privateKey, credentialName, credentialNames, tlsCertificates may be set";
    yield forbidden(path.field(name), detail);
  }
}

/** Checks that a listener that ends TLS has its certificates. */
function* validateCertificates(tls: ServerTLSSettings, path: FieldPath): Errors {
  const mutual = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  if (mutual && !tls.caCertificates) yield required(path.field("caCertificates"), `for mode ${tls.mode}`);
  const several = isSet(tls.tlsCertificates) ? (tls.tlsCertificates ?? []) : undefined;
  for (const name of ["serverCertificate", "privateKey"] as const) {
    if (several === undefined) {
      if (!tls[name]) yield required(path.field(name), `for mode ${tls.mode}`);
    } else {
      for (const [index, certificate] of several.entries()) {
        if (!certificate[name]) yield required(path.field("tlsCertificates").item(index).field(name));
      }
    }
  }
}

/** Checks how a listener deals with TLS. */
export function* validateServerTls(tls: ServerTLSSettings, path: FieldPath): Errors {
  if (tls.mode === "ISTIO_MUTUAL") {
    for (const name of certificateFields) {
      if (isSet(tls[name])) yield forbidden(path.field(name), "mode ISTIO_MUTUAL uses the mesh's certificates");
    }
    return;
  }
  yield* validateSources(tls, path);
  const ends = tls.mode === "SIMPLE" || tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  if (ends && (isSet(tls.credentialName) || isSet(tls.credentialNames))) return;
  if (ends) yield* validateCertificates(tls, path);
  if (!tls.caCrl) return;
  if (tls.credentialName) yield forbidden(path.field("caCrl"), "belongs into the Secret where credentialName is set");
  if (tls.mode === "SIMPLE") yield forbidden(path.field("caCrl"), "mode SIMPLE asks for no client certificate");
}
