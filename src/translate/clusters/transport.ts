import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { TLSConfig } from "#api/istio/mesh-config.ts";
import type { ClientTLSSettings, TrafficPolicy } from "#api/istio/traffic-policy.ts";
import { isConfigMap } from "#model/credentials/name.ts";
import { clientCredentials } from "#model/credentials/uses.ts";
import type { ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import type { UpstreamHttpProtocolOptionsSchema } from "#proto/gen/envoy/config/core/v3/protocol_pb.js";
import { type TransportSocket, TransportSocketSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { ProxyProtocolConfig_Version as ProxyProtocolVersion } from "#proto/gen/envoy/config/core/v3/proxy_protocol_pb.js";
import { ProxyProtocolUpstreamTransportSchema } from "#proto/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
import { RawBufferSchema } from "#proto/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
import { TlsParameters_TlsProtocol as Version } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import { UpstreamTlsContextSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { meshClientTls, transportMatch } from "../mesh-tls.ts";
import type { MeshTransport } from "./mutual-tls.ts";
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

/** How a cluster's connections are secured: members of the cluster's message. */
type Transport = Pick<MessageInitShape<typeof ClusterSchema>, "transportSocket" | "transportSocketMatches">;

/** What decides how connections to a service's endpoints are secured. */
export interface TransportChoice {
  readonly tls: ClientTLSSettings | undefined;
  /** Whether the caller may read what `credentialName` names: gateways, and the workloads that the rule selects. */
  readonly readsSecrets: boolean;
  /** Whether the caller has a certificate of the mesh. */
  readonly identified: boolean;
  /** Names that the service's ServiceEntry expects of servers, where the rule expects none. */
  readonly subjectAltNames: readonly string[];
  /** Endpoints are spoken to in HTTP/2. */
  readonly http2: boolean;
  /** Connections begin with the PROXY protocol's header. */
  readonly proxyProtocol: TrafficPolicy["proxyProtocol"];
  /** What the mesh says of TLS. */
  readonly tlsDefaults: TLSConfig;
  /** The mesh's own mutual TLS, where it is spoken. */
  readonly meshTransport?: MeshTransport | undefined;
}

/**
 * Where Debian and what descends from it keep the system's authorities. Envoy has a setting for the system's own
 * (`system_root_certs`) but does nothing with it: every certificate would be taken.
 */
const systemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

/** Settings for TLS that the rule itself asks for. Who may not read its credentials calls in plain text, as in Istio. */
function ownTls({ tls, readsSecrets }: Pick<TransportChoice, "tls" | "readsSecrets">): ClientTLSSettings | undefined {
  if (tls?.mode !== "SIMPLE" && tls?.mode !== "MUTUAL") return undefined;
  const { credentialName = "" } = tls;
  return credentialName === "" || readsSecrets || isConfigMap(credentialName) ? tls : undefined;
}

function expectedNames({ subjectAltNames = [] }: ClientTLSSettings, ofService: readonly string[]): readonly string[] {
  return subjectAltNames.length > 0 ? subjectAltNames : ofService;
}

/** Which server certificates are taken: those of the system's authorities unless the rule names others. */
function validation(tls: ClientTLSSettings, { subjectAltNames, identified }: TransportChoice): Validation {
  if (tls.insecureSkipVerify === true) return { case: "validationContext", value: {} };
  const { caCertificates = "", caCrl = "" } = tls;
  const names = { matchTypedSubjectAltNames: exactNames(expectedNames(tls, subjectAltNames)) };
  const authorities = clientCredentials(tls)?.authorities;
  if (authorities) return validationByAuthorities(names, authorities.resource, identified);
  const value = {
    trustedCa: file(caCertificates === "" ? systemAuthorities : caCertificates),
    ...(caCrl !== "" && { crl: file(caCrl) }),
    ...names,
  };
  return { case: "validationContext", value };
}

/** The certificate that the proxy shows. */
function shown(tls: ClientTLSSettings, identified: boolean) {
  const secrets = clientCredentials(tls)?.certificates.map(({ resource }) => credentialSecret(resource, identified));
  if (secrets) return { tlsCertificateSdsSecretConfigs: secrets };
  const { mode, clientCertificate = "", privateKey = "" } = tls;
  return { tlsCertificates: mode === "MUTUAL" ? [certificateFiles(clientCertificate, privateKey)] : [] };
}

/** The transport of TLS that the rule asks for; undefined for none. */
function tlsSocket(choice: TransportChoice): TransportSocket | undefined {
  const tls = ownTls(choice);
  if (!tls) return undefined;
  const { http2, identified } = choice;
  const { sni = "" } = tls;
  const context = create(UpstreamTlsContextSchema, {
    sni,
    commonTlsContext: {
      tlsParams: {
        tlsMinimumProtocolVersion: Version.TLSv1_2,
        tlsMaximumProtocolVersion: Version.TLSv1_3,
        ...defaultTlsParameters(choice.tlsDefaults),
      },
      ...shown(tls, identified),
      alpnProtocols: http2 ? ["h2"] : [],
      validationContextType: validation(tls, choice),
    },
  });
  return create(TransportSocketSchema, {
    name: tlsTransport,
    configType: { case: "typedConfig", value: anyPack(UpstreamTlsContextSchema, context) },
  });
}

function plainSocket(): TransportSocket {
  const value = anyPack(RawBufferSchema, create(RawBufferSchema));
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.raw_buffer",
    configType: { case: "typedConfig", value },
  });
}

/** The transport that tells the caller's address before all else. */
function announcing(version: ProxyProtocolVersion, inner: TransportSocket): TransportSocket {
  const config = create(ProxyProtocolUpstreamTransportSchema, { config: { version }, transportSocket: inner });
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    configType: { case: "typedConfig", value: anyPack(ProxyProtocolUpstreamTransportSchema, config) },
  });
}

/** How connections to endpoints are secured, the one place that decides it. */
export function transport(choice: TransportChoice): Transport {
  const { proxyProtocol, meshTransport } = choice;
  const version = proxyProtocol?.version === "V2" ? ProxyProtocolVersion.V2 : ProxyProtocolVersion.V1;
  const whole = (socket: TransportSocket): TransportSocket => (proxyProtocol ? announcing(version, socket) : socket);
  if (meshTransport?.with === "speakers") {
    return {
      transportSocketMatches: [
        {
          name: "tlsMode-istio",
          match: transportMatch.speaks,
          transportSocket: whole(meshClientTls(meshTransport.call)),
        },
        { name: "tlsMode-disabled", match: {}, transportSocket: whole(plainSocket()) },
      ],
    };
  }
  const tls = meshTransport ? meshClientTls(meshTransport.call) : tlsSocket(choice);
  if (!proxyProtocol) return tls ? { transportSocket: tls } : {};
  return { transportSocket: whole(tls ?? plainSocket()) };
}

/**
 * What requests' hosts are taken for within TLS: the server name to ask for where the rule says none, and then also the one
 * that the server's certificate must have, unless names are expected. Undefined where they are taken for neither.
 */
export function namesFromHosts(
  choice: Pick<TransportChoice, "tls" | "readsSecrets" | "subjectAltNames">,
): MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema> | undefined {
  const tls = ownTls(choice);
  const { subjectAltNames } = choice;
  if (!tls || (tls.sni ?? "") !== "") return undefined;
  const checks = tls.insecureSkipVerify !== true && expectedNames(tls, subjectAltNames).length === 0;
  return { autoSni: true, autoSanValidation: checks };
}

/**
 * What the hosts of requests are taken for where they are looked up too: the server name to ask for unless the rule says
 * another, and the name that the server's certificate must have.
 */
export function dynamicNames(
  tls: ClientTLSSettings | undefined,
): MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema> {
  return { autoSni: (tls?.sni ?? "") === "", autoSanValidation: tls?.insecureSkipVerify !== true };
}

/** Whether servers are asked for the name that a request has, and must show it. */
export function checksNames(names: MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema>): boolean {
  return names.autoSni === true && names.autoSanValidation === true;
}
