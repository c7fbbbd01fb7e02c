import { fromBinary, type Registry } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { Finding } from "#api/finding.ts";
import type { ObjectRef } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { ChosenPatch, PatchedProxy } from "#model/envoyfilters.ts";
import { findingsOf } from "#model/findings/finding.ts";
import type { ObjectId } from "#model/findings/findings.ts";
import type { Model } from "#model/model.ts";
import type { Config } from "#model/rows.ts";
import type { Bootstrap } from "#proto/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { type Cluster, ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { TypedExtensionConfigSchema } from "#proto/gen/envoy/config/core/v3/extension_pb.js";
import { type Listener, ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { type EncodedResource, encodeResource, sameResource, typeUrls } from "#proto/encoded.ts";
import { parseClusterName } from "../names.ts";
import type { PlainScope } from "../scopes.ts";
import { endpointsAwaited, routesAwaited } from "./awaits.ts";
import { meetsCluster, patchCluster } from "./cluster.ts";
import { extensionPatches, extensionProblems } from "./extension.ts";
import type { PatchTools } from "./filters.ts";
import { copyOfValue } from "./list.ts";
import { patchListener } from "./listener.ts";
import {
  addsFor,
  type Match,
  meetsContext,
  type PatchContext,
  type Patched,
  type Patches,
  patchesOf,
  type WrittenPatch,
} from "./patch.ts";
import { readPatch, type ReadPatch } from "./read.ts";
import { type GatewayPorts, meetsRoutes, patchRoutes } from "./route.ts";
import { contextOf, type PatchScope, type ScopePatches } from "./scope.ts";

type PatchedScope = Extract<PatchScope, { readonly kind: "patched" }>;
type AddedScope = Extract<PatchScope, { readonly kind: "added" }>;
type ExtensionScope = Extract<PatchScope, { readonly kind: "extensions" }>;

/** What a resource is patched with, and what of its proxies is asked for. */
interface Patching {
  readonly resource: EncodedResource;
  readonly patches: readonly ScopePatches[];
  readonly context: PatchContext;
  /** Services behind an inbound cluster. */
  readonly hosts: readonly string[];
  /** Ports of the Service in front of a gateway by the proxy's ports; absent for sidecars. */
  readonly gatewayPorts?: Readonly<Record<string, readonly number[]>>;
}

/** EnvoyFilters and extensions as queries. */
export interface PatchQueries {
  /** A resource of a scope after its patches; undefined when one takes it away. */
  readonly patched: (scope: PatchedScope, plain: PlainScope, resource: EncodedResource) => EncodedResource | undefined;
  /** Whether a patch may take resources of a scope away. */
  readonly mayRemove: (scope: PatchedScope) => boolean;
  /** What patches of the bootstrap merge into it, in their order. */
  readonly bootstrap: (chosen: readonly ScopePatches[]) => readonly Bootstrap[];
  /** Resources that patches add, by name. */
  readonly added: (scope: AddedScope) => ReadonlyMap<string, EncodedResource>;
  /** Configurations of filters that ask for them by name, by name. */
  readonly extensions: (scope: ExtensionScope) => ReadonlyMap<string, EncodedResource>;
  /** The EnvoyFilters and extensions that may have changed a resource, if any did. */
  readonly origins: (scope: PatchedScope, plain: PlainScope, resource: EncodedResource) => readonly ObjectRef[];
  /** The EnvoyFilters that add a resource of a name. */
  readonly addedBy: (scope: AddedScope | ExtensionScope, name: string) => readonly ObjectRef[];
  /** The patches that are for a proxy, in the order in which they are applied. */
  readonly chosen: (proxy: PatchedProxy) => readonly ChosenPatch[];
  /** The objects that have patches. */
  readonly refsOf: (patches: readonly ScopePatches[]) => readonly ObjectRef[];
  /** What is wrong with an EnvoyFilter or an extension; nothing for other kinds. */
  readonly findings: (id: ObjectId) => readonly Finding[];
}

function contentOf({ any }: EncodedResource): Uint8Array {
  return fromBinary(AnySchema, any).value;
}

function encodeListener(listener: Listener): EncodedResource {
  return encodeResource(ListenerSchema, listener, listener.name, routesAwaited(listener));
}

function encodeCluster(cluster: Cluster): EncodedResource {
  return encodeResource(ClusterSchema, cluster, cluster.name, endpointsAwaited(cluster));
}

function portsOf({ gatewayPorts }: Pick<Patching, "gatewayPorts">): GatewayPorts | undefined {
  if (!gatewayPorts) return undefined;
  return { servicePorts: new Map(Object.entries(gatewayPorts).map(([port, ports]) => [Number(port), ports])) };
}

/** Resources by their names; of those of one name the first is the one. */
function firstByName(resources: readonly EncodedResource[]): ReadonlyMap<string, EncodedResource> {
  return new Map(resources.toReversed().map((resource) => [resource.name, resource]));
}

/** Kinds of things that are resources. */
const removable: ReadonlySet<string> = new Set(["CLUSTER", "LISTENER"]);

/** A resource after patches. */
function apply(patching: Patching, tools: PatchTools): EncodedResource | undefined {
  const { resource, hosts } = patching;
  switch (resource.typeUrl) {
    case typeUrls.cluster: {
      const cluster = patchCluster(fromBinary(ClusterSchema, contentOf(resource)), hosts, tools);
      return cluster && encodeCluster(cluster);
    }
    case typeUrls.listener: {
      const listener = patchListener(fromBinary(ListenerSchema, contentOf(resource)), tools);
      return listener && encodeListener(listener);
    }
    case typeUrls.route: {
      const routes = fromBinary(RouteConfigurationSchema, contentOf(resource));
      patchRoutes(routes, tools, portsOf(patching));
      return encodeResource(RouteConfigurationSchema, routes, resource.name);
    }
    case typeUrls.endpoints:
    case typeUrls.secret:
    case typeUrls.nameTable:
    case typeUrls.bootstrap:
    case typeUrls.virtualHost:
    case typeUrls.extension:
      return resource;
  }
}

/** The EnvoyFilter that has patches, as `namespace/name`; undefined where another kind has. */
function envoyFilterIn(source: string): string | undefined {
  const kind = "EnvoyFilter/";
  return source.startsWith(kind) ? source.slice(kind.length) : undefined;
}

/** What a patch is for; nothing of what it does. */
interface Aim {
  readonly applyTo: string;
  readonly operation: string;
  readonly match: Match;
}

/** Whether a patch may be for a resource, as far as its name tells. */
function mayMeet({ match }: Aim, { resource, context, hosts }: Omit<Patching, "patches">, ports?: GatewayPorts) {
  if (!meetsContext(match.context, context)) return false;
  if (resource.typeUrl === typeUrls.cluster) return meetsCluster(resource.name, hosts, match);
  if (resource.typeUrl === typeUrls.route) return meetsRoutes(resource.name, match, ports);
  const { name = "" } = match.listener ?? {};
  return name === "" || name === resource.name;
}

function serviceHosts(model: Model, plain: PlainScope, name: string): readonly string[] {
  if (plain.kind !== "inbound-clusters") return [];
  const number = parseClusterName(name)?.port;
  const ports = model.workloads.inboundPorts.get(plain.inbound).filter(({ port }) => port === number);
  return [...new Set(ports.flatMap(({ targets }) => targets.map(({ host }) => host)))];
}

function gatewayPorts(plain: PlainScope): Pick<Patching, "gatewayPorts"> {
  if (plain.kind !== "routes" || plain.view.kind !== "gateway") return {};
  const pairs = Object.entries(plain.view.targetPorts).map(([service, proxy]) => ({ service: Number(service), proxy }));
  const byProxy = Map.groupBy(pairs, ({ proxy }) => String(proxy));
  return {
    gatewayPorts: Object.fromEntries([...byProxy].map(([port, all]) => [port, all.map(({ service }) => service)])),
  };
}

/** Declares the queries about patches. The registry is asked for when the first EnvoyFilter is read. */
export function patchQueries(engine: Engine, model: Model, registry: () => Registry): PatchQueries {
  /** The patches of an object: an EnvoyFilter's own, or those that an extension comes to. */
  const patchesIn = engine.stringQuery("config-patches", (source): readonly WrittenPatch[] => {
    const filter = envoyFilterIn(source);
    if (filter !== undefined) return model.envoyFilters.filter.get(filter)?.spec.configPatches ?? [];
    const extension = model.extensions.extension.get(source);
    return extension ? extensionPatches(extension) : [];
  });

  const read: Query<string, readonly ReadPatch[]> = engine.stringQuery(
    "patches",
    (source): readonly ReadPatch[] =>
      patchesIn.get(source).map((patch, index) => readPatch(patch, `spec.configPatches[${index}]`, registry())),
    // Read again only after a change of the object: what was read is another then.
    () => false,
  );

  /** Apart from what patches do, so that an edit of that is seen only by what it is for. */
  const aims = engine.stringQuery("patch-aims", (source): readonly Aim[] =>
    patchesIn.get(source).map(({ applyTo = "INVALID", match = {}, patch }) => ({
      applyTo,
      operation: patch?.operation ?? "INVALID",
      match,
    })),
  );

  const chosenBy = (chosen: readonly ScopePatches[], test: (aim: Aim) => boolean): readonly ScopePatches[] =>
    chosen.flatMap(({ filter, at }) => {
      const all = aims.get(filter);
      const left = at.filter((index) => all[index] !== undefined && test(all[index]));
      return left.length > 0 ? [{ filter, at: left }] : [];
    });

  const patchesFor = (chosen: readonly ScopePatches[]): Patches =>
    patchesOf(chosen.flatMap(({ filter, at }) => at.flatMap((index) => read.get(filter)[index]?.patch ?? [])));

  const patched = engine.query<Patching, EncodedResource | undefined>({
    name: "patched",
    key: ({ resource: { typeUrl, name, version }, ...rest }) =>
      `${name}|${typeUrl}|${version}|${canonical({ ...rest, resource: undefined })}`,
    equal: sameResource,
    compute: (patching) =>
      apply(patching, { patches: patchesFor(patching.patches), context: patching.context, registry: registry() }),
  });

  const added = (scope: AddedScope): ReadonlyMap<string, EncodedResource> => {
    const { type, context, patches: chosen, except } = scope;
    const patches = patchesFor(chosen);
    const valuesOf = <A extends "CLUSTER" | "LISTENER">(kind: A): readonly Patched<A>[] =>
      patches.of(kind).flatMap((patch) => {
        if (patch.operation !== "ADD" || !addsFor(patch.match.context ?? "ANY", context)) return [];
        return patch.value.name === "" || except.includes(patch.value.name) ? [] : [copyOfValue(kind, patch.value)];
      });
    const made =
      type === typeUrls.cluster ? valuesOf("CLUSTER").map(encodeCluster) : valuesOf("LISTENER").map(encodeListener);
    return firstByName(made);
  };

  const extensions = (scope: ExtensionScope): ReadonlyMap<string, EncodedResource> =>
    firstByName(
      patchesFor(scope.patches)
        .of("EXTENSION_CONFIG")
        .flatMap((patch) => (patch.operation === "REMOVE" || patch.value.name === "" ? [] : [patch.value]))
        .map((extension) => encodeResource(TypedExtensionConfigSchema, extension, extension.name)),
    );

  const rowOf = (source: string): Config<unknown> | undefined => {
    const filter = envoyFilterIn(source);
    if (filter !== undefined) return model.envoyFilters.filter.get(filter);
    return model.extensions.extension.get(source)?.row;
  };

  /** A resource with those of a scope's patches that may be for it. */
  const patchingOf = ({ patches }: PatchedScope, plain: PlainScope, resource: EncodedResource): Patching => {
    const context = contextOf(plain, resource.name);
    const rest = { resource, context, hosts: serviceHosts(model, plain, resource.name), ...gatewayPorts(plain) };
    const ports = portsOf(rest);
    return { ...rest, patches: chosenBy(patches, (aim) => mayMeet(aim, rest, ports)) };
  };

  const after: PatchQueries["patched"] = (scope, plain, resource) => {
    const patching = patchingOf(scope, plain, resource);
    return patching.patches.length === 0 ? resource : patched.get(patching);
  };

  const refsOf = (patches: readonly ScopePatches[]): readonly ObjectRef[] =>
    patches.flatMap(({ filter }) => rowOf(filter)?.ref ?? []);

  const namedIn = ({ filter, at }: ScopePatches, name: string): boolean =>
    at.some((index) => {
      const patch = read.get(filter)[index]?.patch;
      return patch !== undefined && patch.operation !== "REMOVE" && "name" in patch.value && patch.value.name === name;
    });

  return {
    patched: after,
    mayRemove: ({ patches }) =>
      chosenBy(patches, ({ applyTo, operation }) => operation === "REMOVE" && removable.has(applyTo)).length > 0,
    added,
    extensions,
    bootstrap: (chosen) =>
      patchesFor(chosen)
        .of("BOOTSTRAP")
        .flatMap((patch) => (patch.operation === "MERGE" ? [patch.value] : [])),
    chosen: (proxy) => {
      const extensions = model.extensions.chosen(proxy).toReversed();
      const own = extensions.flatMap((filter) =>
        aims.get(filter).map(({ applyTo, operation, match: { context = "ANY" } }, index) => ({
          filter,
          index,
          applyTo,
          operation,
          context,
        })),
      );
      return [...own, ...model.envoyFilters.chosen(proxy)];
    },
    origins: (scope, plain, resource) =>
      sameResource(after(scope, plain, resource), resource) ? [] : refsOf(patchingOf(scope, plain, resource).patches),
    refsOf,
    addedBy: ({ patches }, name) => refsOf(patches.filter((each) => namedIn(each, name))),
    findings: ({ kind, namespace, name }) => {
      const source = `${kind}/${namespace}/${name}`;
      const row = rowOf(source);
      if (!row) return [];
      const extension = model.extensions.extension.get(source);
      return findingsOf(
        row,
        extension ? extensionProblems(extension) : read.get(source).flatMap(({ problems }) => problems),
      );
    },
  };
}
