import { canonical } from "#base/canonical.ts";
import type { StringMap } from "#api/meta.ts";
import { type Client, everyone } from "#model/client.ts";
import type { Locality } from "#model/locality.ts";

/** A port that the workload's Pod declares, so that a Service's named target port can be resolved. */
export interface WorkloadPort {
  readonly name: string;
  readonly port: number;
}

/** All that translation may know of a proxy. Queries take a projection of it, never the whole. */
export interface ProxyView {
  /** Beside a workload, or a gateway of its own. */
  readonly type: "sidecar" | "router";
  readonly namespace: string;
  readonly cluster: string;
  readonly network: string;
  readonly locality: Locality;
  /** The node that it runs on; empty where it told none. */
  readonly node: string;
  readonly labels: StringMap;
  readonly workloadPorts: readonly WorkloadPort[];
  /** Whether iptables redirects the workload's connections, and how. */
  readonly interception: "REDIRECT" | "TPROXY" | "NONE";
  /** Present where connections of IPv6 to its workload are redirected to it. */
  readonly ipv6?: true;
  /** Present where its agent serves it a certificate of the mesh. */
  readonly identified?: true;
  /** Present while its agent brings its workload into the mesh or out of it: it takes what callers send before and after they hear of that. */
  readonly lenient?: true;
  /** Present where its account may not read the Secrets of its namespace, as its cluster's API says. */
  readonly withoutSecrets?: true;
  /** Settings of its own, as texts: its workload's annotation, and what it was started with; absent where it has none. */
  readonly config?: readonly string[];
  /** Texts of its node metadata that are not its own alone. */
  readonly metadata: StringMap;
  /**
   * Whether virtual hosts of sidecars' ports and of gateways stand in route configurations, are resources of their own, or
   * are such and can be asked for as well.
   */
  readonly virtualHosts: "inside" | "apart" | "asked";
  /** What its workload says of what it holds, by its annotation; absent where it says nothing. */
  readonly discovery?: string;
  /** What its workload says of what it is given, by its annotation; absent where it says nothing. */
  readonly profile?: string;
}

/** What outbound routes of a sidecar read of its proxy. */
export interface SidecarRouteView {
  readonly kind: "sidecar";
  /** Which services and rules the proxy sees. */
  readonly client: Client;
  /** The proxy's namespace: short host names mean services of it, and VirtualServices match on it. */
  readonly namespace: string;
  /** The member cluster, whose service addresses are also host names of a virtual host. */
  readonly cluster: string;
  /** Those labels of the proxy that a `sourceLabels` match of a VirtualService that it sees asks for. */
  readonly sourceLabels: StringMap;
}

/**
 * The same view as a caller of no namespace and without labels has it: most virtual hosts come out as for that one.
 * Undefined for itself, and for a client that is of one namespace anyway.
 */
export function commonView(view: SidecarRouteView): SidecarRouteView | undefined {
  if (view.namespace === "" || view.client.namespace !== everyone) return undefined;
  return { ...view, namespace: "", sourceLabels: {} };
}

/** What routes of a gateway read of its proxy. */
export interface GatewayRouteView {
  readonly kind: "gateway";
  readonly client: Client;
  readonly namespace: string;
  readonly cluster: string;
  readonly sourceLabels: StringMap;
  /** The Gateway objects that select this proxy, as `namespace/name`, oldest first. */
  readonly gateways: readonly string[];
  /**
   * Ports of the proxy by the port that its Service has for them. A Gateway's server says the Service's port, the
   * listener has the proxy's.
   */
  readonly targetPorts: Readonly<Record<string, number>>;
  /** Ports, as servers say them, that Services have for UDP, where the mesh has HTTP/3 on; absent without any. */
  readonly udpPorts?: readonly number[];
}

/** The port on which a gateway's proxies listen for a server of a Gateway. */
export function listenPort({ targetPorts }: GatewayRouteView, serverPort: number): number {
  return targetPorts[serverPort] ?? serverPort;
}

/** What routes read of a proxy. */
export type RouteView = SidecarRouteView | GatewayRouteView;

/** A view as a key: equal views, equal keys. */
export function routeViewKey(view: RouteView): string {
  return canonical(view);
}
