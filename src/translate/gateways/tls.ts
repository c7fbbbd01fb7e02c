import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { usableCipherSuites } from "#api/istio/cipher-suites.ts";
import type { ServerTLSSettings } from "#api/istio/common.ts";
import { meshSecret } from "#model/credentials/name.ts";
import { builtinUses, serverCredentials } from "#model/credentials/uses.ts";
import type { TLSConfig } from "#api/istio/mesh-config.ts";
import { type TransportSocket, TransportSocketSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  CertificateValidationContext_TrustChainVerification as TrustChain,
  type TlsCertificateSchema,
  TlsParameters_TlsProtocol as Version,
  type TlsParametersSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import {
  certificateFiles,
  credentialSecret,
  defaultTlsParameters,
  exactNames,
  file,
  tlsTransport,
  type Validation,
  validationByAuthorities,
} from "../tls.ts";
import { meshCertificates } from "../mesh-tls.ts";
import { QuicDownstreamTransportSchema } from "#proto/gen/envoy/extensions/transport_sockets/quic/v3/quic_transport_pb.js";
import {
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";

/** What HTTP/3 is called when protocols are agreed on. */
export const http3Alpn = "h3";

const quicTransport = "envoy.transport_sockets.quic";

function certificates(tls: ServerTLSSettings): MessageInitShape<typeof TlsCertificateSchema>[] {
  const { serverCertificate, privateKey, tlsCertificates = [] } = tls;
  const all = tlsCertificates.length > 0 ? tlsCertificates : [{ serverCertificate, privateKey }];
  return all.map((each) => certificateFiles(each.serverCertificate ?? "", each.privateKey ?? ""));
}

/** The first field with a hash of client certificates that is none, so that nobody can be checked by it. */
export function brokenHash(tls: ServerTLSSettings): "verifyCertificateSpki" | "verifyCertificateHash" | undefined {
  if (!(tls.verifyCertificateSpki ?? []).every((hash) => /^[A-Za-z0-9+/]{43}=$/.test(hash))) {
    return "verifyCertificateSpki";
  }
  const hexadecimal = /^(?:[0-9a-f]{64}|(?:[0-9a-f]{2}:){31}[0-9a-f]{2})$/i;
  return (tls.verifyCertificateHash ?? []).every((hash) => hexadecimal.test(hash))
    ? undefined
    : "verifyCertificateHash";
}

/** Whether files or credentials of TLS that ends here are named; the mesh has none but its workloads' own. */
function hasCertificates(tls: ServerTLSSettings): boolean {
  if (isMeshTls(tls)) return true;
  const { serverCertificate = "", privateKey = "", tlsCertificates = [] } = tls;
  const credentials = serverCredentials(tls);
  if (credentials) return builtinUses(credentials).every(({ resource }) => meshSecret(resource) !== undefined);
  return (serverCertificate !== "" && privateKey !== "") || tlsCertificates.length > 0;
}

/** Whether callers are proxies of the mesh, and the certificate is that of the gateway's own account. */
function isMeshTls({ mode }: ServerTLSSettings): boolean {
  return mode === "ISTIO_MUTUAL";
}

/** Whether a server cannot do without what the proxies have from the mesh: a certificate to show, or its authorities. */
export function needsIdentity(tls: ServerTLSSettings): boolean {
  return isMeshTls(tls) || builtinUses(serverCredentials(tls)).length > 0;
}

const endingModes: ReadonlySet<string> = new Set(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"]);

/** Whether TLS can end in the proxy as it is asked for. */
export function canEnd(tls: ServerTLSSettings): boolean {
  return endingModes.has(tls.mode ?? "") && hasCertificates(tls) && brokenHash(tls) === undefined;
}

/** What client certificates must have, whoever signed them. */
function expectations(tls: ServerTLSSettings) {
  const { subjectAltNames = [], insecureSkipVerify = false } = tls;
  return {
    matchTypedSubjectAltNames: exactNames(subjectAltNames),
    verifyCertificateSpki: [...(tls.verifyCertificateSpki ?? [])],
    verifyCertificateHash: [...(tls.verifyCertificateHash ?? [])],
    ...(insecureSkipVerify && { trustChainVerification: TrustChain.ACCEPT_UNTRUSTED }),
  };
}

/** Which client certificates are taken; undefined where none is asked for. */
function validation(tls: ServerTLSSettings, identified: boolean): Validation | undefined {
  if (tls.mode !== "MUTUAL" && tls.mode !== "OPTIONAL_MUTUAL") return undefined;
  const authorities = serverCredentials(tls)?.authorities;
  if (authorities) return validationByAuthorities(expectations(tls), authorities.resource, identified);
  const { caCertificates = "", caCrl = "" } = tls;
  const value = {
    ...(caCertificates !== "" && { trustedCa: file(caCertificates) }),
    ...(caCrl !== "" && { crl: file(caCrl) }),
    ...expectations(tls),
  };
  return { case: "validationContext", value };
}

const versions: Readonly<Record<NonNullable<ServerTLSSettings["minProtocolVersion"]>, Version>> = {
  TLS_AUTO: Version.TLS_AUTO,
  TLSV1_0: Version.TLSv1_0,
  TLSV1_1: Version.TLSv1_1,
  TLSV1_2: Version.TLSv1_2,
  TLSV1_3: Version.TLSv1_3,
};

function parameters(tls: ServerTLSSettings, defaults: TLSConfig): MessageInitShape<typeof TlsParametersSchema> {
  const { minProtocolVersion = "TLS_AUTO", maxProtocolVersion = "TLS_AUTO", cipherSuites = [] } = tls;
  const oldest = minProtocolVersion === "TLS_AUTO" ? (defaults.minProtocolVersion ?? "TLS_AUTO") : minProtocolVersion;
  const suites = usableCipherSuites(cipherSuites);
  const { ecdhCurves, cipherSuites: meshSuites } = defaultTlsParameters(defaults);
  return {
    tlsMinimumProtocolVersion: versions[oldest],
    tlsMaximumProtocolVersion: versions[maxProtocolVersion],
    cipherSuites: suites.length > 0 ? suites : meshSuites,
    ecdhCurves,
  };
}

/**
 * TLS that ends here, with certificates from files of the gateway's own, or by SDS. Proxies that lack what it needs of the mesh
 * (`needsIdentity`) cannot have it.
 */
function downstreamTls(
  tls: ServerTLSSettings,
  alpnProtocols: string[],
  defaults: TLSConfig,
  identified: boolean,
): DownstreamTlsContext {
  if (isMeshTls(tls)) {
    const names = exactNames(tls.subjectAltNames ?? []);
    return create(DownstreamTlsContextSchema, {
      commonTlsContext: meshCertificates(names, alpnProtocols, parameters(tls, defaults)),
      requireClientCertificate: true,
    });
  }
  const clients = validation(tls, identified);
  const secrets = serverCredentials(tls)?.certificates;
  return create(DownstreamTlsContextSchema, {
    commonTlsContext: {
      alpnProtocols,
      tlsParams: parameters(tls, defaults),
      tlsCertificates: secrets ? [] : certificates(tls),
      tlsCertificateSdsSecretConfigs: (secrets ?? []).map(({ resource }) => credentialSecret(resource, identified)),
      ...(clients && { validationContextType: clients }),
    },
    requireClientCertificate: tls.mode === "MUTUAL",
  });
}

/**
 * TLS that ends at the gateway. Both HTTP/2 and HTTP/1.1 are offered, also where bytes are passed on, as in Istio.
 */
export function serverTls(tls: ServerTLSSettings, defaults: TLSConfig): TransportSocket {
  const value = anyPack(DownstreamTlsContextSchema, downstreamTls(tls, ["h2", "http/1.1"], defaults, true));
  return create(TransportSocketSchema, { name: tlsTransport, configType: { case: "typedConfig", value } });
}

/**
 * The same for HTTP/3: TLS within QUIC.
 * @param identified whether its proxies have certificates of the mesh; without, nobody gets through who needs one.
 */
export function serverQuic(tls: ServerTLSSettings, defaults: TLSConfig, identified: boolean): TransportSocket {
  const transport = create(QuicDownstreamTransportSchema, {
    downstreamTlsContext: downstreamTls(tls, [http3Alpn], defaults, identified),
  });
  const value = anyPack(QuicDownstreamTransportSchema, transport);
  return create(TransportSocketSchema, { name: quicTransport, configType: { case: "typedConfig", value } });
}

/**
 * Whether HTTP/3 can be spoken with callers of a server's TLS. Where client certificates are asked for it is not: Envoy
 * before 1.40 cannot ask for them over QUIC, and nobody shall come in without one.
 */
export function canQuic({ mode, maxProtocolVersion = "TLS_AUTO" }: ServerTLSSettings): boolean {
  return mode === "SIMPLE" && (maxProtocolVersion === "TLS_AUTO" || maxProtocolVersion === "TLSV1_3");
}
