import { fromBinary } from "@bufbuild/protobuf";
import type { Cluster } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import type { TransportSocket } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import type { LbEndpoint } from "#proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import {
  type UpstreamTlsContext,
  UpstreamTlsContextSchema,
} from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { meshSecret, offeredPerRequest, transportMatch } from "#translate/mesh-tls.ts";
import { tlsTransport } from "#translate/tls.ts";
import type { Connection } from "./filter-chains.ts";

/** What a cluster's connection to an endpoint is, as its listener sees it, beside where it goes. */
interface Transport extends Pick<Connection, "serverName" | "transport" | "applicationProtocols"> {
  /** The certificate that it shows: the proxy's own of the mesh, another, or none. */
  readonly shows: "mesh" | "other" | "none";
}

const plainHttp: Transport = {
  serverName: "",
  transport: "raw_buffer",
  applicationProtocols: ["http/1.1"],
  shows: "none",
};

function shownBy({ commonTlsContext }: UpstreamTlsContext): Transport["shows"] {
  const { tlsCertificates = [], tlsCertificateSdsSecretConfigs: secrets = [] } = commonTlsContext ?? {};
  if (secrets.some(({ name }) => name === meshSecret)) return "mesh";
  return secrets.length + tlsCertificates.length > 0 ? "other" : "none";
}

/** The transport that a cluster has for an endpoint, by the endpoint's metadata where there are several. */
function socketFor(cluster: Cluster, endpoint: LbEndpoint): TransportSocket | undefined {
  const told = endpoint.metadata?.filterMetadata[transportMatch.name] ?? {};
  const found = cluster.transportSocketMatches.find(({ match = {} }) =>
    Object.entries(match).every(([name, value]) => told[name] === value),
  );
  return found?.transportSocket ?? cluster.transportSocket;
}

/** What is offered when protocols are agreed on, as of HTTP requests. */
function offeredBy({ metadata }: Cluster, all: readonly string[]): readonly string[] {
  const told = metadata?.filterMetadata[offeredPerRequest.namespace]?.[offeredPerRequest.key];
  return typeof told === "string" ? told.split(",") : all;
}

/** How a request goes to an endpoint: in plain text, or by TLS. */
export function transportTo(cluster: Cluster, endpoint: LbEndpoint): Transport {
  const socket = socketFor(cluster, endpoint);
  if (socket?.name !== tlsTransport || socket.configType.case !== "typedConfig") return plainHttp;
  const tls = fromBinary(UpstreamTlsContextSchema, socket.configType.value.value);
  const applicationProtocols = offeredBy(cluster, tls.commonTlsContext?.alpnProtocols ?? []);
  return { serverName: tls.sni, transport: "tls", applicationProtocols, shows: shownBy(tls) };
}
