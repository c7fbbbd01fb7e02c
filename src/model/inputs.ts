import type { ResourceObject } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Table } from "#incremental/table.ts";
import { configMapRow, secretRow } from "./credentials/row.ts";
import type { MeshInput } from "./mesh.ts";
import {
  type Config,
  configRow,
  namespaceRow,
  nodeRow,
  podRow,
  rowKey,
  serviceEntryRow,
  serviceRow,
  sliceRow,
  workloadEntryRow,
} from "./rows.ts";
import type { Tables } from "./tables.ts";

/** Names an object among those of its kind. */
interface ObjectName {
  /** Empty for cluster-wide kinds. */
  readonly namespace: string;
  readonly name: string;
}

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
  /** Forgets a member cluster and everything in it. */
  removeCluster(name: string): void;
  /** Sets the time by which certificates are judged, in milliseconds since the epoch. */
  setTime(now: number): void;
  /** Sets the mesh's configuration, in Istio's form. */
  setMesh(config: MeshInput): void;
}

interface Slot {
  readonly put: (object: ResourceObject, cluster: string) => void;
  readonly remove: (name: ObjectName, cluster: string) => void;
  /** Keys of the rows of a cluster; none for the mesh's own kinds. */
  readonly forget: (cluster: string) => void;
}

function clusterSlot<V>(table: Table<V>, rowOf: (object: ResourceObject, cluster: string) => V | undefined): Slot {
  return {
    put(object, cluster) {
      const { namespace = "", name } = object.metadata;
      const row = rowOf(object, cluster);
      const key = rowKey(cluster, namespace, name);
      if (row === undefined) table.delete(key);
      else table.set(key, row);
    },
    remove: ({ namespace, name }, cluster) => table.delete(rowKey(cluster, namespace, name)),
    forget(cluster) {
      for (const key of table.keys()) if (key.startsWith(`${cluster}/`)) table.delete(key);
    },
  };
}

function meshSlot<Spec>(
  table: Table<Config<Spec>>,
  rowOf: (object: ResourceObject) => Config<Spec> = configRow<Spec>,
): Slot {
  return {
    put(object) {
      const { namespace = "", name } = object.metadata;
      table.set(`${namespace}/${name}`, rowOf(object));
    },
    remove: ({ namespace, name }) => table.delete(`${namespace}/${name}`),
    forget: () => undefined,
  };
}

/** The way of API objects into the tables. */
export function modelInputs(engine: Engine, tables: Tables): Inputs {
  const slots = new Map<string, Slot>([
    ["Service", clusterSlot(tables.services, serviceRow)],
    ["EndpointSlice", clusterSlot(tables.slices, sliceRow)],
    ["Pod", clusterSlot(tables.pods, podRow)],
    ["Node", clusterSlot(tables.nodes, nodeRow)],
    ["Secret", clusterSlot(tables.secrets, secretRow)],
    ["ConfigMap", clusterSlot(tables.configMaps, configMapRow)],
    ["Namespace", clusterSlot(tables.namespaces, namespaceRow)],
    ["VirtualService", meshSlot(tables.virtualServices.rows)],
    ["DestinationRule", meshSlot(tables.destinationRules.rows)],
    ["Gateway", meshSlot(tables.gateways.rows)],
    ["ServiceEntry", meshSlot(tables.serviceEntries.rows, serviceEntryRow)],
    ["Sidecar", meshSlot(tables.sidecars.rows)],
    ["EnvoyFilter", meshSlot(tables.envoyFilters.rows)],
    ["ProxyConfig", meshSlot(tables.proxyConfigs.rows)],
    ["WasmPlugin", meshSlot(tables.wasmPlugins.rows)],
    ["TrafficExtension", meshSlot(tables.trafficExtensions.rows)],
    ["WorkloadEntry", meshSlot(tables.workloadEntries.rows, workloadEntryRow)],
  ]);
  return {
    put(object, cluster = "") {
      const slot = slots.get(object.kind);
      slot?.put(object, cluster);
      return slot !== undefined;
    },
    remove(kind, name, cluster = "") {
      const slot = slots.get(kind);
      slot?.remove(name, cluster);
      return slot !== undefined;
    },
    putCluster: (name, network) => tables.clusters.set(name, { name, network }),
    removeCluster(name) {
      engine.change(() => {
        tables.clusters.delete(name);
        for (const slot of slots.values()) slot.forget(name);
      });
    },
    setTime: (now) => tables.time.set("now", now),
    setMesh: (config) => tables.mesh.set("mesh", config),
  };
}
