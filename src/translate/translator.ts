import type { Registry } from "@bufbuild/protobuf";
import type { Finding } from "#api/finding.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { ObjectId } from "#model/findings/findings.ts";
import type { Model } from "#model/model.ts";
import { type EncodedResource, sameResource, type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { placeholderHost, placeholderName } from "#proto/placeholder-host.ts";
import { loadRegistry } from "#proto/registry.ts";
import { type ClassScopes, classScopes } from "./class-scopes.ts";
import { bootstrapName, bootstrapPart } from "./bootstrap.ts";
import { clusterQueries } from "./cluster-queries.ts";
import { connectionQueries } from "./connections/queries.ts";
import { askingWorkload, type Discovery, discoveryOf } from "./discovery.ts";
import { endpointSetQueries } from "./endpoint-queries.ts";
import { gatewayQueries } from "./gateways/queries.ts";
import { hostScope, hostScopeQueries, withHostsApart, withPlaceholders } from "./host-scopes.ts";
import { heldScopeQueries, withHeld } from "./held-scopes.ts";
import { listenerQueries } from "./listener-queries.ts";
import { nameTableName, nameTableQueries } from "./name-table.ts";
import { virtualOutbound } from "./names.ts";
import { originsOf } from "./origins.ts";
import { startConfigQuery } from "./own-config.ts";
import { profileQueries } from "./profile.ts";
import { ownCluster, ownEndpointQuery } from "./own-endpoints.ts";
import { bootstrapScope, patchedScopes } from "./patches/class-scopes.ts";
import { patchQueries } from "./patches/queries.ts";
import { classKey, type NodeInfo, parseClass, proxyView, withoutNode, secretReader } from "./proxy-class.ts";
import { destinationQueries } from "./routes/destination-queries.ts";
import { configurationOf } from "./routes/encoded.ts";
import { routeQueries } from "./routes/queries.ts";
import { secretQueries } from "./secrets/queries.ts";
import { securityQueries } from "./security-queries.ts";
import { type Holder, parsePlain, parseScope, type Scope, scopeKey, type StartSettings } from "./scopes.ts";
import { unclaimedQuery } from "./unclaimed.ts";
import { unsupported } from "./unsupported.ts";
import type { ProxyView } from "./view.ts";

/** A resource's place: a scope's key and a name in it. */
interface ScopedName {
  readonly scope: string;
  readonly name: string;
}

/** Where the xDS server gets resources from: its `ResourceSource`. */
export interface Translator {
  /**
   * The class of a proxy.
   * @param virtualHosts whether it takes virtual hosts as resources of their own, and whether it asks for them.
   * @throws WeftError `InvalidArgument` when its node lacks what is needed.
   */
  classOf(node: NodeInfo, virtualHosts?: ProxyView["virtualHosts"]): string;
  /** The workload, `namespace/name`, of a class of proxies that can ask for what they do not hold; undefined for others. */
  workload(key: string): string | undefined;
  /** Who holds only what is called, by a class; undefined for a class that holds everything. */
  holder(key: string): Holder | undefined;
  /** What a proxy holds. */
  discovery(node: NodeInfo, virtualHosts: ProxyView["virtualHosts"]): Discovery;
  /** Whether what a proxy gets depends on whether its account may read Secrets. */
  readsSecrets(node: NodeInfo): boolean;
  /** Hosts that connected proxies of a workload asked for by name. */
  asked(by: Holder): readonly string[];
  /** The scope of the virtual hosts of a route configuration, by a class's scope of virtual hosts. */
  hostScope(scope: string, configuration: string): string | undefined;
  /** A class's scopes, by type. */
  readonly scopes: Query<string, ClassScopes>;
  /** Names of a scope of clusters, of listeners, of secrets or of a name table, sorted. */
  readonly names: Query<string, readonly string[]>;
  /** A resource, or undefined where the scope has none of that name. */
  readonly resource: Query<ScopedName, EncodedResource | undefined>;
  /** The objects that made what a proxy gets under a name: those to blame when it refuses it. */
  origins(node: NodeInfo, type: TypeUrl, name: string): readonly ObjectRef[];
  /** What is wrong with an object, or not carried out yet. */
  findings(id: ObjectId): readonly Finding[];
}

/** How translation is done. */
interface TranslatorOptions {
  /** Whether resources say in their metadata which field of which object made them (`trace.ts`). Not for proxies. */
  readonly traced?: boolean;
  /** Envoy's messages, by which EnvoyFilters are read; loaded for the first of these unless given. */
  readonly registry?: Registry;
}

/** The registry that was given, or one that is loaded once when it is asked for. */
function registryOf(given: Registry | undefined): () => Registry {
  let known = given;
  return () => (known ??= loadRegistry());
}

/** Declares translation on a model's engine. */
export function createTranslator(
  engine: Engine,
  model: Model,
  { traced = false, registry }: TranslatorOptions = {},
): Translator {
  const unclaimed = unclaimedQuery(engine, model);
  const destinations = destinationQueries(engine, model);
  const connections = connectionQueries(engine, model);
  const clusters = clusterQueries(engine, model);
  const endpointSets = endpointSetQueries(engine, model);
  const security = securityQueries(engine, model);
  const listeners = listenerQueries({ engine, model, unclaimed, destinations, connections, security });
  const gateways = gatewayQueries({ engine, model, clusters, destinations, connections, security });
  const routes = routeQueries(engine, model, unclaimed, destinations, gateways, traced);
  const nameTables = nameTableQueries(engine, model);
  const secrets = secretQueries(engine, model);
  const ownEndpoints = ownEndpointQuery(engine, model);
  const discovery = discoveryOf(engine, model);
  const startOf = startConfigQuery(engine, model);

  const profile = profileQueries(model, startOf);

  const { scopesFor, holderOf } = classScopes({
    engine,
    model,
    clusters,
    endpointSets,
    connections,
    secrets,
    discovery,
    unused: profile.unused,
  });

  const patches = patchQueries(engine, model, registryOf(registry));

  const started = (view: ProxyView): StartSettings => ({
    ...startOf(view),
    ...(profile.isPerformance(view) && { flushesWhenAsked: true }),
  });

  const scopesOf = engine.stringQuery("scopes-of-view", (key) => {
    const view = parseClass(key);
    const chosen = patches.chosen(view);
    const plain = { ...scopesFor(view), [typeUrls.bootstrap]: [bootstrapScope(started(view), chosen)] };
    const whole = patchedScopes(chosen, view, plain, (scope) => names.get(scope));
    if (view.virtualHosts === "inside") return whole;
    const apart = withHostsApart(whole);
    const by = holderOf(view);
    const own = by ? withHeld(apart, by) : apart;
    return askingWorkload(view) === undefined ? own : withPlaceholders(own);
  });

  const scopes = engine.stringQuery("scopes", (key) =>
    scopesOf.get(endpointSets.nodesMatter() ? key : withoutNode(key)),
  );

  const hosts = hostScopeQueries(engine, routes, (scope, name) => resource.get({ scope, name }));

  const held = heldScopeQueries(engine, model, routes, {
    names: (scope) => names.get(scope),
    resource: (scope, name) => resource.get({ scope, name }),
  });

  const namesIn = (scope: Scope): readonly string[] => {
    switch (scope.kind) {
      case "outbound-clusters":
        return clusters.outboundNames(scope.bucket, scope);
      case "fixed-clusters":
        return clusters.fixedNames(scope.proxy);
      case "inbound-clusters":
        return clusters.inboundNames(scope.inbound);
      case "outbound-listeners":
        return listeners.outboundNames(scope);
      case "virtual-outbound":
        return [virtualOutbound];
      case "virtual-inbound":
        return listeners.inboundNames(scope.inbound);
      case "gateway-listeners":
        return gateways.names(scope.view);
      case "name-table":
        return [nameTableName];
      case "bootstrap":
        return [bootstrapName];
      case "secrets":
        // Proxies ask for these by name; whoever asks what a proxy may get is told of all.
        return secrets.names(scope.readers);
      case "endpoints":
      case "own-endpoints":
      case "routes":
      case "hostless-routes":
        // Proxies ask for these by the names that their clusters and listeners have.
        return [];
      case "patched": {
        const before = names.get(scope.of);
        if (!patches.mayRemove(scope)) return before;
        return before.filter((name) => resource.get({ scope: scopeKey(scope), name }) !== undefined);
      }
      case "added":
        return [...patches.added(scope).keys()];
      case "extensions":
        return [...patches.extensions(scope).keys()];
      case "virtual-hosts":
        return hosts.names(scope);
      case "held":
        return held.names(scope);
      case "placeholder":
        return [placeholderName(scope.configuration)];
      case "placeholders":
        return [];
    }
  };

  const resourceIn = (scope: Scope, name: string): EncodedResource | undefined => {
    switch (scope.kind) {
      case "outbound-clusters":
        return clusters.outbound(scope.bucket, scope, name);
      case "fixed-clusters":
        return clusters.fixed(name, scope.ipv6);
      case "inbound-clusters":
        return clusters.inbound(scope.inbound, scope.client, name);
      case "endpoints":
        return endpointSets.endpoints(scope, name);
      case "own-endpoints":
        return name === ownCluster ? ownEndpoints(scope.own) : undefined;
      case "outbound-listeners":
        return listeners.outbound(scope, name);
      case "virtual-outbound":
        return name === virtualOutbound ? listeners.virtualOutbound(scope) : undefined;
      case "virtual-inbound":
        return listeners.inbound(scope, name);
      case "gateway-listeners":
        return gateways.listener(scope, name);
      case "routes":
        return routes.configuration(scope.view, name);
      case "secrets":
        return secrets.secret(scope.readers, name);
      case "name-table":
        return name === nameTableName ? nameTables.table(scope) : undefined;
      case "bootstrap":
        return name === bootstrapName ? bootstrapPart(scope, patches.bootstrap(scope.patches)) : undefined;
      case "patched": {
        const before = resource.get({ scope: scope.of, name });
        return before && patches.patched(scope, parsePlain(scope.of), before);
      }
      case "added":
        return patches.added(scope).get(name);
      case "extensions":
        return patches.extensions(scope).get(name);
      case "hostless-routes":
        return hosts.hostless(scope, name);
      case "virtual-hosts":
        return hosts.host(scope, name);
      case "held":
        return held.resource(scope, name);
      case "placeholder":
        return name === placeholderName(scope.configuration) ? placeholderHost(scope.configuration) : undefined;
      case "placeholders":
        return undefined;
    }
  };

  // Resources of one scope are mostly asked for one after the other.
  let last: { readonly key: string; readonly scope: Scope } | undefined;
  const parsed = (key: string): Scope => {
    if (last?.key !== key) last = { key, scope: parseScope(key) };
    return last.scope;
  };

  const resource: Translator["resource"] = engine.query<ScopedName, EncodedResource | undefined>({
    name: "resource",
    key: ({ scope, name }) => `${name}\n${scope}`,
    equal: sameResource,
    compute: ({ scope, name }) => resourceIn(parsed(scope), name),
  });

  const names: Translator["names"] = engine.stringQuery("names", (key): readonly string[] =>
    namesIn(parseScope(key)).toSorted(),
  );

  const origins = originsOf({ model, listeners, gateways, routes, patches, secrets, resource });

  return {
    classOf: (node, virtualHosts = "inside") => classKey(proxyView(node, virtualHosts)),
    workload: (key) => askingWorkload(parseClass(key)),
    holder: (key) => holderOf(parseClass(key)),
    discovery: (node, virtualHosts) => discovery(proxyView(node, virtualHosts)),
    readsSecrets: (node) => secrets.readsSecrets(secretReader(node)),
    asked: held.asked,
    hostScope,
    scopes,
    names,
    resource,
    origins: (node, type, name) => {
      const apart = type === typeUrls.virtualHost;
      const known = scopes.get(classKey(proxyView(node, apart ? "apart" : "inside")))[type];
      const all = apart ? known.flatMap((of) => hostScope(of, configurationOf(name)) ?? []) : known;
      const holding = all.find((scope) => resource.get({ scope, name }) !== undefined);
      return holding === undefined ? [] : origins(parseScope(holding), name);
    },
    findings: (id) => [
      ...model.findings.get(id),
      ...unsupported(model.tables, id),
      ...patches.findings(id),
      ...security.findings(id),
      ...(id.kind === "VirtualService" ? routes.findings(`${id.namespace}/${id.name}`) : []),
    ],
  };
}
