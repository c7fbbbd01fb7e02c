import type { L4MatchAttributes, TLSMatchAttributes } from "#api/istio/virtual-service.ts";
import { labelsMatch } from "#model/labels.ts";
import type { RouteSource } from "../routes/source.ts";

/** Where connections come in. */
export interface ConnectionPlace {
  /** The port that the listener has in the mesh: the service's port, or the gateway server's. */
  readonly port: number;
  /** `mesh` for a sidecar; otherwise `namespace/name` of the gateway. */
  readonly gateway: string;
  /** The caller, where that is the proxy's own workload; callers of gateways are strangers, so nothing is asked of them. */
  readonly source?: RouteSource;
}

/** Whether a match may hold for connections at a place; what a connection itself shows is Envoy's to match. */
export function matchesConnection(match: L4MatchAttributes | TLSMatchAttributes, place: ConnectionPlace): boolean {
  const { port = 0, gateways = [], sourceLabels = {}, sourceNamespace = "" } = match;
  if (port !== 0 && port !== place.port) return false;
  if (gateways.length > 0 && !gateways.includes(place.gateway)) return false;
  if (!place.source) return true;
  const { namespace, labels } = place.source;
  return labelsMatch(sourceLabels, labels) && (sourceNamespace === "" || sourceNamespace === namespace);
}
