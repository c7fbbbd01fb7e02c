import type { ClientTLSSettings } from "#api/istio/traffic-policy.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { Service } from "#model/service.ts";
import { isDynamic } from "../dynamic-dns.ts";
import type { MeshCall } from "../mesh-tls.ts";

/** What is known of the workloads of a service's port, for callers that have certificates of the mesh. */
export interface Peers {
  /** Names of which their certificates must have one; empty where nobody's is known. */
  readonly subjectAltNames: readonly string[];
  /** Whether PeerAuthentications turn mutual TLS off for their whole namespace. */
  readonly off: boolean;
  /** Whether each of them speaks it, and there is one. */
  readonly allSpeak: () => boolean;
}

/** Mutual TLS of a cluster: with all of its endpoints, or with those that say that they speak it. */
export interface MeshTransport {
  readonly with: "all" | "speakers";
  readonly call: MeshCall;
}

/** What decides about it. */
interface MeshChoice {
  readonly tls: ClientTLSSettings | undefined;
  readonly service: Service;
  readonly peers: Peers;
  readonly mesh: MeshSettings;
  /** Whether connections go to addresses that the callers have chosen, whose endpoints nobody looks up. */
  readonly chosen: boolean;
  readonly passthrough: boolean;
  /** The server name for Istio's gateways to route by. */
  readonly serverName: string;
  readonly applicationProtocols: readonly string[];
}

/** What a rule for mutual TLS says, its own names before those that are known. */
function ruled(tls: ClientTLSSettings, choice: MeshChoice): MeshTransport {
  const { sni = "", subjectAltNames = [] } = tls;
  // Where hosts are looked up, each request says the name.
  const serverName = sni === "" && !isDynamic(choice.service) ? choice.serverName : sni;
  const names = subjectAltNames.length > 0 ? subjectAltNames : choice.peers.subjectAltNames;
  return {
    with: "all",
    call: { serverName, subjectAltNames: names, applicationProtocols: choice.applicationProtocols },
  };
}

/**
 * The mutual TLS by which a service is called, as Istio decides: what a DestinationRule says goes before all; without, who can
 * speak it is spoken to so, unless the service is not of the mesh, or the mesh or the service's namespace has it off. Where
 * callers choose the address, it is all endpoints or none.
 */
export function meshTransport(choice: MeshChoice): MeshTransport | undefined {
  const { tls, service, peers, mesh, chosen, passthrough, serverName, applicationProtocols } = choice;
  if (tls) return tls.mode === "ISTIO_MUTUAL" ? ruled(tls, choice) : undefined;
  if (service.external || !mesh.enableAutoMtls || peers.off || isDynamic(service)) return undefined;
  if ((service.resolution === "NONE" || passthrough) && !peers.allSpeak()) return undefined;
  const { subjectAltNames } = peers;
  return { with: chosen ? "all" : "speakers", call: { serverName, subjectAltNames, applicationProtocols } };
}
