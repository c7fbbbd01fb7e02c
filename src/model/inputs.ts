import type { ResourceObject, StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import { configMapRow, secretRow } from "./credentials/row.ts";
import { DiscoveredNamespaces } from "./discovered-namespaces.ts";
import type { JwksRow } from "./jwks.ts";
import type { MeshInput } from "./mesh.ts";
import {
  authorizationPolicyRow,
  egressScopeRow,
  namespaceRow,
  nodeRow,
  podRow,
  serviceEntryRow,
  serviceRow,
  sliceRow,
  workloadEntryRow,
} from "./rows.ts";
import { clusterSlot, type IsRead, meshSlot, type ObjectName, type Slot } from "./slots.ts";
import type { Asks, Tables } from "./tables.ts";

/** How objects get into the model. Calls inside one `engine.change` are one change. */
export interface Inputs {
  /**
   * Takes an object as it is now. A version of it that means the same changes nothing.
   * @param cluster the member cluster that holds it; empty for the mesh's own objects.
   * @returns false for a kind that the model does not read.
   */
  put(object: ResourceObject, cluster?: string): boolean;
  /** Forgets an object, if it is known. */
  remove(kind: string, name: ObjectName, cluster?: string): boolean;
  /** Says that a member cluster exists, and in which network. */
  putCluster(name: string, network: string): void;
  /** Says whether callers in other clusters are no longer led to a member cluster. */
  setDrained(name: string, drained: boolean): void;
  /** Forgets a member cluster and everything in it. */
  removeCluster(name: string): void;
  /** Sets the time by which certificates are judged, in milliseconds since the epoch. */
  setTime(now: number): void;
  /** Sets what proxies of a workload (`namespace/name`) asked for; undefined when none of them is connected any more. */
  setAsks(workload: string, asks: Asks | undefined): void;
  /** Sets the keys of an issuer of tokens, by where they are (`jwksKey`); undefined when nobody needs them any more. */
  setJwks(key: string, jwks: JwksRow | undefined): void;
  /** Sets whether a service account (`secretAccountKey`) may not read the Secrets of its namespace. */
  setSecretRefusal(account: string, refused: boolean): void;
  /** Sets the mesh's configuration, in Istio's form. */
  setMesh(config: MeshInput): void;
}

function slotsOf(tables: Tables, isRead: IsRead): ReadonlyMap<string, Slot> {
  return new Map<string, Slot>([
    ["Service", clusterSlot(tables.services, serviceRow, isRead)],
    ["EndpointSlice", clusterSlot(tables.slices, sliceRow, isRead)],
    ["Pod", clusterSlot(tables.pods, podRow, isRead)],
    ["Node", clusterSlot(tables.nodes, nodeRow, isRead)],
    ["Secret", clusterSlot(tables.secrets, secretRow, isRead)],
    ["ConfigMap", clusterSlot(tables.configMaps, configMapRow, isRead)],
    ["Namespace", clusterSlot(tables.namespaces, namespaceRow, isRead)],
    ["VirtualService", meshSlot(tables.virtualServices.rows, isRead)],
    ["DestinationRule", meshSlot(tables.destinationRules.rows, isRead)],
    ["Gateway", meshSlot(tables.gateways.rows, isRead)],
    ["ServiceEntry", meshSlot(tables.serviceEntries.rows, isRead, serviceEntryRow)],
    ["ReferenceGrant", meshSlot(tables.referenceGrants.rows, isRead)],
    ["Sidecar", meshSlot(tables.sidecars.rows, isRead)],
    ["EnvoyFilter", meshSlot(tables.envoyFilters.rows, isRead)],
    ["PeerAuthentication", meshSlot(tables.peerAuthentications.rows, isRead)],
    ["ProxyConfig", meshSlot(tables.proxyConfigs.rows, isRead)],
    ["WasmPlugin", meshSlot(tables.wasmPlugins.rows, isRead)],
    ["TrafficExtension", meshSlot(tables.trafficExtensions.rows, isRead)],
    ["AuthorizationPolicy", meshSlot(tables.authorizationPolicies.rows, isRead, authorizationPolicyRow)],
    ["RequestAuthentication", meshSlot(tables.requestAuthentications.rows, isRead)],
    ["EgressScope", meshSlot(tables.egressScopes.rows, isRead, egressScopeRow)],
    ["WorkloadEntry", meshSlot(tables.workloadEntries.rows, isRead, workloadEntryRow)],
  ]);
}

/** The way of API objects into the tables: of those in namespaces that the mesh reads. */
export function modelInputs(engine: Engine, tables: Tables): Inputs {
  const namespaces = new DiscoveredNamespaces();
  const slots = slotsOf(tables, (cluster, namespace) => namespaces.has(cluster, namespace));
  const review = (namespace?: string): void =>
    engine.change(() => {
      for (const slot of slots.values()) slot.review(namespace);
    });
  const relabel = (cluster: string, name: string, labels?: StringMap): void => {
    if (namespaces.setLabels(cluster, name, labels)) review(name);
  };
  return {
    put(object, cluster = "") {
      const slot = slots.get(object.kind);
      slot?.put(object, cluster);
      if (object.kind === "Namespace") relabel(cluster, object.metadata.name, object.metadata.labels ?? {});
      return slot !== undefined;
    },
    remove(kind, name, cluster = "") {
      const slot = slots.get(kind);
      slot?.remove(name, cluster);
      if (kind === "Namespace") relabel(cluster, name.name);
      return slot !== undefined;
    },
    putCluster: (name, network) => tables.clusters.set(name, { name, network }),
    setDrained(name, drained) {
      if (drained) tables.drained.set(name, true);
      else tables.drained.delete(name);
    },
    removeCluster(name) {
      engine.change(() => {
        tables.clusters.delete(name);
        tables.drained.delete(name);
        for (const slot of slots.values()) slot.forget(name);
        for (const namespace of namespaces.of(name)) relabel(name, namespace);
      });
    },
    setTime: (now) => tables.time.set("now", now),
    setAsks(workload, asks) {
      if (asks) tables.asks.set(workload, asks);
      else tables.asks.delete(workload);
    },
    setJwks(key, jwks) {
      if (jwks) tables.jwks.set(key, jwks);
      else tables.jwks.delete(key);
    },
    setSecretRefusal(account, refused) {
      if (refused) tables.secretRefusals.set(account, true);
      else tables.secretRefusals.delete(account);
    },
    setMesh(config) {
      engine.change(() => {
        tables.mesh.set("mesh", config);
        if (namespaces.setSelectors(config.discoverySelectors ?? [])) review();
      });
    },
  };
}
