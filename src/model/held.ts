import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import type { DiscoveryMode } from "#api/weft/discovery-mode.ts";
import { discoveryKey, discoveryMode } from "#api/weft/discovery-mode.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Client, clientKey } from "./client.ts";
import type { ClientQueries } from "./clients.ts";
import { delegatesOf, destinationsOf } from "./destinations.ts";
import { resolveHost } from "./hosts.ts";
import { only, type ServiceQueries } from "./services.ts";
import { parseServiceKey, type Tables } from "./tables.ts";
import type { VirtualServiceQueries } from "./virtualservices.ts";

/** A workload, as far as it decides what its proxies hold. */
export interface CallingWorkload {
  readonly namespace: string;
  readonly name: string;
  /** What its own annotation says; empty where there is none. */
  readonly annotation: string;
}

/** Questions about what proxies hold that hold only what their workloads call. */
export interface HeldQueries {
  /** What holds for a workload: what its EgressScope says, else its annotation, its namespace's label, the mesh. */
  readonly mode: (workload: CallingWorkload) => DiscoveryMode;
  /** Hosts of a workload's EgressScope (`namespace/name`), declared and learned, which may be wildcards. */
  readonly known: (workload: string) => readonly string[];
  /** Those of them of which nothing in the mesh is. */
  readonly unknown: Query<string, readonly string[]>;
  /** All hosts that some lead to, in no order: what `with` is of them alone. */
  readonly reached: (client: Client, hosts: readonly string[]) => ReadonlySet<string>;
  /**
   * All hosts that come with some, sorted: those that their routes lead to, those that a wildcard among them stands for,
   * and those that every proxy of the client holds.
   * @param declaring the client whose Sidecar declares hosts.
   */
  readonly with: (client: Client, declaring: Client, hosts: readonly string[]) => readonly string[];
}

/** Hosts with rules, those that are wildcards apart. */
interface RulesByHost {
  readonly exact: Readonly<Record<string, readonly string[]>>;
  readonly wildcards: readonly { readonly host: string; readonly rules: readonly string[] }[];
}

/** Declares the queries about what proxies hold. */
export function heldQueries(
  engine: Engine,
  tables: Tables,
  services: ServiceQueries,
  clients: ClientQueries,
  virtualServices: VirtualServiceQueries,
): HeldQueries {
  const mode: HeldQueries["mode"] = ({ namespace, name, annotation }) =>
    tables.egressScopes.rows.get(`${namespace}/${name}`)?.spec.discovery ??
    discoveryMode(annotation) ??
    discoveryMode(services.namespaceLabels(namespace)[discoveryKey]) ??
    services.mesh.get(only).discovery;

  const destinations = engine.stringQuery("destinations-of-rule", (key): readonly string[] => {
    const row = tables.virtualServices.rows.get(key);
    if (!row) return [];
    const all = [row, ...delegatesOf(tables.virtualServices.rows, row)].flatMap(destinationsOf);
    return [...new Set(all)].toSorted();
  });

  const rulesByHost = engine.query<Client, RulesByHost>({
    name: "rules-by-host",
    key: clientKey,
    compute: (client) => {
      const all = virtualServices.meshHosts
        .get(client)
        .map((each) => ({ host: each.host, rules: each.virtualServices }));
      return {
        exact: Object.fromEntries(all.filter(({ host }) => !isWildcard(host)).map(({ host, rules }) => [host, rules])),
        wildcards: all.filter(({ host }) => isWildcard(host)),
      };
    },
  });

  /** Every host that a client sees, services' and rules'. */
  const seen = engine.query<Client, readonly string[]>({
    name: "hosts-seen",
    key: clientKey,
    compute: (client) => [
      ...new Set([
        ...clients.services.get(client).map((key) => parseServiceKey(key).host),
        ...virtualServices.meshHosts.get(client).map(({ host }) => host),
      ]),
    ],
  });

  /** Hosts that a host's routes lead to, and the service that it is another name of. */
  const leadsTo = engine.query<{ readonly client: Client; readonly host: string }, readonly string[]>({
    name: "host-leads-to",
    key: ({ client, host }) => `${host}|${clientKey(client)}`,
    compute: ({ client, host }) => {
      const { exact, wildcards } = rulesByHost.get(client);
      const matching = wildcards.filter((each) => hostMatches(each.host, host)).flatMap(({ rules }) => rules);
      const rules = [...((Object.hasOwn(exact, host) && exact[host]) || []), ...matching];
      const target = services.aliasOf.get(host);
      return [
        ...new Set([...rules.flatMap((rule) => destinations.get(rule)), ...(target === undefined ? [] : [target])]),
      ];
    },
  });

  /** Whether a service is called by a filter that cannot wait for a cluster. */
  const speaksRedis = engine.stringQuery("speaks-redis", (key): boolean =>
    (services.service.get(key)?.ports ?? []).some(({ protocol }) => protocol === "Redis"),
  );

  /** Services that nobody can ask for: those of such filters, and those to which rules lead connections, perhaps to several. */
  const unaskable = (client: Client, key: string): boolean => {
    const { host } = parseServiceKey(key);
    const ruled = virtualServices.meshConnections.get(client).flatMap(({ hosts }) => hosts);
    if (ruled.some((each) => hostMatches(each, host))) return true;
    return services.mesh.get(only).protocols.redis && speaksRedis.get(key);
  };

  /** What is held in any case: hosts that are declared, and those that nobody can ask for. */
  const always = engine.query<{ readonly client: Client; readonly declaring: Client }, readonly string[]>({
    name: "hosts-always-held",
    key: ({ client, declaring }) => `${clientKey(client)}|${clientKey(declaring)}`,
    compute: ({ client, declaring }) => {
      const sidecar = clients.sidecar(client);
      const proxy = sidecar?.spec.outboundTrafficPolicy?.egressProxy;
      const own = clients.services.get(client).filter((key) => {
        const { namespace, host } = parseServiceKey(key);
        return clients.declares(declaring, namespace, host) || unaskable(client, key);
      });
      const ruled = virtualServices.meshHosts
        .get(client)
        .filter(({ virtualServices: rules }) =>
          rules
            .flatMap((key) => virtualServices.exposure.get(key) ?? [])
            .some(({ namespace, hosts }) => hosts.some((host) => clients.declares(declaring, namespace, host))),
        )
        .map(({ host }) => host);
      const through = proxy && sidecar ? [resolveHost(proxy.host, sidecar.namespace)] : [];
      return [...new Set([...own.map((key) => parseServiceKey(key).host), ...ruled, ...through])];
    },
  });

  /** What a name stands for beside itself: a wildcard for all that it matches, a headless service for its Pods. */
  const below = (client: Client, host: string): readonly string[] => {
    const pattern = isWildcard(host) ? host : `*.${host}`;
    if (!isWildcard(host) && !isHeadless(host)) return [];
    return seen.get(client).filter((each) => hostMatches(pattern, each));
  };

  const isHeadless = (host: string): boolean =>
    services.keysOfHost.get(host).some((key) => services.service.get(key)?.resolution === "NONE");

  const reached: HeldQueries["reached"] = (client, hosts) => {
    const all = new Set(hosts);
    // A set goes on to what is added to it on the way.
    for (const host of all) {
      for (const next of [...leadsTo.get({ client, host }), ...below(client, host)]) all.add(next);
    }
    return all;
  };

  const known: HeldQueries["known"] = (workload) => tables.egressScopes.rows.get(workload)?.spec.hosts ?? [];

  const hasHost = (host: string): boolean =>
    services.keysOfHost.get(host).length > 0 || tables.virtualServicesByHost.keys(host).length > 0;

  /** Whether something in the mesh is a host, stands for it, or is matched by it. */
  const exists = (host: string): boolean => {
    if (hasHost(host)) return true;
    if (isWildcard(host)) {
      const keys = services.namespaces.get(only).flatMap((namespace) => services.keysIn.get(namespace));
      return [...keys.map((key) => parseServiceKey(key).host), ...tables.virtualServicesByHost.names()].some((each) =>
        hostMatches(host, each),
      );
    }
    const parts = host.split(".");
    const parents = parts.slice(1).map((_, at) => parts.slice(at + 1).join("."));
    return parents.some((parent) => hasHost(`*.${parent}`) || isHeadless(parent)) || hasHost("*");
  };

  return {
    mode,
    known,
    unknown: engine.stringQuery("unknown-hosts", (workload): readonly string[] =>
      known(workload).filter((host) => !exists(host)),
    ),
    reached,
    with: (client, declaring, hosts) =>
      [...reached(client, [...hosts, ...always.get({ client, declaring })])].toSorted(),
  };
}
