import type { Cluster } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import type { LbEndpoint } from "#proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import { only } from "#model/services.ts";
import { typeUrls } from "#proto/encoded.ts";
import { shownIdentity } from "#translate/mesh-tls.ts";
import { virtualInbound } from "#translate/names.ts";
import { resourceOf } from "#translate/proxy-resources.ts";
import type { ExplainContext } from "./context.ts";
import { decodedListener, terminalOf } from "./decoded.ts";
import type { ReachedEndpoint } from "./explanation.ts";
import { filterChainFor, inspected } from "./filter-chains.ts";
import type { Call, Maybe } from "./policies/call.ts";
import { decisions } from "./policies/decisions.ts";
import type { SentHeaders } from "./policies/sent.ts";
import { transportTo } from "./transport.ts";

/** A connection to an endpoint, and the request on it. */
interface Reaching {
  readonly cluster: Cluster;
  readonly endpoint: LbEndpoint;
  readonly at: { readonly address: string; readonly port: number };
  /** The request's headers; undefined where its bytes are passed on unread. */
  readonly sent: SentHeaders | undefined;
}

/** What a Pod's sidecar does with a request, as an endpoint tells it. */
type Inbound = Pick<ReachedEndpoint, "inbound" | "policies" | "refused">;

/** The identity of the mesh that the proxy shows, by the service account of its Pod. */
function ownIdentity({ mesh: { model }, proxy }: ExplainContext): Maybe<string> {
  const pod = model.tables.pods
    .rows()
    .find(({ name, namespace, cluster }) => `${name}.${namespace}` === proxy.name && cluster === proxy.cluster);
  if (!pod) return { needs: `the service account of ${proxy.name}` };
  return shownIdentity(model.services.mesh.get(only), pod);
}

/** The last address that a request says that it came by, which is believed; the caller's own where it says none. */
function firstAddress(sent: SentHeaders | undefined, own: Maybe<string>): Maybe<string> {
  const told = sent?.get("x-forwarded-for");
  return typeof told === "string" ? (told.split(",").at(-1)?.trim() ?? "") : (told ?? own);
}

/** A call as the proxy at its other end sees it. */
function callTo(context: ExplainContext, { cluster, endpoint, at, sent }: Reaching): Call {
  const { proxy, view } = context;
  const { transport, serverName, shows } = transportTo(cluster, endpoint);
  const identity = { mesh: () => ownIdentity(context), other: () => ({ needs: "the certificate that is shown" }) };
  const address = proxy.node.id.split("~")[1] ?? "";
  // A gateway adds whom it was called by.
  const before = view.type === "router" ? { needs: "the caller's address" } : firstAddress(sent, address);
  return {
    headers: sent,
    identity: transport === "tls" && shows !== "none" ? identity[shows]() : "",
    address,
    firstAddress: before,
    to: at,
    serverName,
    claims: undefined,
  };
}

/** What the sidecar of a Pod does with a connection to one of its ports, and its policies with the request on it. */
export function inboundOf(
  context: ExplainContext,
  pod: NonNullable<ReachedEndpoint["pod"]>,
  reaching: Reaching,
): Inbound {
  const proxy = context.proxyOf(pod.name, pod.cluster);
  if (!proxy) return {};
  const resource = resourceOf(context.mesh.translator, proxy.node, typeUrls.listener, virtualInbound);
  if (!resource) return {};
  const listener = decodedListener(resource);
  const connection = { ...reaching.at, ...transportTo(reaching.cluster, reaching.endpoint) };
  const chain = filterChainFor(listener, inspected(listener, connection));
  if (!chain) return { inbound: `${virtualInbound}: no chain takes it, the connection is closed` };
  const how = `${virtualInbound}, chain ${chain.name}${connection.transport === "tls" ? ", by TLS" : ""}`;
  const terminal = terminalOf(chain);
  const isHttp = terminal.kind === "http";
  const filters = isHttp ? terminal.manager.httpFilters : chain.filters;
  const call = callTo(context, reaching);
  const { steps, allowed } = decisions(context, proxy, filters, isHttp ? call : { ...call, headers: undefined });
  const target = terminal.kind === "tcp" ? terminal.proxy.clusterSpecifier : undefined;
  return {
    inbound: target?.case === "cluster" ? `${how}: bytes to ${target.value}` : how,
    ...(steps.length > 0 && { policies: steps }),
    ...(!allowed && { refused: true }),
  };
}
