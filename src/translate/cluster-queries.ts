import { canonical } from "#base/canonical.ts";
import { isWildcard } from "#api/istio/hosts.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Bucket, bucketViewer } from "#model/clients.ts";
import { type Client, clientKey } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import { inTrustDomains, spiffeId } from "#identity/spiffe.ts";
import { connectionPort, type Service } from "#model/service.ts";
import { only } from "#model/services.ts";
import { serviceKey } from "#model/tables.ts";
import type { InboundKey } from "#model/workloads.ts";
import { type Cluster, ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { Cluster_DiscoveryType as DiscoveryType } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { blackHole, inboundPassthrough, lookedUp, passthrough } from "./clusters/fixed.ts";
import { inboundCluster } from "./clusters/inbound.ts";
import type { Peers } from "./clusters/mutual-tls.ts";
import { outboundCluster } from "./clusters/outbound.ts";
import { isDynamic } from "./dynamic-dns.ts";
import { settledPolicy } from "./clusters/policy.ts";
import { loadAssignment } from "./endpoints/assignment.ts";
import { dependsOnPlace, groupByLocality, type Place, placed } from "./endpoints/locality.ts";
import { mutualTlsSpeakers } from "./endpoints/mutual-tls.ts";
import { localityPolicy } from "./endpoints/preference.ts";
import {
  blackHoleCluster,
  type ClusterName,
  clusterName,
  inboundPassthroughCluster,
  parseClusterName,
  lookedUpCluster,
  meshServerName,
  passthroughCluster,
} from "./names.ts";

/** Clusters as queries, each computed once for all proxies for which it comes out the same. */
export interface ClusterQueries {
  /** Names of a bucket's clusters; of those to which gateways pass on TLS of the mesh, by services of the mesh only. */
  readonly outboundNames: (bucket: Bucket, user?: Pick<ClusterUser, "passed">) => readonly string[];
  /** Whether it matters to some cluster of a bucket where the proxy is: one that holds endpoints itself, for DNS. */
  readonly byPlace: Query<Bucket, boolean>;
  /** A cluster of a bucket, as a proxy has it; its place only where `byPlace` says so. */
  readonly outbound: (bucket: Bucket, from: ClusterUser, name: string) => EncodedResource | undefined;
  readonly fixedNames: (proxy: "sidecar" | "router") => readonly string[];
  /** @param ipv6 whether connections of IPv6 are passed on, too. */
  readonly fixed: (name: string, ipv6?: true) => EncodedResource | undefined;
  readonly inboundNames: (inbound: InboundKey) => readonly string[];
  readonly inbound: (inbound: InboundKey, client: Client, name: string) => EncodedResource | undefined;
}

/** Stands for the cluster of that name of proxies that take connections of IPv6. */
const inboundPassthrough6 = `${inboundPassthroughCluster}|6`;

/** A proxy as far as outbound clusters differ by it. */
export interface ClusterUser {
  readonly proxy: "sidecar" | "router";
  /** Present where it has a certificate of the mesh. */
  readonly identified?: true;
  /** Present for the clusters to which a gateway passes on TLS of the mesh by its server name. */
  readonly passed?: true;
  readonly place?: Place;
}

/** A proxy as a key, less its place. */
export function userKey({ proxy, identified, passed }: Omit<ClusterUser, "place">): string {
  return `${proxy}${identified ? "|identified" : ""}${passed ? "|passed" : ""}`;
}

interface Leaf extends ClusterUser {
  readonly service: string;
  readonly port: number;
  readonly subset: string;
  /** Keys of the DestinationRules, joined with commas. */
  readonly rules: string;
}

/** Envoy asks for one endpoint, by name, where it takes the answers of DNS one at a time. */
function fitsDns(cluster: Cluster): Cluster {
  const { clusterDiscoveryType, loadAssignment: assignment } = cluster;
  if (clusterDiscoveryType.case !== "type" || clusterDiscoveryType.value !== DiscoveryType.LOGICAL_DNS) return cluster;
  const [locality] = assignment?.endpoints ?? [];
  const [endpoint] = locality?.lbEndpoints ?? [];
  if (!assignment || !locality || !endpoint) {
    clusterDiscoveryType.value = DiscoveryType.STRICT_DNS;
    return cluster;
  }
  locality.lbEndpoints = [endpoint];
  assignment.endpoints = [locality];
  return cluster;
}

function encodeCluster(cluster: Cluster): EncodedResource {
  const { clusterDiscoveryType: type, name } = cluster;
  const warmsByEds = type.case === "type" && type.value === DiscoveryType.EDS;
  return encodeResource(ClusterSchema, cluster, name, warmsByEds ? [name] : []);
}

function outboundName(port: number, subset: string, host: string): string {
  return clusterName("outbound", port, subset, host);
}

/** Whether gateways pass on TLS of the mesh to a service: to those of the mesh. Envoy takes no server name with a wildcard inside. */
function isPassedTo(service: Service): boolean {
  return !service.external && !isDynamic(service) && !isWildcard(service.host);
}

/** The service that a cluster's name means in a namespace; hosts of ServiceEntries are in that of the bucket. */
function keyIn(bucket: Bucket, { host }: ClusterName): string {
  return serviceKey(bucket.namespace, host);
}

/** Declares the queries about clusters. */
export function clusterQueries(engine: Engine, model: Model): ClusterQueries {
  const mesh = () => model.services.mesh.get(only);

  const rulesFor = (bucket: Bucket, service: string): string =>
    model.rules.ruleKeys({ viewer: bucketViewer(bucket), service }).join(",");

  /** SPIFFE ids of a service's workloads, and what its ServiceEntry expects; each in every trust domain of the mesh. */
  const accounts = engine.stringQuery("service-accounts", (key): readonly string[] => {
    const service = model.services.service.get(key);
    const { trustDomain, trustDomainAliases } = mesh();
    const domains = [trustDomain, ...trustDomainAliases];
    const ports = service?.ports.filter((port) => port.protocol !== "UDP") ?? [];
    const endpoints = ports.flatMap(({ number }) => model.endpoints.endpoints.get({ service: key, port: number }));
    const own = new Set(
      endpoints.flatMap(({ namespace, serviceAccount }) =>
        serviceAccount === "" ? [] : [spiffeId({ trustDomain, namespace, serviceAccount })],
      ),
    );
    const all = [...own, ...(service?.subjectAltNames ?? [])].flatMap((name) => inTrustDomains(name, domains));
    return [...new Set(all)].toSorted();
  });

  const allSpeak = engine.query<{ readonly service: string; readonly port: number }, boolean>({
    name: "all-speak-mutual-tls",
    key: ({ service, port }) => `${service}|${port}`,
    compute: (at) => {
      const endpoints = model.endpoints.endpoints.get(at);
      return endpoints.length > 0 && endpoints.every(({ mutualTls }) => mutualTls);
    },
  });

  const peersOf = ({ key, namespace }: Service, port: number): Peers => ({
    subjectAltNames: accounts.get(key),
    off: model.peers.isOffIn.get(namespace),
    allSpeak: () => allSpeak.get({ service: key, port }),
  });

  const leaf = engine.query<Leaf, EncodedResource | undefined>({
    name: "cluster",
    key: ({ service, port, subset, rules, place, ...user }) =>
      `${service}|${port}|${subset}|${rules}|${userKey(user)}${place ? `|${canonical(place)}` : ""}`,
    equal: sameResource,
    compute: ({ service: key, port: number, subset, rules, proxy, identified, passed, place }) => {
      const service = model.services.service.get(key);
      const port = service && connectionPort(service, number);
      const rule = model.rules.merged.get(rules);
      if (!service || service.resolution === "ALIAS" || !port) return undefined;
      if (passed ? !isPassedTo(service) : subset !== "" && isDynamic(service)) return undefined;
      const labels = rule?.spec.subsets?.find((each) => each.name === subset);
      if (subset !== "" && !labels) return undefined;
      const byDns = service.resolution === "DNS" || service.resolution === "DNS_ROUND_ROBIN";
      const named = passed ? meshServerName : outboundName;
      const name = named(number, subset, service.host);
      const endpoints = byDns ? model.endpoints.endpoints.get({ service: key, port: number }) : [];
      const wanted = labels?.labels ?? {};
      const speaks = mutualTlsSpeakers(model.peers, { rule: rule?.spec, subset, port: number });
      const members = endpoints.filter((each) => labelsMatch(wanted, each.labels) && (!passed || speaks(each)));
      const locality = localityPolicy(settledPolicy(mesh(), rule?.spec, subset, number), service, mesh());
      const groups = groupByLocality(members);
      const ordered = place && locality ? placed(groups, place, locality) : groups;
      const assignment = byDns ? loadAssignment(name, ordered, speaks) : undefined;
      const peers = identified && peersOf(service, number);
      return encodeCluster(
        fitsDns(outboundCluster({ name, service, port, subset, rule, mesh: mesh(), proxy, peers, passed }, assignment)),
      );
    },
  });

  /** Services of a namespace whose endpoints their clusters hold, in an order. */
  const resolved = engine.stringQuery("services-by-dns", (namespace): readonly string[] =>
    model.services.keysIn.get(namespace).filter((key) => model.services.service.get(key)?.resolution === "DNS"),
  );

  const placedByRule = (key: string, rules: string): boolean => {
    const service = model.services.service.get(key);
    const rule = model.rules.merged.get(rules)?.spec;
    const subsets = ["", ...(rule?.subsets ?? []).map((subset) => subset.name)];
    const policies = (service?.ports ?? []).flatMap(({ number }) =>
      subsets.map((subset) => service && localityPolicy(settledPolicy(mesh(), rule, subset, number), service, mesh())),
    );
    return policies.some((policy) => policy && dependsOnPlace(policy));
  };

  const byPlace = engine.query<Bucket, boolean>({
    name: "clusters-by-place",
    key: (bucket) => canonical(bucket),
    compute: (bucket) => {
      const here = resolved.get(bucket.namespace);
      if (here.length === 0) return false;
      const seen = new Set(model.clients.servicesIn.get(bucket));
      return here.some((key) => seen.has(key) && placedByRule(key, rulesFor(bucket, key)));
    },
  });

  const namesOf = engine.query<
    { readonly service: string; readonly rules: string } & Pick<ClusterUser, "passed">,
    readonly string[]
  >({
    name: "cluster-names",
    key: ({ service, rules, passed }) => `${service}|${rules}${passed ? "|passed" : ""}`,
    compute: ({ service: key, rules, passed }) => {
      const service = model.services.service.get(key);
      // What is another name of a service has the clusters of that one.
      if (!service || service.resolution === "ALIAS" || (passed && !isPassedTo(service))) return [];
      // Labels cannot tell apart what is looked up.
      const labelled = isDynamic(service) ? [] : (model.rules.merged.get(rules)?.spec.subsets ?? []);
      const subsets = ["", ...labelled.map((subset) => subset.name)];
      const ports = service.ports.filter((port) => port.protocol !== "UDP");
      const named = passed ? meshServerName : outboundName;
      return ports.flatMap((port) => subsets.map((subset) => named(port.number, subset, service.host)));
    },
  });

  const fixed = engine.stringQuery(
    "fixed-cluster",
    (name): EncodedResource | undefined => {
      if (name === blackHoleCluster) return encodeCluster(blackHole(mesh()));
      if (name === lookedUpCluster) return encodeCluster(lookedUp(mesh()));
      if (name === passthroughCluster) return encodeCluster(passthrough(mesh()));
      if (name === inboundPassthroughCluster) return encodeCluster(inboundPassthrough(mesh(), false));
      return name === inboundPassthrough6 ? encodeCluster(inboundPassthrough(mesh(), true)) : undefined;
    },
    sameResource,
  );

  const inbound = engine.query<
    { readonly inbound: InboundKey; readonly client: Client; readonly port: number },
    EncodedResource | undefined
  >({
    name: "inbound-cluster",
    key: ({ inbound: { services, namedPorts, sidecar = "", unredirected = false, ipv6 }, client, port }) =>
      `${port}|${services.join(",")}|${JSON.stringify(namedPorts)}|${clientKey(client)}|${sidecar}|${unredirected}${ipv6 ? "|6" : ""}`,
    equal: sameResource,
    compute: ({ inbound: workload, client, port: number }) => {
      const port = model.workloads.inboundPorts.get(workload).find((each) => each.port === number);
      if (!port) return undefined;
      // Rules for chosen workloads say how these call, not how they are called.
      const viewer = { namespace: client.namespace };
      const rule = model.rules.rule({ viewer, service: port.targets[0].service });
      const pool = model.clients.sidecar(client)?.spec.inboundConnectionPool;
      return encodeCluster(inboundCluster({ port, rule, pool, ipv6: workload.ipv6 === true, mesh: mesh() }));
    },
  });

  return {
    outboundNames: (bucket, { passed } = {}) =>
      model.clients.servicesIn
        .get(bucket)
        .flatMap((service) => namesOf.get({ service, rules: rulesFor(bucket, service), ...(passed && { passed }) })),
    byPlace,
    outbound: (bucket, { proxy, identified, passed, place }, name) => {
      const parsed = parseClusterName(name);
      if (parsed?.direction !== "outbound" || parsed.passed !== passed) return undefined;
      const service = keyIn(bucket, parsed);
      return leaf.get({
        service,
        port: parsed.port,
        subset: parsed.subset,
        rules: rulesFor(bucket, service),
        proxy,
        ...(identified && { identified }),
        ...(passed && { passed }),
        ...(place && model.services.service.get(service)?.resolution === "DNS" && { place }),
      });
    },
    // Gateways have no redirected connections that could be passed on.
    fixedNames: (proxy) => {
      if (proxy === "router") return [blackHoleCluster];
      const looksUp = mesh().outboundTrafficPolicy.mode === "ALLOW_ANY_DYNAMIC_DNS";
      return [blackHoleCluster, inboundPassthroughCluster, passthroughCluster, ...(looksUp ? [lookedUpCluster] : [])];
    },
    fixed: (name, ipv6) => fixed.get(ipv6 && name === inboundPassthroughCluster ? inboundPassthrough6 : name),
    inboundNames: (workload) =>
      model.workloads.inboundPorts.get(workload).map((port) => clusterName("inbound", port.port)),
    inbound: (workload, client, name) => {
      const parsed = parseClusterName(name);
      return parsed?.direction === "inbound"
        ? inbound.get({ inbound: workload, client, port: parsed.port })
        : undefined;
    },
  };
}
