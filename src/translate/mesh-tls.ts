/** Mutual TLS of the mesh: what both ends of a connection between two proxies have. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { usableCipherSuites } from "#api/istio/cipher-suites.ts";
import { type Identity, spiffeId, trustDomainPrefix } from "#identity/spiffe.ts";
import type { MeshSettings } from "#model/mesh.ts";
import { type TransportSocket, TransportSocketSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType as SanType,
  TlsParameters_TlsProtocol as Version,
  type TlsParametersSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { exactNames, fromAgent, tlsTransport } from "./tls.ts";

/**
 * What clients offer when protocols are agreed on, by what they are about to speak: the names by which Istio's servers tell
 * their callers apart, and what Envoys choose. Never `istio-peer-exchange`: who agrees on it sends bytes that upstream Envoy
 * would take for the application's.
 */
export const offered = {
  /** Bytes, or what is told for each request (`offeredPerRequest`). */
  bytes: ["istio"],
  http1: ["istio-http/1.1", "istio", "http/1.1"],
  http2: ["istio-h2", "istio", "h2"],
  /** HTTP of either version. Servers agree on none then, and tell them apart by the first bytes. */
  http: ["istio-http/1.1", "istio"],
} as const;

/**
 * Where a cluster says what requests to it offer, since it may be HTTP or bytes that go there: in its metadata, from which a
 * filter puts it into each request's state (`protocolsPerRequest`).
 */
export const offeredPerRequest = { namespace: "weft", key: "application_protocols" } as const;

/** Metadata of an endpoint by which its transport is chosen, and what says there that it speaks mutual TLS of the mesh. */
export const transportMatch = { name: "envoy.transport_socket_match", speaks: { tlsMode: "istio" } } as const;

/** What clients of the mesh are known by who speak HTTP, those of a stock Istio proxy included. */
export const httpCallers = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/** Those who pass bytes on. */
export const byteCallers = ["istio-peer-exchange", "istio"];
/** All of them. */
export const meshCallers = ["istio", "istio-peer-exchange", ...httpCallers];

/** What servers choose of what they are offered. */
const chosen = ["h2", "http/1.1"];

/** Suites of TLS 1.2 that servers take unless the mesh says which, as Istio's. */
const serverSuites = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

/** The identity that the proxy of a workload shows. */
export function shownIdentity({ trustDomain }: MeshSettings, workload: Omit<Identity, "trustDomain">): string {
  return spiffeId({ trustDomain, ...workload });
}

/** The secret that is a proxy's own certificate of the mesh, as Istio names it. */
export const meshSecret = "default";

type Names = MessageInitShape<typeof SubjectAltNameMatcherSchema>[];

/** The proxy's own certificate, and who of those that the mesh's authorities have signed is talked to. */
export function meshCertificates(
  matchTypedSubjectAltNames: Names,
  alpnProtocols: readonly string[],
  tlsParams: MessageInitShape<typeof TlsParametersSchema>,
): MessageInitShape<typeof CommonTlsContextSchema> {
  return {
    tlsParams,
    alpnProtocols: [...alpnProtocols],
    tlsCertificateSdsSecretConfigs: [fromAgent(meshSecret)],
    validationContextType: {
      case: "combinedValidationContext",
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames },
        validationContextSdsSecretConfig: fromAgent("ROOTCA"),
      },
    },
  };
}

/** Callers are of the mesh's own trust domain, or of one that counts as it. */
function ownTrustDomains({ trustDomain, trustDomainAliases }: MeshSettings): Names {
  return [...new Set([trustDomain, ...trustDomainAliases])].map((domain) => ({
    sanType: SanType.URI,
    matcher: { matchPattern: { case: "prefix", value: trustDomainPrefix(domain) } },
  }));
}

/** The transport on which a workload's proxy is called by proxies of the mesh: nobody comes in without a certificate of it. */
export function meshServerTls(mesh: MeshSettings): TransportSocket {
  const { minProtocolVersion, cipherSuites = [] } = mesh.meshMTLS;
  const suites = usableCipherSuites(cipherSuites);
  const context = create(DownstreamTlsContextSchema, {
    commonTlsContext: meshCertificates(ownTrustDomains(mesh), chosen, {
      tlsMinimumProtocolVersion: minProtocolVersion === "TLSV1_3" ? Version.TLSv1_3 : Version.TLSv1_2,
      tlsMaximumProtocolVersion: Version.TLSv1_3,
      cipherSuites: suites.length > 0 ? suites : serverSuites,
    }),
    requireClientCertificate: true,
  });
  const value = anyPack(DownstreamTlsContextSchema, context);
  return create(TransportSocketSchema, { name: tlsTransport, configType: { case: "typedConfig", value } });
}

/** How a proxy of the mesh is called. */
export interface MeshCall {
  /** The server name that is asked for; empty for none. */
  readonly serverName: string;
  /** Of these names the server's certificate must have one; empty for any that the mesh's authorities signed. */
  readonly subjectAltNames: readonly string[];
  /** See `offered`. */
  readonly applicationProtocols: readonly string[];
}

/** The transport by which proxies of the mesh are called. */
export function meshClientTls({ serverName, subjectAltNames, applicationProtocols }: MeshCall): TransportSocket {
  const context = create(UpstreamTlsContextSchema, {
    sni: serverName,
    commonTlsContext: meshCertificates(exactNames(subjectAltNames), applicationProtocols, {
      tlsMinimumProtocolVersion: Version.TLSv1_2,
      tlsMaximumProtocolVersion: Version.TLSv1_3,
    }),
  });
  const value = anyPack(UpstreamTlsContextSchema, context);
  return create(TransportSocketSchema, { name: tlsTransport, configType: { case: "typedConfig", value } });
}
