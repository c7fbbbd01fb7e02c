/** Parts of TLS settings that both ends have. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ApiVersion } from "#proto/gen/envoy/config/core/v3/config_source_pb.js";
import { isKnownCipherSuite, isKnownCurve } from "#api/istio/cipher-suites.ts";
import type { TLSConfig } from "#api/istio/mesh-config.ts";
import {
  type CertificateValidationContextSchema,
  type SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType as SanType,
  type TlsCertificateSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import type { CommonTlsContextSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import type { SdsSecretConfigSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";

/** Envoy's name of the transport. */
export const tlsTransport = "envoy.transport_sockets.tls";

/** A file that the proxy reads. */
export function file(filename: string) {
  return { specifier: { case: "filename" as const, value: filename } };
}

/** A certificate with its key, each in a file. */
export function certificateFiles(certificate: string, key: string): MessageInitShape<typeof TlsCertificateSchema> {
  return { certificateChain: file(certificate), privateKey: file(key) };
}

/**
 * By which name Envoy asks the control plane for a secret. It waits for one as long as it waits for anything (15 s), then
 * goes on without: what lacks a certificate takes no connection until it comes, and nothing else waits for that.
 */
export function sdsConfig(name: string): MessageInitShape<typeof SdsSecretConfigSchema> {
  const sds = { configSourceSpecifier: { case: "ads" as const, value: {} }, resourceApiVersion: ApiVersion.V3 };
  return { name, sdsConfig: sds };
}

/** How peers' certificates are checked: a member of Envoy's `CommonTlsContext`. */
export type Validation = NonNullable<MessageInitShape<typeof CommonTlsContextSchema>["validationContextType"]>;

/** How peers' certificates are checked by authorities that come by SDS, beside what is checked anyway. */
export function validationByAuthorities(
  rest: MessageInitShape<typeof CertificateValidationContextSchema>,
  authorities: string,
): Validation {
  const value = { defaultValidationContext: rest, validationContextSdsSecretConfig: sdsConfig(authorities) };
  return { case: "combinedValidationContext", value };
}

const sanTypes = [SanType.DNS, SanType.URI, SanType.EMAIL, SanType.IP_ADDRESS] as const;

/**
 * Names of which a certificate must have one; each is looked for among the certificate's names of every type, a SPIFFE id, which
 * is nothing else, among its URIs.
 */
export function exactNames(names: readonly string[]): MessageInitShape<typeof SubjectAltNameMatcherSchema>[] {
  return names.flatMap((value) =>
    (value.startsWith("spiffe://") ? [SanType.URI] : sanTypes).map((sanType) => ({
      sanType,
      matcher: { matchPattern: { case: "exact" as const, value } },
    })),
  );
}

/** Curves and suites of TLS where nobody asks for others; empty for Envoy's own. Those that proxies do not know are left out. */
export function defaultTlsParameters({ ecdhCurves = [], cipherSuites = [] }: TLSConfig) {
  return { ecdhCurves: ecdhCurves.filter(isKnownCurve), cipherSuites: cipherSuites.filter(isKnownCipherSuite) };
}
