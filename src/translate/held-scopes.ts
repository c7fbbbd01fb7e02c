import { create, fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Model } from "#model/model.ts";
import { type EncodedResource, typeUrls } from "#proto/encoded.ts";
import { VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { ClassScopes } from "./class-scopes.ts";
import { claimant, type Domains, domainsOf, parseAsk, parseClusterAsk } from "./claims.ts";
import { parseClusterName } from "./names.ts";
import { encodeHost, hostResourceName } from "./routes/encoded.ts";
import type { RouteQueries } from "./routes/queries.ts";
import { beforePatches, type HeldScope, type Holder, holderKey, parseHolder, parseScope, scopeKey } from "./scopes.ts";
import { commonView, type SidecarRouteView } from "./view.ts";

/** The scopes of a class that holds only what its workload calls: clusters and virtual hosts are fewer. */
export function withHeld(whole: ClassScopes, holder: Holder): ClassScopes {
  const by = holderKey(holder);
  const held = (of: string): string => scopeKey({ kind: "held", of, by });
  return {
    ...whole,
    [typeUrls.cluster]: whole[typeUrls.cluster].map((key) =>
      beforePatches(key)?.kind === "outbound-clusters" ? held(key) : key,
    ),
    [typeUrls.virtualHost]: whole[typeUrls.virtualHost].map(held),
  };
}

/** A route configuration of a port, as a proxy sees it. */
interface SeenPort {
  readonly view: SidecarRouteView;
  readonly port: number;
}

/** What became of the names that proxies asked for. */
interface Answers {
  /** Hosts that they stand for. */
  readonly hosts: readonly string[];
  /** Names that stand for none, `80/example.com`, in no order. */
  readonly unclaimed: readonly string[];
}

/** What proxies hold that hold only what their workload calls. */
export interface HeldScopeQueries {
  /** Hosts that connected proxies of a workload asked for by name. */
  readonly asked: (by: Holder) => readonly string[];
  readonly names: (scope: HeldScope) => readonly string[];
  readonly resource: (scope: HeldScope, name: string) => EncodedResource | undefined;
}

/** Access to all other scopes. */
interface Scopes {
  readonly names: (scope: string) => readonly string[];
  readonly resource: (scope: string, name: string) => EncodedResource | undefined;
}

/** Declares the queries about what proxies hold. */
export function heldScopeQueries(engine: Engine, model: Model, routes: RouteQueries, scopes: Scopes): HeldScopeQueries {
  const domains = engine.query<SeenPort, Domains>({
    name: "domains-on-port",
    key: canonical,
    compute: (at) => domainsOf(routes.sidecars.plans.get(at).values()),
  });

  const answers = engine.stringQuery("answers", (by): Answers => {
    const { workload, view } = parseHolder(by);
    const names = model.tables.asks.get(workload)?.names ?? [];
    const asks = names.flatMap((name) => parseAsk(name) ?? []);
    const known = (host: string): boolean =>
      model.clients.serviceForHost.get({ client: view.client, host }) !== undefined;
    const hosts = new Set(names.flatMap((name) => parseClusterAsk(name) ?? []).filter(known));
    const unclaimed = new Set<string>();
    for (const [port, all] of Map.groupBy(asks, (ask) => ask.port)) {
      const claims = domains.get({ view, port });
      for (const { host: asked, valid } of all) {
        const host = claimant(claims, asked);
        if (host !== undefined) hosts.add(host);
        else if (valid) unclaimed.add(hostResourceName(String(port), asked));
      }
    }
    return { hosts: [...hosts].toSorted(), unclaimed: [...unclaimed] };
  });

  const held = engine.stringQuery(
    "held-hosts",
    (by): ReadonlySet<string> => {
      const { workload, declaring, view } = parseHolder(by);
      const known = [...model.held.known(workload), ...answers.get(by).hosts];
      return new Set(model.held.with(view.client, declaring, known));
    },
    (a, b) => a.size === b.size && [...a].every((host) => b.has(host)),
  );

  /** The virtual host of a configuration that is for all that no other one is for; last among its names. */
  const lastOf = (view: SidecarRouteView, configuration: string): string =>
    hostResourceName(configuration, routes.hostNames(commonView(view) ?? view, configuration).at(-1) ?? "");

  const hostNames = ({ of, by }: HeldScope, configuration: string): readonly string[] => {
    const { view } = parseHolder(by);
    const plans = routes.sidecars.plans.get({ view, port: Number(configuration) });
    const hosts = held.get(by);
    const last = lastOf(view, configuration);
    const before = hostResourceName(configuration, "");
    const kept = scopes.names(of).filter((name) => {
      const plan = plans.get(name.slice(before.length));
      return plan ? hosts.has(plan.host) : name !== last;
    });
    const unclaimed = answers.get(by).unclaimed.filter((name) => name.startsWith(before));
    return [...kept, ...unclaimed];
  };

  /** What is for everything that no service claims, for one name of that only. */
  const unclaimedHost = ({ of, by }: HeldScope, configuration: string, name: string): EncodedResource | undefined => {
    // Not whether it was asked for: what each proxy holds says which names there are.
    const ask = parseAsk(name);
    const { view } = parseHolder(by);
    if (!ask?.valid || claimant(domains.get({ view, port: ask.port }), ask.host) !== undefined) return undefined;
    const last = scopes.resource(of, lastOf(view, configuration));
    if (!last) return undefined;
    const host = fromBinary(VirtualHostSchema, fromBinary(AnySchema, last.any).value);
    const domain = name.slice(configuration.length + 1);
    return encodeHost(configuration, create(VirtualHostSchema, { ...host, name: domain, domains: [domain] }));
  };

  return {
    asked: (by) => answers.get(holderKey(by)).hosts,
    names: (scope) => {
      const inner = parseScope(scope.of);
      if (inner.kind === "virtual-hosts") return hostNames(scope, inner.configuration);
      const hosts = held.get(scope.by);
      return scopes.names(scope.of).filter((name) => {
        const host = parseClusterName(name)?.host ?? "";
        return host === "" || hosts.has(host);
      });
    },
    resource: (scope, name) => {
      const inner = parseScope(scope.of);
      if (inner.kind !== "virtual-hosts") return scopes.resource(scope.of, name);
      const { configuration } = inner;
      return scopes.resource(scope.of, name) ?? unclaimedHost(scope, configuration, name);
    },
  };
}
