import type { ConnectionPoolSettings } from "#api/istio/common.ts";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { isHttp, isHttp2, type Protocol } from "#model/protocol.ts";
import type { MatchPredicateSchema } from "#proto/gen/envoy/config/common/matcher/v3/matcher_pb.js";
import {
  type Http1ProtocolOptions,
  Http1ProtocolOptionsSchema,
  type Http2ProtocolOptionsSchema,
  type HttpProtocolOptionsSchema as CommonOptionsSchema,
  type UpstreamHttpProtocolOptionsSchema,
} from "#proto/gen/envoy/config/core/v3/protocol_pb.js";
import {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from "#proto/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import { protoDuration } from "../duration.ts";
import { offered } from "../mesh-tls.ts";

/** The key under which a cluster holds its HTTP options. */
const optionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Which HTTP a cluster speaks to its endpoints: what the caller spoke, always HTTP/2, or HTTP/1.1. */
type Upstream = "downstream" | "http2" | "http1";

/** What decides the HTTP options of a cluster. */
export interface UpstreamProtocol {
  readonly protocol: Protocol;
  readonly pool: ConnectionPoolSettings | undefined;
  /** The mesh's policy for sending HTTP/1.1 requests as HTTP/2. */
  readonly h2Upgrade: string;
  /** Gateways do not sniff, and their callers negotiate HTTP/2 whatever the backend speaks. */
  readonly sniffing: boolean;
  /** How HTTP/1.1 is written, where not as Envoy does by itself. */
  readonly http1?: Http1ProtocolOptions | undefined;
  /** What requests' hosts are taken for within TLS (`namesFromHosts`). */
  readonly names?: MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema> | undefined;
  /** Which responses are failures of an endpoint (`failingResponses`). */
  readonly failures?: MessageInitShape<typeof MatchPredicateSchema> | undefined;
}

function upgrades({ protocol, pool, h2Upgrade }: UpstreamProtocol): boolean {
  const own = pool?.http?.h2UpgradePolicy;
  if (own === "UPGRADE" || own === "DO_NOT_UPGRADE") return own === "UPGRADE";
  return isHttp(protocol) && h2Upgrade === "UPGRADE";
}

function upstreamOf(upstream: UpstreamProtocol): Upstream {
  const { protocol, pool, sniffing } = upstream;
  if (pool?.http?.useClientProtocol === true) return "downstream";
  if (isHttp2(protocol) || upgrades(upstream)) return "http2";
  return protocol === "Auto" && sniffing ? "downstream" : "http1";
}

/** Whether a cluster speaks HTTP/2 to its endpoints, whatever its callers speak. */
export function speaksHttp2(upstream: UpstreamProtocol): boolean {
  return upstreamOf(upstream) === "http2";
}

/** What callers of the mesh offer when protocols are agreed on: all of them, and those that send HTTP where others do not. */
export interface OfferedProtocols {
  readonly all: readonly string[];
  readonly perRequest?: readonly string[];
}

const offeredFor = { downstream: offered.http, http2: offered.http2, http1: offered.http1 } as const;

/** What callers offer when a cluster is called by mutual TLS of the mesh. */
export function offeredProtocols(upstream: UpstreamProtocol): OfferedProtocols {
  const { protocol } = upstream;
  const http = offeredFor[upstreamOf(upstream)];
  if (protocol === "Auto") return { all: offered.bytes, perRequest: http };
  return { all: isHttp(protocol) ? http : offered.bytes };
}

function commonOptions(
  pool: ConnectionPoolSettings | undefined,
): MessageInitShape<typeof CommonOptionsSchema> | undefined {
  const idleTimeout = pool?.http?.idleTimeout ?? pool?.tcp?.idleTimeout;
  const maxConnectionDuration = pool?.tcp?.maxConnectionDuration;
  const maxRequestsPerConnection = Math.max(0, pool?.http?.maxRequestsPerConnection ?? 0);
  if (idleTimeout === undefined && maxConnectionDuration === undefined && maxRequestsPerConnection === 0)
    return undefined;
  return {
    ...(idleTimeout !== undefined && { idleTimeout: protoDuration(idleTimeout) }),
    ...(maxConnectionDuration !== undefined && { maxConnectionDuration: protoDuration(maxConnectionDuration) }),
    ...(maxRequestsPerConnection > 0 && { maxRequestsPerConnection }),
  };
}

function http2Options(pool: ConnectionPoolSettings | undefined): MessageInitShape<typeof Http2ProtocolOptionsSchema> {
  const streams = pool?.http?.maxConcurrentStreams ?? 0;
  const { interval, timeout } = pool?.http?.http2KeepAlive ?? {};
  return {
    ...(streams > 0 && { maxConcurrentStreams: streams }),
    ...(interval !== undefined &&
      timeout !== undefined && {
        connectionKeepalive: { interval: protoDuration(interval), timeout: protoDuration(timeout) },
      }),
  };
}

function upstreamOptions(
  upstream: Upstream,
  { pool, http1 = create(Http1ProtocolOptionsSchema) }: UpstreamProtocol,
): HttpProtocolOptions["upstreamProtocolOptions"] {
  const http2ProtocolOptions = http2Options(pool);
  const made = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions:
      upstream === "downstream"
        ? { case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: http1, http2ProtocolOptions: {} } }
        : {
            case: "explicitHttpConfig",
            value: {
              protocolConfig:
                upstream === "http2"
                  ? { case: "http2ProtocolOptions", value: http2ProtocolOptions }
                  : { case: "httpProtocolOptions", value: http1 },
            },
          },
  });
  return made.upstreamProtocolOptions;
}

/** The HTTP options of a cluster, where it needs any: plain HTTP/1.1 without limits is what Envoy does by itself. */
export function httpOptions(upstream: UpstreamProtocol): Record<string, Any> {
  const chosen = upstreamOf(upstream);
  const common = commonOptions(upstream.pool);
  const { names, failures } = upstream;
  if (chosen === "http1" && !upstream.http1 && !common && !names && !failures) return {};
  const options = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: upstreamOptions(chosen, upstream),
    ...(common && { commonHttpProtocolOptions: common }),
    ...(names && { upstreamHttpProtocolOptions: names }),
    ...(failures && { outlierDetection: { errorMatcher: failures } }),
  });
  return { [optionsKey]: anyPack(HttpProtocolOptionsSchema, options) };
}

/**
 * HTTP options of the clusters that pass connections through: whatever the caller speaks, closed after idling.
 * @param names what requests' hosts are taken for within TLS.
 */
export function passthroughOptions(names?: UpstreamProtocol["names"]): Record<string, Any> {
  const pool: ConnectionPoolSettings = { http: { useClientProtocol: true, idleTimeout: "5m" } };
  return httpOptions({ protocol: "Auto", pool, h2Upgrade: "DO_NOT_UPGRADE", sniffing: true, names });
}
