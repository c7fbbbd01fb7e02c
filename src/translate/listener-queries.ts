import { toBinary } from "@bufbuild/protobuf";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import { type Client, clientKey } from "#model/client.ts";
import type { ClientEgress } from "#model/clients.ts";
import { ingressPorts } from "#model/ingress.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { Model } from "#model/model.ts";
import type { ChosenPolicies } from "#model/policies.ts";
import type { TrafficConfig } from "#model/proxy-config.ts";
import { only } from "#model/services.ts";
import { type EgressListener, unredirectedListener } from "#model/sidecars.ts";
import { parseServiceKey } from "#model/tables.ts";
import type { InboundKey, InboundPort } from "#model/workloads.ts";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import {
  type EncodedResource,
  encodeResource,
  encodeResourceBytes,
  joinedFields,
  sameResource,
} from "#proto/encoded.ts";
import type { ConnectionQueries } from "./connections/queries.ts";
import {
  boundInboundListener,
  type InboundContext,
  inboundName,
  isBound,
  unnamedPorts,
  virtualInboundListener,
} from "./listeners/inbound.ts";
import type { Asks } from "./listeners/asks.ts";
import type { PeerSettings } from "./listeners/chain-kinds.ts";
import { type CallingProxy, outboundListener, virtualOutboundListener } from "./listeners/outbound.ts";
import { httpProxyPlans, type ListenerPlan, planListeners } from "./listeners/plan.ts";
import { serviceSlots, type Slot } from "./listeners/slots.ts";
import { settingsFor } from "./own-config.ts";
import { listenerName, virtualInbound as virtualInboundName } from "./names.ts";
import type { DestinationQueries } from "./routes/destination-queries.ts";
import type { RouteSource } from "./routes/source.ts";
import type { SecurityQueries } from "./security-queries.ts";
import type { UnclaimedQuery, UnclaimedTraffic } from "./unclaimed.ts";

/** Who calls, and from which member cluster, whose service addresses the listeners have. */
interface OutboundView {
  readonly client: Client;
  readonly cluster: string;
  /** What rules for connections look at in the caller. */
  readonly source: RouteSource;
  /** Whether nothing is redirected. */
  readonly unredirected?: true;
  /** Settings of the proxies' own, where they have some. */
  readonly own?: TrafficConfig;
  /** What requests wait for that the proxy does not hold. */
  readonly asks?: Asks;
  /** Whether the proxies have certificates of the mesh. */
  readonly identified?: true;
}

/** A listener that has just its client for a key, and settings of the proxies' own. */
interface VirtualView {
  readonly client: Client;
  readonly transparent: boolean;
  readonly own?: TrafficConfig;
}

/** What a workload's listeners are for. */
interface InboundView {
  readonly inbound: InboundKey;
  readonly transparent: boolean;
  /** What it takes; absent where all is plain text. */
  readonly peers?: PeerSettings;
  readonly own?: TrafficConfig;
  readonly policies?: ChosenPolicies;
}

/** What a service's port needs of listeners for a view. */
interface ServiceView extends Omit<OutboundView, "client" | "own" | "unredirected" | keyof CallingProxy> {
  readonly service: string;
  /** Keys of the DestinationRules, joined with commas. */
  readonly rules: string;
  /** Absent where no VirtualService routes connections to the service. */
  readonly routing?: { readonly client: Client; readonly virtualServices: readonly string[] };
  /** The Sidecar's listener by which the service is called; absent where it is called at its own address. */
  readonly listener?: EgressListener;
}

/** What listeners are declared on. */
export interface ListenerContext {
  readonly engine: Engine;
  readonly model: Model;
  readonly unclaimed: UnclaimedQuery;
  readonly destinations: DestinationQueries;
  readonly connections: ConnectionQueries;
  readonly security: SecurityQueries;
}

/** Listeners as queries, each computed once for all proxies for which it comes out the same. */
export interface ListenerQueries {
  readonly outboundNames: (view: OutboundView) => readonly string[];
  readonly outbound: (view: OutboundView, name: string) => EncodedResource | undefined;
  /** Keys of the services that a listener is for. */
  readonly servicesAt: (view: OutboundView, name: string) => readonly string[];
  /** Keys of the VirtualServices that route connections of a listener. */
  readonly virtualServicesAt: (view: OutboundView, name: string) => readonly string[];
  readonly virtualOutbound: (view: VirtualView) => EncodedResource;
  /** Names of the listener for redirected calls, and of those that a Sidecar has bound. */
  readonly inboundNames: (inbound: InboundKey) => readonly string[];
  readonly inbound: (view: InboundView, name: string) => EncodedResource | undefined;
}

function viewKey({ client, cluster, source, unredirected }: OutboundView): string {
  return `${cluster}|${clientKey(client)}|${canonical(source)}|${unredirected ?? ""}`;
}

function serviceViewKey({ service, rules, cluster, source, routing, listener }: ServiceView): string {
  const plain = `${service}|${rules}|${cluster}`;
  return routing || listener
    ? `${plain}|${canonical({ ...(routing && { routing, source }), ...(listener && { listener }) })}`
    : plain;
}

function encodeListener(listener: Listener, routes: readonly string[] = []): EncodedResource {
  return encodeResource(ListenerSchema, listener, listener.name, routes);
}

/** Declares the queries about listeners. */
export function listenerQueries(context: ListenerContext): ListenerQueries {
  const { engine, model, unclaimed, destinations, connections, security } = context;
  const mesh = () => model.services.mesh.get(only);

  const slots = engine.query<ServiceView, readonly Slot[]>({
    name: "listener-slots",
    key: serviceViewKey,
    compute: ({ service: key, rules, cluster, source, routing, listener }) => {
      const service = model.services.service.get(key);
      if (!service) return [];
      const endpointAddresses = (port: number): readonly string[] =>
        model.endpoints.endpoints.get({ service: key, port }).map((endpoint) => endpoint.address);
      const rule = model.rules.merged.get(rules);
      const base = {
        service,
        cluster,
        rule,
        endpointAddresses,
        statName: mesh().outboundClusterStatName,
        ...(listener && { listener }),
      };
      if (!routing) return serviceSlots(base);
      const chosen = routing.virtualServices.flatMap((each) => connections.rule(each) ?? []);
      return serviceSlots({ ...base, routing: { rules: chosen, source, known: destinations(routing.client) } });
    },
  });

  /** Older services first: they win where two want the same. */
  const byAge = (keys: readonly string[]): readonly string[] =>
    keys
      .map((key) => ({ key, created: model.services.service.get(key)?.created ?? "" }))
      .toSorted((a, b) => (`${a.created} ${a.key}` < `${b.created} ${b.key}` ? -1 : 1))
      .map(({ key }) => key);

  const slotsOf = (view: OutboundView, egress: ClientEgress, service: string) => {
    const { client, cluster, source } = view;
    const rules = model.rules.ruleKeys({ viewer: client, service }).join(",");
    const virtualServices = connections.rulesFor(egress.client, parseServiceKey(service).host);
    const routing = virtualServices.length > 0 && { routing: { client, virtualServices } };
    const own = view.unredirected ? unredirectedListener(egress.listener) : egress.listener;
    const listener = own && { listener: own };
    return slots.get({ service, rules, cluster, source, ...routing, ...listener });
  };

  /** Names of the listeners that a client's Sidecar has bound for the workload's own ports: no other has their address. */
  const boundByClient = (client: Client): ReadonlySet<string> => {
    const ports = ingressPorts(model.clients.sidecar(client)?.spec ?? {});
    return new Set(ports.filter(isBound).map(inboundName));
  };

  const plans = engine.query<OutboundView, ReadonlyMap<string, ListenerPlan>>({
    name: "listener-plans",
    key: viewKey,
    compute: (view) => {
      const taken = boundByClient(view.client);
      const all = new Map<string, ListenerPlan>();
      for (const egress of model.clients.egress(view.client)) {
        const services = byAge(model.clients.services.get(egress.client));
        for (const [name, plan] of planListeners(services.flatMap((service) => slotsOf(view, egress, service)))) {
          // What a listener has is not added to by those after it.
          if (!all.has(name) && !taken.has(name)) all.set(name, plan);
        }
      }
      // Where every listener of a Sidecar is for one port, none has what the proxy for all ports would see.
      const general = model.clients.onOtherPorts(view.client) !== undefined;
      for (const proxy of general ? httpProxyPlans(mesh().proxyHttpPort) : []) {
        const name = listenerName(proxy.address, proxy.port);
        if (!all.has(name) && !taken.has(name)) all.set(name, proxy);
      }
      return all;
    },
  });

  const settings = (own: TrafficConfig | undefined): MeshSettings => settingsFor(mesh(), own);

  const outbound = engine.query<
    {
      readonly plan: ListenerPlan;
      readonly unclaimed: UnclaimedTraffic;
      readonly own?: TrafficConfig;
    } & CallingProxy,
    EncodedResource
  >({
    name: "outbound-listener",
    key: canonical,
    equal: sameResource,
    compute: ({ plan, unclaimed: rest, own, ...proxy }) =>
      encodeListener(outboundListener(plan, rest, settings(own), proxy), plan.route === undefined ? [] : [plan.route]),
  });

  const virtualOutbound = engine.query<
    { readonly unclaimed: UnclaimedTraffic; readonly transparent: boolean; readonly own?: TrafficConfig },
    EncodedResource
  >({
    name: "virtual-outbound",
    key: canonical,
    equal: sameResource,
    compute: ({ unclaimed: rest, transparent, own }) =>
      encodeListener(virtualOutboundListener(rest, settings(own), transparent)),
  });

  const inboundContext = ({ own, policies, peers }: Omit<InboundView, "inbound" | "transparent">): InboundContext => ({
    mesh: settings(own),
    peers,
    security: security.filters(policies, false),
  });

  /** Most of a workload's listener is the same for all: it is encoded once. */
  const unnamed = engine.query<Omit<InboundView, "inbound" | "transparent">, Uint8Array>({
    name: "unnamed-ports",
    key: canonical,
    compute: (view) => toBinary(ListenerSchema, unnamedPorts(inboundContext(view))),
  });

  const virtualInbound = engine.query<InboundView, EncodedResource>({
    name: "virtual-inbound",
    key: canonical,
    equal: sameResource,
    compute: ({ inbound, transparent, ...view }) => {
      const ports = model.workloads.inboundPorts.get(inbound);
      const named = virtualInboundListener(ports, inboundContext(view), {
        transparent,
        ipv6: inbound.ipv6 === true,
      });
      const { peers, ...shared } = view;
      const others = unnamed.get({
        ...shared,
        ...(peers && { peers: { ...peers, policy: { mode: peers.policy.mode, ports: {} } } }),
      });
      const whole = joinedFields([others, toBinary(ListenerSchema, named)]);
      return encodeResourceBytes(ListenerSchema, whole, virtualInboundName);
    },
  });

  const boundPorts = (inbound: InboundKey): ReadonlyMap<string, InboundPort> =>
    new Map(
      model.workloads.inboundPorts
        .get(inbound)
        .filter(isBound)
        .map((port) => [inboundName(port), port]),
    );

  const boundInbound = (view: InboundView, name: string): EncodedResource | undefined => {
    const port = boundPorts(view.inbound).get(name);
    return port && encodeListener(boundInboundListener(port, inboundContext(view)));
  };

  const at = (view: OutboundView, name: string) =>
    model.clients.egress(view.client).flatMap((egress) =>
      model.clients.services
        .get(egress.client)
        .filter((service) =>
          slotsOf(view, egress, service).some(({ address, port }) => listenerName(address, port) === name),
        )
        .map((service) => ({ egress, service })),
    );

  return {
    outboundNames: (view) => [...plans.get(view).keys()],
    outbound: (view, name) => {
      const plan = plans.get(view).get(name);
      const { client, own, asks, identified } = view;
      const others = { ...(own && { own }), ...(asks && { asks }), ...(identified && { identified }) };
      return plan && outbound.get({ plan, unclaimed: unclaimed.get(client), ...others });
    },
    servicesAt: (view, name) => at(view, name).map(({ service }) => service),
    virtualServicesAt: (view, name) =>
      at(view, name).flatMap(({ egress, service }) =>
        connections.rulesFor(egress.client, parseServiceKey(service).host),
      ),
    virtualOutbound: ({ client, transparent, own }) =>
      virtualOutbound.get({ unclaimed: unclaimed.get(client), transparent, ...(own && { own }) }),
    inboundNames: (inbound) => [...(inbound.unredirected ? [] : [virtualInboundName]), ...boundPorts(inbound).keys()],
    inbound: ({ inbound, transparent, peers, own, policies }, name) => {
      // Less whose word it is.
      const { mode, ports } = peers?.policy ?? {};
      const view = {
        inbound,
        transparent,
        ...(peers && mode && ports && { peers: { identified: peers.identified, policy: { mode, ports } } }),
        ...(own && { own }),
        ...(policies && { policies }),
      };
      return name === virtualInboundName ? virtualInbound.get(view) : boundInbound(view, name);
    },
  };
}
