import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { Engine } from "#incremental/engine.ts";
import { type EncodedResource, typeUrls } from "#proto/encoded.ts";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import type { ClassScopes } from "./class-scopes.ts";
import { parseRouteName } from "./names.ts";
import { encodeHost, encodeHostless, hostResourceName } from "./routes/encoded.ts";
import { routeConfiguration } from "./routes/outbound.ts";
import type { RouteQueries } from "./routes/queries.ts";
import { beforePatches, type HostScope, parseScope, scopeKey } from "./scopes.ts";
import { commonView, type RouteView } from "./view.ts";

type Hostless = Extract<HostScope, { readonly kind: "hostless-routes" }>;
type Hosts = Extract<HostScope, { readonly kind: "virtual-hosts" }>;

/** The view where nothing was patched: its virtual hosts are made one by one. */
function plainView(of: string): RouteView | undefined {
  const scope = parseScope(of);
  return scope.kind === "routes" ? scope.view : undefined;
}

/** The scope that has the virtual hosts of another where this has none of its own by the name. */
function commonScope(of: string): string | undefined {
  const view = plainView(of);
  const common = view?.kind === "sidecar" ? commonView(view) : undefined;
  return common && scopeKey({ kind: "routes", view: common });
}

/** The scopes of a class that takes virtual hosts apart. */
export function withHostsApart(whole: ClassScopes): ClassScopes {
  const routes = whole[typeUrls.route];
  return {
    ...whole,
    [typeUrls.route]: routes.map((of) => scopeKey({ kind: "hostless-routes", of })),
    [typeUrls.virtualHost]: routes.flatMap((of) => [of, commonScope(of)].filter((scope) => scope !== undefined)),
  };
}

/** The same for a class that asks for those that it does not hold, whether it holds all or not. */
export function withPlaceholders(apart: ClassScopes): ClassScopes {
  const hosts = apart[typeUrls.virtualHost];
  return { ...apart, [typeUrls.virtualHost]: [...hosts, scopeKey({ kind: "placeholders" })] };
}

/** That of a sniffed port of one service has one virtual host: there is nothing to gain. */
function isApart(view: RouteView, configuration: string): boolean {
  return view.kind === "gateway" || parseRouteName(configuration)?.kind === "port";
}

function viewOf(key: string): RouteView | undefined {
  const scope = beforePatches(key);
  return scope?.kind === "routes" ? scope.view : undefined;
}

/** The scope of the virtual hosts of one route configuration of a scope; undefined where it holds them itself. */
export function hostScope(of: string, configuration: string): string | undefined {
  const scope = parseScope(of);
  if (scope.kind === "held") {
    const hosts = hostScope(scope.of, configuration);
    return hosts === undefined ? undefined : scopeKey({ ...scope, of: hosts });
  }
  if (scope.kind === "placeholders") {
    const isPort = parseRouteName(configuration)?.kind === "port";
    return isPort ? scopeKey({ kind: "placeholder", configuration }) : undefined;
  }
  const view = viewOf(of);
  if (!view || !isApart(view, configuration)) return undefined;
  return scopeKey({ kind: "virtual-hosts", of, configuration });
}

/** Route configurations without their virtual hosts, and these. */
export interface HostScopeQueries {
  readonly hostless: (scope: Hostless, name: string) => EncodedResource | undefined;
  /** Names of resources. */
  readonly names: (scope: Hosts) => readonly string[];
  readonly host: (scope: Hosts, name: string) => EncodedResource | undefined;
}

/** What a route configuration that patches changed is made of. */
interface Split {
  readonly hostless: EncodedResource;
  readonly hosts: ReadonlyMap<string, EncodedResource>;
}

/** Takes a route configuration apart. */
function split({ name, any }: EncodedResource): Split {
  const whole = fromBinary(RouteConfigurationSchema, fromBinary(AnySchema, any).value);
  const hosts = whole.virtualHosts.map((host) => encodeHost(name, host));
  return { hostless: encodeHostless(whole), hosts: new Map(hosts.map((host) => [host.name, host])) };
}

/**
 * Declares the queries about virtual hosts as resources of their own.
 * @param resource of any other scope.
 */
export function hostScopeQueries(
  engine: Engine,
  routes: RouteQueries,
  resource: (scope: string, name: string) => EncodedResource | undefined,
): HostScopeQueries {
  const patched = engine.query<Hosts, Split | undefined>({
    name: "split-routes",
    key: scopeKey,
    equal: (a, b) => a?.hostless.version === b?.hostless.version && sameHosts(a, b),
    compute: ({ of, configuration }) => {
      const whole = resource(of, configuration);
      return whole && split(whole);
    },
  });

  // Hosts of one scope are mostly asked for one after the other.
  let last: { readonly of: string; readonly view: RouteView | undefined } | undefined;
  /** The view where nothing was patched: its virtual hosts are made one by one. */
  const plainView = (of: string): RouteView | undefined => {
    if (last?.of !== of) {
      const scope = parseScope(of);
      last = { of, view: scope.kind === "routes" ? scope.view : undefined };
    }
    return last.view;
  };

  const names: HostScopeQueries["names"] = (scope) => {
    const view = plainView(scope.of);
    if (!view) return [...(patched.get(scope)?.hosts.keys() ?? [])];
    return routes.hostNames(view, scope.configuration).map((name) => hostResourceName(scope.configuration, name));
  };

  return {
    names,
    host: (scope, name) => {
      const view = plainView(scope.of);
      return view ? routes.host(view, scope.configuration, name) : patched.get(scope)?.hosts.get(name);
    },
    hostless: ({ of }, name) => {
      if (hostScope(of, name) === undefined) return resource(of, name);
      const view = plainView(of);
      // Envoy waits for the first virtual host: a configuration that has none must not ask for any.
      if (view && routes.hasHostsApart(view, name)) return encodeHostless(routeConfiguration(name, []));
      const apart = view ? undefined : patched.get({ kind: "virtual-hosts", of, configuration: name });
      return apart && apart.hosts.size > 0 ? apart.hostless : resource(of, name);
    },
  };
}

function sameHosts(a: Split | undefined, b: Split | undefined): boolean {
  if (a?.hosts.size !== b?.hosts.size) return false;
  return [...(a?.hosts ?? [])].every(([name, { version }]) => b?.hosts.get(name)?.version === version);
}
