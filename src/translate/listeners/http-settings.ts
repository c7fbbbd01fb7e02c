import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { MeshSettings } from "#model/mesh.ts";
import { type Http1ProtocolOptions, Http1ProtocolOptionsSchema } from "#proto/gen/envoy/config/core/v3/protocol_pb.js";
import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from "#proto/gen/envoy/config/core/v3/protocol_pb.js";
import {
  type HttpConnectionManager,
  type HttpConnectionManagerSchema,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { PreserveCaseFormatterConfigSchema } from "#proto/gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.js";
import { noDuration, protoDuration } from "../duration.ts";

/** On which side of a proxy requests are taken. */
export type HttpSide = "inbound" | "outbound" | "gateway";

type Members = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, HttpConnectionManager>;
type ProxyHeaders = NonNullable<MeshProxyConfig["proxyHeaders"]>;
type ConnectionSettings = NonNullable<MeshProxyConfig["connectionSettings"]>;

const forwards: Readonly<Record<string, ForwardClientCert>> = {
  SANITIZE: ForwardClientCert.SANITIZE,
  FORWARD_ONLY: ForwardClientCert.FORWARD_ONLY,
  APPEND_FORWARD: ForwardClientCert.APPEND_FORWARD,
  SANITIZE_SET: ForwardClientCert.SANITIZE_SET,
  ALWAYS_FORWARD_ONLY: ForwardClientCert.ALWAYS_FORWARD_ONLY,
};

/** Whether the header tells of the client's certificate; only then may be said what it tells. */
function tells(forward: ForwardClientCert): boolean {
  return forward === ForwardClientCert.APPEND_FORWARD || forward === ForwardClientCert.SANITIZE_SET;
}

/** What is done with a client certificate's data, and whose word is taken for the caller's address. */
export function callers(side: HttpSide, { proxyHeaders, gatewayTopology }: MeshProxyConfig): Members {
  if (side === "outbound") return { useRemoteAddress: false };
  if (side === "gateway") {
    const { numTrustedProxies: xffNumTrustedHops = 0, forwardClientCertDetails = "" } = gatewayTopology ?? {};
    const forward = forwards[forwardClientCertDetails] ?? ForwardClientCert.SANITIZE_SET;
    return {
      useRemoteAddress: true,
      xffNumTrustedHops,
      forwardClientCertDetails: forward,
      ...(tells(forward) && { setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true } }),
    };
  }
  const { forwardedClientCert = "", setCurrentClientCertDetails: told = {} } = proxyHeaders ?? {};
  const forward = forwards[forwardedClientCert] ?? ForwardClientCert.APPEND_FORWARD;
  const { subject = true, cert = false, chain = false, dns = true, uri = true } = told;
  return {
    useRemoteAddress: false,
    forwardClientCertDetails: forward,
    ...(tells(forward) && { setCurrentClientCertDetails: { subject, cert, chain, dns, uri } }),
  };
}

/** How names of headers are written: in small letters unless their case is kept. */
export function headerCase({ proxyHeaders }: MeshProxyConfig): Http1ProtocolOptions | undefined {
  if (proxyHeaders?.preserveHttp1HeaderCase !== true) return undefined;
  const formatter = create(PreserveCaseFormatterConfigSchema, { forwardReasonPhrase: false });
  return create(Http1ProtocolOptionsSchema, {
    headerKeyFormat: {
      headerFormat: {
        case: "statefulFormatter",
        value: { name: "preserve_case", typedConfig: anyPack(PreserveCaseFormatterConfigSchema, formatter) },
      },
    },
  });
}

function serverHeader(side: HttpSide, { server }: ProxyHeaders): Members {
  if (server?.disabled === true) return { serverHeaderTransformation: ServerHeader.PASS_THROUGH };
  const name = server?.value ?? "";
  // To a workload that calls, every server is Envoy's own "envoy", as in Istio.
  if (name === "" && side === "outbound") return {};
  return { serverName: name === "" ? "istio-envoy" : name };
}

/** Headers that are added or changed. */
export function headers(side: HttpSide, { defaultConfig: config, protocols }: MeshSettings): Members {
  const { proxyHeaders = {} } = config;
  const http1 = headerCase(config) ?? create(Http1ProtocolOptionsSchema);
  if (protocols.http10) http1.acceptHttp10 = true;
  return {
    ...serverHeader(side, proxyHeaders),
    ...(proxyHeaders.requestId?.disabled === true && { generateRequestId: false }),
    ...(proxyHeaders.xForwardedPort?.enabled === true && { appendXForwardedPort: true }),
    ...((protocols.http10 || http1.headerKeyFormat) && { httpProtocolOptions: http1 }),
  };
}

/** What gateways do for callers that are not trusted, where nothing else is said. */
const edge: ConnectionSettings = {
  listenerPerConnectionBufferLimitBytes: 32_768,
  httpIdleTimeout: "3600s",
  httpStreamIdleTimeout: "300s",
  httpRequestTimeout: "300s",
  httpRequestHeadersTimeout: "60s",
  httpMaxConcurrentStreams: 100,
  http2InitialStreamWindowSize: 65_536,
  http2InitialConnectionWindowSize: 1_048_576,
  httpHeadersWithUnderscoresAction: "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
  httpMergeSlashes: true,
  httpPathWithEscapedSlashesAction: "UNESCAPE_AND_REDIRECT",
};

/** How callers' connections are treated on a side. */
export function connectionSettings(
  side: HttpSide,
  { connectionSettings: own = {} }: MeshProxyConfig,
): ConnectionSettings {
  if (own.profile !== "EDGE" || side !== "gateway") return own;
  const { httpHeadersWithUnderscoresAction: underscores, httpPathWithEscapedSlashesAction: slashes, ...rest } = own;
  return {
    ...edge,
    ...rest,
    ...(underscores !== undefined &&
      underscores !== "HEADERS_WITH_UNDERSCORES_UNSPECIFIED" && { httpHeadersWithUnderscoresAction: underscores }),
    ...(slashes !== undefined &&
      slashes !== "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED" && { httpPathWithEscapedSlashesAction: slashes }),
  };
}

const underscoreActions: Readonly<Record<string, Underscores>> = {
  HEADERS_WITH_UNDERSCORES_ALLOW: Underscores.ALLOW,
  HEADERS_WITH_UNDERSCORES_REJECT_REQUEST: Underscores.REJECT_REQUEST,
  HEADERS_WITH_UNDERSCORES_DROP_HEADER: Underscores.DROP_HEADER,
};

const slashActions: Readonly<Record<string, EscapedSlashes>> = {
  KEEP_UNCHANGED: EscapedSlashes.KEEP_UNCHANGED,
  REJECT_REQUEST: EscapedSlashes.REJECT_REQUEST,
  UNESCAPE_AND_REDIRECT: EscapedSlashes.UNESCAPE_AND_REDIRECT,
  UNESCAPE_AND_FORWARD: EscapedSlashes.UNESCAPE_AND_FORWARD,
};

function optionalDuration(name: string, value: string | undefined): object {
  return value === undefined ? {} : { [name]: protoDuration(value) };
}

/** Limits of connections and requests. */
export function limits(settings: ConnectionSettings): Members {
  const underscores = underscoreActions[settings.httpHeadersWithUnderscoresAction ?? ""];
  const common = {
    ...optionalDuration("idleTimeout", settings.httpIdleTimeout),
    ...optionalDuration("maxConnectionDuration", settings.httpMaxConnectionDuration),
    ...optionalDuration("maxStreamDuration", settings.httpMaxStreamDuration),
    ...(underscores !== undefined && { headersWithUnderscoresAction: underscores }),
  };
  const {
    httpMaxConcurrentStreams: streams,
    http2InitialStreamWindowSize,
    http2InitialConnectionWindowSize,
  } = settings;
  const http2 = {
    ...(streams !== undefined && { maxConcurrentStreams: streams }),
    ...(http2InitialStreamWindowSize !== undefined && { initialStreamWindowSize: http2InitialStreamWindowSize }),
    ...(http2InitialConnectionWindowSize !== undefined && {
      initialConnectionWindowSize: http2InitialConnectionWindowSize,
    }),
  };
  return {
    // Streams may be silent for as long as they like; routes limit requests.
    streamIdleTimeout:
      settings.httpStreamIdleTimeout === undefined ? noDuration : protoDuration(settings.httpStreamIdleTimeout),
    ...optionalDuration("requestTimeout", settings.httpRequestTimeout),
    ...optionalDuration("requestHeadersTimeout", settings.httpRequestHeadersTimeout),
    ...optionalDuration("drainTimeout", settings.httpDrainTimeout),
    ...(Object.keys(common).length > 0 && { commonHttpProtocolOptions: common }),
    ...(Object.keys(http2).length > 0 && { http2ProtocolOptions: http2 }),
  };
}

/** How paths are rewritten before anything looks at them: the mesh's way, and what connections' settings say else. */
export function paths({ pathNormalization: { normalization } }: MeshSettings, settings: ConnectionSettings): Members {
  const decodes = normalization === "DECODE_AND_MERGE_SLASHES";
  const merges = settings.httpMergeSlashes ?? (decodes || normalization === "MERGE_SLASHES");
  const escaped =
    slashActions[settings.httpPathWithEscapedSlashesAction ?? ""] ??
    (decodes ? EscapedSlashes.UNESCAPE_AND_FORWARD : undefined);
  return {
    normalizePath: normalization !== "NONE",
    ...(merges && { mergeSlashes: true }),
    ...(escaped !== undefined && { pathWithEscapedSlashesAction: escaped }),
  };
}
