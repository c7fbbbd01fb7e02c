import type { IstioIngressListener, SidecarSpec } from "#api/istio/sidecar.ts";
import { ownValue } from "#api/record.ts";
import type { StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { EndpointQueries } from "./endpoints.ts";
import { ingressPorts } from "./ingress.ts";
import { labelsMatch } from "./labels.ts";
import type { Protocol } from "./protocol.ts";
import type { Config } from "./rows.ts";
import type { Service, ServicePort } from "./service.ts";
import type { ServiceQueries } from "./services.ts";
import type { Tables } from "./tables.ts";

/** A workload, as far as it decides which services it serves. */
interface ServingWorkload {
  readonly namespace: string;
  readonly cluster: string;
  readonly labels: StringMap;
}

/** A service that a workload serves, and how. */
interface InboundTarget {
  /** The service's key; empty where none is known. */
  readonly service: string;
  readonly host: string;
  /** Short name of the service. */
  readonly name: string;
  readonly namespace: string;
  /** The service's port. */
  readonly port: number;
  readonly portName: string;
}

/** A port that a workload listens on, by its services or by its Sidecar. */
export interface InboundPort {
  readonly port: number;
  readonly protocol: Protocol;
  /** The services, the oldest first: it decides the protocol. Of a Sidecar's port without any, the Sidecar itself. */
  readonly targets: readonly [InboundTarget, ...InboundTarget[]];
  /** What the Sidecar says of the port; absent where services name it. */
  readonly ingress?: IstioIngressListener;
}

/** A workload's services, and the ports by which it names them. */
export interface InboundKey {
  /** Keys of the services, sorted. */
  readonly services: readonly string[];
  /** Names of ports of the Pod, where services refer to ports by name. */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** The Sidecar with ingress listeners, `namespace/name`: these are the ports then. Absent where there is none. */
  readonly sidecar?: string;
  /** Whether nothing is redirected to the proxy: it listens on the Sidecar's ports, and on none without such. */
  readonly unredirected?: true;
  /** Whether connections of IPv6 are redirected to the proxy, too. */
  readonly ipv6?: true;
}

/** Questions about workloads. */
export interface WorkloadQueries {
  /** Keys of the services that a workload serves, sorted. */
  readonly servicesOf: Query<ServingWorkload, readonly string[]>;
  /** Names of target ports that services use in place of numbers, sorted. */
  readonly portNames: (services: readonly string[]) => readonly string[];
  /** The number of such a port, as the endpoints of the services have it; undefined while there are none. */
  readonly portByName: (services: readonly string[], name: string) => number | undefined;
  /** The ports of a workload that serves these services, by number. */
  readonly inboundPorts: Query<InboundKey, readonly InboundPort[]>;
}

interface Selector {
  readonly service: string;
  /** Empty for every cluster. */
  readonly cluster: string;
  readonly labels: StringMap;
}

/** The same, listened on by itself. */
function boundPort(port: InboundPort): InboundPort {
  return port.ingress ? { ...port, ingress: { ...port.ingress, captureMode: "NONE" } } : port;
}

function resolvePort(port: ServicePort, named: Readonly<Record<string, number>>): number | undefined {
  return typeof port.targetPort === "number" ? port.targetPort : ownValue(named, port.targetPort);
}

function older(a: Service, b: Service): number {
  const [first, second] = [`${a.created} ${a.key}`, `${b.created} ${b.key}`];
  return first < second ? -1 : Number(first > second);
}

/** Declares the queries about workloads. */
export function workloadQueries(
  engine: Engine,
  tables: Tables,
  services: ServiceQueries,
  endpoints: EndpointQueries,
): WorkloadQueries {
  const selectorsIn = engine.stringQuery("selectors-in", (namespace): readonly Selector[] => {
    const kubernetes = services.keysIn.get(namespace).flatMap((key) => {
      const selectors = services.service.get(key)?.selectors ?? {};
      return Object.entries(selectors).map(([cluster, labels]) => ({ service: key, cluster, labels }));
    });
    const external = tables.serviceEntries.byNamespace.rows(namespace).flatMap((row) => {
      const labels = row.spec.workloadSelector?.labels ?? {};
      if (Object.keys(labels).length === 0) return [];
      return row.spec.hosts.map((host) => ({ service: `${namespace}/${host}`, cluster: "", labels }));
    });
    return [...kubernetes, ...external];
  });

  const servicesOf = engine.query<ServingWorkload, readonly string[]>({
    name: "services-of-workload",
    key: canonical,
    compute: ({ namespace, cluster, labels }) => {
      const serving = selectorsIn
        .get(namespace)
        .filter((each) => (each.cluster === "" || each.cluster === cluster) && labelsMatch(each.labels, labels))
        .map((each) => each.service);
      return [...new Set(serving)].toSorted();
    },
  });

  const found = (keys: readonly string[]): readonly Service[] =>
    keys.flatMap((key) => services.service.get(key) ?? []).toSorted(older);

  const servicePorts = ({ services: keys, namedPorts }: InboundKey): readonly InboundPort[] => {
    const targets = found(keys).flatMap((service) =>
      service.ports.flatMap((port) => {
        const number = resolvePort(port, namedPorts);
        if (number === undefined || port.protocol === "UDP") return [];
        const target: InboundTarget = {
          service: service.key,
          host: service.host,
          name: service.name,
          namespace: service.namespace,
          port: port.number,
          portName: port.name,
        };
        return [{ number, protocol: port.protocol, target }];
      }),
    );
    const byPort = [...Map.groupBy(targets, (each) => each.number)].toSorted(([a], [b]) => a - b);
    return byPort.flatMap(([port, [first, ...rest]]) =>
      first ? [{ port, protocol: first.protocol, targets: [first.target, ...rest.map((each) => each.target)] }] : [],
    );
  };

  /** The ports of a Sidecar, each for the service that has it too. */
  const sidecarPorts = (row: Config<SidecarSpec>, ofServices: readonly InboundPort[]): readonly InboundPort[] =>
    ingressPorts(row.spec).map(({ port, protocol, ingress }) => {
      const [service] = ofServices.find((each) => each.port === port)?.targets ?? [];
      const { name, namespace } = row;
      const own = { service: "", host: `${name}.${namespace}`, name, namespace };
      const target = { ...(service ?? own), port: service?.port ?? port, portName: ingress.port.name ?? "" };
      return { port, protocol, targets: [target], ingress };
    });

  const inboundPorts = engine.query<InboundKey, readonly InboundPort[]>({
    name: "inbound-ports",
    key: canonical,
    compute: (workload) => {
      const ofServices = servicePorts(workload);
      const row = workload.sidecar === undefined ? undefined : tables.sidecars.rows.get(workload.sidecar);
      if (!row) return workload.unredirected ? [] : ofServices;
      const named = sidecarPorts(row, ofServices);
      return workload.unredirected ? named.map(boundPort) : named;
    },
  });

  const portNames = (keys: readonly string[]): readonly string[] => {
    const names = found(keys).flatMap((service) =>
      service.ports.flatMap((port) => (typeof port.targetPort === "string" ? [port.targetPort] : [])),
    );
    return [...new Set(names)].toSorted();
  };

  const portByName = (keys: readonly string[], name: string): number | undefined => {
    for (const service of found(keys)) {
      const named = service.ports.filter((port) => port.targetPort === name);
      const numbers = named.map(
        (port) => endpoints.endpoints.get({ service: service.key, port: port.number })[0]?.port,
      );
      const number = numbers.find((each) => each !== undefined);
      if (number !== undefined) return number;
    }
    return undefined;
  };

  return { servicesOf, portNames, portByName, inboundPorts };
}
