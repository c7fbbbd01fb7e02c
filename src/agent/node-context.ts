import type { Pod } from "#api/kubernetes/pod.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { EventText } from "#kube/events.ts";
import type { BaseIds } from "./base-ids.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { NameFiles } from "./dns/name-files.ts";
import type { EnvoyPrograms } from "./handover/programs.ts";
import type { AgentLayout } from "./layout.ts";
import type { AgentOptions, ProxyOptions } from "./options.ts";
import type { PodSite } from "./pod-site.ts";
import type { Programs } from "./programs.ts";
import type { PodRecord, PodRecords, ProxyRecord } from "./records.ts";
import type { NodeTraffic } from "./traffic/node-traffic.ts";
import type { WorkloadIdentities } from "./workload-identities.ts";

/** The node's place in the Pod network. */
export interface NodeNetwork {
  /** The node's own address, the gateway of its Pods. */
  readonly hostIp: string;
  /** Length of the prefix of the node's Pod network. */
  readonly prefix: number;
}

/** What the parts that run Pods' proxies share. */
export interface ProxyContext {
  readonly options: ProxyOptions;
  readonly layout: AgentLayout;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly records: { save(record: ProxyRecord): void };
  readonly baseIds: BaseIds;
  /** Leads connections of Pods to their proxies. */
  readonly traffic: NodeTraffic;
  /** What the node's name server is told, where it has one. */
  readonly names?: NameFiles;
  /** Where the processes of a Pod are. */
  readonly site: (pod: Pod) => PodSite;
  /** Where the control plane that serves a proxy serves xDS. */
  readonly xds: (record: ProxyRecord) => ControlPlane;
  /** Certificates of the node's workloads; absent where they have none. */
  readonly identities?: WorkloadIdentities;
  /** Path of the agent's own copy of Envoy. */
  readonly envoy: string;
  /** The builds of Envoy that proxies may change to. */
  readonly envoys: EnvoyPrograms;
  /** Asks for another turn of a Pod. */
  readonly wake: (uid: string) => void;
  readonly tell: (pod: Pod, text: EventText) => void;
}

/** What the parts that run Pods share. */
export interface NodeContext extends ProxyContext {
  readonly options: AgentOptions;
  readonly network: NodeNetwork;
  readonly programs: Programs;
  readonly records: PodRecords<PodRecord>;
  readonly names: NameFiles;
  /** Data of a ConfigMap or a Secret, decoded; undefined when there is none. */
  readonly configMap: (namespace: string, name: string) => Promise<Readonly<Record<string, string>> | undefined>;
  readonly secret: (namespace: string, name: string) => Promise<Readonly<Record<string, string>> | undefined>;
}

/** Where a Pod stands on its way out; the caller then forgets it. */
export type PodPhase = "here" | "gone";

/** Keeps a record on disk and gives its Pod another turn. */
export function keep(context: ProxyContext, record: ProxyRecord): void {
  context.records.save(record);
  context.wake(record.pod.metadata.uid);
}
