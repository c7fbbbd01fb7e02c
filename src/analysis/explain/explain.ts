import type { Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { virtualOutbound } from "#translate/names.ts";
import { type GatewayRouteView, listenPort } from "#translate/view.ts";
import { beforePatches } from "#translate/scopes.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { ExplainContext } from "./context.ts";
import { terminalOf } from "./decoded.ts";
import { reachedCluster } from "./destinations.ts";
import type { Explanation, Step } from "./explanation.ts";
import { type Connection, filterChainFor, inspected } from "./filter-chains.ts";
import { httpOnward, type Onward } from "./http.ts";
import { callOf } from "./policies/arrived.ts";
import { decisions } from "./policies/decisions.ts";
import { knownName, unknownName } from "./name-step.ts";
import { resolveName } from "./names.ts";
import type { ExplainedRequest } from "./request.ts";

/** Where a request arrives first, and what led there. */
interface Arrival {
  readonly listener: Listener | undefined;
  readonly connection: Connection;
  readonly steps: readonly Step[];
}

function at(listeners: readonly Listener[], address: string, port: number): Listener | undefined {
  return listeners.find(({ address: bound }) => {
    if (bound?.address.case !== "socketAddress") return false;
    const { address: host, portSpecifier } = bound.address.value;
    return host === address && portSpecifier.case === "portValue" && portSpecifier.value === port;
  });
}

/** What a connection says of itself: the program speaks HTTP in the clear, or TLS of its own. */
function connectionOf(request: ExplainedRequest, address: string, port: number): Connection {
  const http2 = request.headers["content-type"]?.startsWith("application/grpc") ?? false;
  return request.scheme === "https"
    ? { address, port, transport: "tls", serverName: request.host, applicationProtocols: ["h2", "http/1.1"] }
    : { address, port, transport: "raw_buffer", serverName: "", applicationProtocols: [http2 ? "h2c" : "http/1.1"] };
}

/** A program's request: its name resolved, its connection redirected to the sidecar. */
function leaving(context: ExplainContext, request: ExplainedRequest): Arrival {
  const { resources, view } = context;
  const table = resources.names();
  const { name, addresses } = table
    ? resolveName(request.host, view.namespace, table)
    : { name: request.host, addresses: [] };
  const [address = ""] = addresses;
  const listeners = resources.listeners();
  const listener =
    at(listeners, address, request.port) ??
    at(listeners, "0.0.0.0", request.port) ??
    listeners.find((each) => each.name === virtualOutbound);
  const step = addresses.length > 0 ? knownName(context, request, { name, addresses }) : unknownName(context, request);
  return { listener, connection: connectionOf(request, address, request.port), steps: [step] };
}

/** A request from outside that arrives at a gateway on the port of its Service. */
function arriving({ mesh: { translator }, resources, proxy }: ExplainContext, request: ExplainedRequest): Arrival {
  const scopes = translator.scopes.get(translator.classOf(proxy.node))[typeUrls.listener].map(beforePatches);
  const view = scopes
    .map((scope) => (scope?.kind === "gateway-listeners" ? scope.view : undefined))
    .find((each) => each);
  const port = view ? listenPort(view satisfies GatewayRouteView, request.port) : request.port;
  const listener = at(resources.listeners(), "0.0.0.0", port);
  const text =
    port === request.port
      ? `port ${port} of the gateway`
      : `port ${request.port} of the gateway's Service is port ${port} of its Pods`;
  return { listener, connection: connectionOf(request, "", port), steps: [{ name: "name", text, because: [] }] };
}

function onwardFrom(context: ExplainContext, arrival: Arrival, request: ExplainedRequest): Onward {
  const { listener, connection } = arrival;
  if (!listener) {
    return {
      steps: [{ name: "answer", text: "nothing listens there: the connection is refused", because: [] }],
      destinations: [],
    };
  }
  const chain = filterChainFor(listener, inspected(listener, connection));
  const terminal = chain && terminalOf(chain);
  const { name: resource } = listener;
  if (terminal?.kind === "http") {
    const step: Step = { name: "listener", resource, text: "takes the connection and speaks HTTP", because: [] };
    const onward = httpOnward(context, terminal.manager, request, connection);
    return { ...onward, steps: [step, ...onward.steps] };
  }
  const closing = chain
    ? decisions(context, context.proxy, chain.filters, callOf(context, undefined, connection))
    : undefined;
  if (closing?.allowed === false) return { steps: closing.steps, destinations: [] };
  if (terminal?.kind === "tcp" && terminal.proxy.clusterSpecifier.case === "cluster") {
    const name = terminal.proxy.clusterSpecifier.value;
    const step: Step = {
      name: "listener",
      resource,
      text: "takes the connection and passes its bytes on, whatever they are",
      because: [],
    };
    return {
      steps: [...(closing?.steps ?? []), step],
      destinations: [reachedCluster(context, name, 1, [], undefined)],
    };
  }
  const text = "no filter chain takes the connection: it is closed";
  return { steps: [{ name: "listener", resource, text, because: [] }], destinations: [] };
}

/**
 * The way of a request: which listener, virtual host, route, cluster and endpoints it meets, and which fields of which
 * objects decided each, from the configuration that the proxy gets.
 */
export function explainRequest(context: ExplainContext, request: ExplainedRequest): Explanation {
  const { proxy, view } = context;
  const arrival = view.type === "router" ? arriving(context, request) : leaving(context, request);
  const { steps, destinations } = onwardFrom(context, arrival, request);
  return { request, proxy: proxy.name, cluster: proxy.cluster, steps: [...arrival.steps, ...steps], destinations };
}
