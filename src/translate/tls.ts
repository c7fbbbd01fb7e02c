/** Parts of TLS settings that both ends have. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { meshSecret } from "#model/credentials/name.ts";
import { ApiConfigSource_ApiType as ApiType, ApiVersion } from "#proto/gen/envoy/config/core/v3/config_source_pb.js";
import { isKnownCurve, usableCipherSuites } from "#api/istio/cipher-suites.ts";
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

/** The cluster of a proxy's bootstrap by which its agent serves it secrets, as Istio names it. */
const agentCluster = "sds-grpc";

/** By which name Envoy asks its agent for a secret, and that it waits for it as long as it takes. */
export function fromAgent(name: "default" | "ROOTCA"): MessageInitShape<typeof SdsSecretConfigSchema> {
  return {
    name,
    sdsConfig: {
      configSourceSpecifier: {
        case: "apiConfigSource",
        value: {
          apiType: ApiType.GRPC,
          transportApiVersion: ApiVersion.V3,
          setNodeOnFirstMessageOnly: true,
          grpcServices: [{ targetSpecifier: { case: "envoyGrpc", value: { clusterName: agentCluster } } }],
        },
      },
      resourceApiVersion: ApiVersion.V3,
      initialFetchTimeout: {},
    },
  };
}

/**
 * By which name Envoy asks for a credential: its agent for what it has from the mesh, the control plane for all else. It waits
 * for an answer of the control plane as long as it waits for anything (15 s), then goes on without: what lacks a certificate takes no
 * connection until it comes, and nothing else waits for that.
 * @param identified whether its agent serves it a certificate of the mesh; one that does not would never answer.
 */
export function credentialSecret(
  resource: string,
  identified: boolean,
): MessageInitShape<typeof SdsSecretConfigSchema> {
  const own = meshSecret(resource);
  if (own !== undefined && identified) return fromAgent(own);
  const sds = { configSourceSpecifier: { case: "ads" as const, value: {} }, resourceApiVersion: ApiVersion.V3 };
  return { name: resource, sdsConfig: sds };
}

/** How peers' certificates are checked: a member of Envoy's `CommonTlsContext`. */
export type Validation = NonNullable<MessageInitShape<typeof CommonTlsContextSchema>["validationContextType"]>;

/** How peers' certificates are checked by authorities that come by SDS, beside what is checked anyway. */
export function validationByAuthorities(
  rest: MessageInitShape<typeof CertificateValidationContextSchema>,
  authorities: string,
  identified: boolean,
): Validation {
  const secret = credentialSecret(authorities, identified);
  const value = { defaultValidationContext: rest, validationContextSdsSecretConfig: secret };
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

/** Curves and suites of TLS where nobody asks for others; empty for Envoy's own. Those that proxies do not know are left out, and suites that choose none. */
export function defaultTlsParameters({ ecdhCurves = [], cipherSuites = [] }: TLSConfig) {
  return { ecdhCurves: ecdhCurves.filter(isKnownCurve), cipherSuites: usableCipherSuites(cipherSuites) };
}
