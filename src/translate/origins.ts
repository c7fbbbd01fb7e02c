import { type ObjectRef, refText } from "#api/meta.ts";
import type { Client, Viewer } from "#model/client.ts";
import { type Bucket, bucketViewer } from "#model/clients.ts";
import type { Model } from "#model/model.ts";
import type { ChosenPolicies } from "#model/policies.ts";
import type { ListenerQueries } from "./listener-queries.ts";
import { besideQuic, clusterName, parseClusterName, parseRouteName } from "./names.ts";
import { hostResourceName } from "./routes/encoded.ts";
import type { RouteQueries } from "./routes/queries.ts";
import type { PatchQueries } from "./patches/queries.ts";
import { beforePatches, parsePlain, parseScope, type Scope } from "./scopes.ts";
import type { GatewayQueries } from "./gateways/queries.ts";
import type { PlacedServer } from "./gateways/server.ts";
import type { SecretQueries } from "./secrets/queries.ts";
import type { Translator } from "./translator.ts";
import type { GatewayRouteView, RouteView } from "./view.ts";

/** Says which objects made a resource of a scope. */
export type Origins = (scope: Scope, name: string) => readonly ObjectRef[];

/** What origins are found with. */
export interface OriginContext {
  readonly model: Model;
  readonly listeners: ListenerQueries;
  readonly gateways: GatewayQueries;
  readonly routes: RouteQueries;
  readonly patches: PatchQueries;
  readonly secrets: SecretQueries;
  readonly resource: Translator["resource"];
}

function distinct(refs: readonly ObjectRef[]): readonly ObjectRef[] {
  return [...new Map(refs.map((ref) => [refText(ref), ref])).values()];
}

const noPolicies: ChosenPolicies = { authorization: [], authentication: [] };

/** Which objects made a resource; asked for status and by people, so it is worked out each time and kept nowhere. */
export function originsOf(context: OriginContext): Origins {
  const { model, listeners, gateways, routes, patches, secrets, resource } = context;

  const sidecar = (client: Client): readonly ObjectRef[] => {
    const row = model.clients.sidecar(client);
    return row ? [row.ref] : [];
  };

  const ofService = (viewer: Viewer, key: string): readonly ObjectRef[] => [
    ...(model.services.service.get(key)?.origins ?? []),
    ...(model.rules.rule({ viewer, service: key })?.origins ?? []),
  ];

  const ofCluster = (client: Client, name: string): readonly ObjectRef[] => {
    const host = parseClusterName(name)?.host ?? "";
    const key = model.clients.serviceForHost.get({ client, host });
    return key === undefined ? [] : [...ofService(client, key), ...sidecar(client)];
  };

  const ofBucket = (bucket: Bucket, name: string): readonly ObjectRef[] =>
    ofService(bucketViewer(bucket), `${bucket.namespace}/${parseClusterName(name)?.host ?? ""}`);

  const ofInbound = (services: readonly string[], client: Client): readonly ObjectRef[] => [
    ...services.flatMap((key) => ofService({ namespace: client.namespace }, key)),
    ...sidecar(client),
  ];

  const ofServers = (servers: readonly PlacedServer[] = []): readonly ObjectRef[] =>
    servers.flatMap(({ gateway }) => model.gateways.gateway.get(gateway)?.ref ?? []);

  const ofRules = (keys: readonly string[]): readonly ObjectRef[] =>
    keys.flatMap((key) => model.virtualServices.virtualService.get(key)?.ref ?? []);

  const ofPolicies = ({ authorization, authentication }: ChosenPolicies = noPolicies): readonly ObjectRef[] => [
    ...authorization.flatMap((key) => model.policies.authorizationPolicy.get(key)?.ref ?? []),
    ...authentication.flatMap((key) => model.policies.requestAuthentication.get(key)?.ref ?? []),
  ];

  const ofGatewayListener = (view: GatewayRouteView, name: string): readonly ObjectRef[] => {
    const servers = gateways.servers.get(view).get(besideQuic(name)) ?? [];
    return [...ofServers(servers), ...ofRules(servers.flatMap((server) => gateways.connectionRules(view, server)))];
  };

  /** @param resource a virtual host's name as a resource; without it all are meant. */
  const ofRoutes = (view: RouteView, name: string, resource?: string): readonly ObjectRef[] => {
    const isMeant = (plan: { readonly name: string }): boolean =>
      resource === undefined || hostResourceName(name, plan.name) === resource;
    if (view.kind === "gateway") {
      const plans = [...routes.gateways.plans.get({ view, routes: name }).values()].filter(isMeant);
      return [
        ...ofServers(gateways.routed.get(view).get(name)),
        ...ofRules(plans.flatMap((plan) => plan.origins.map((origin) => origin.rule))),
      ];
    }
    const asked = parseRouteName(name);
    if (!asked) return [];
    if (asked.kind === "socket" || asked.kind === "proxy") return sidecar(view.client);
    const { port } = asked;
    const plans = routes.sidecars.plans.get({ view, port }).values().filter(isMeant);
    const hosts = plans.filter(
      (plan) => asked.kind === "port" || (asked.kind === "service" && plan.host === asked.host),
    );
    const services = hosts.flatMap((plan) => ofCluster(view.client, clusterName("outbound", port, "", plan.host)));
    return [...ofRules(hosts.flatMap((plan) => plan.rule ?? [])), ...services, ...sidecar(view.client)];
  };

  /** The EnvoyFilters and extensions that had a hand in a resource. */
  const patchesOf: Origins = (scope, name) => {
    const before = scope.kind === "patched" ? resource.get({ scope: scope.of, name }) : undefined;
    return scope.kind === "patched" && before ? patches.origins(scope, parsePlain(scope.of), before) : [];
  };

  const find: Origins = (scope, name) => {
    switch (scope.kind) {
      case "outbound-clusters":
        return ofBucket(scope.bucket, name);
      case "inbound-clusters":
        return ofInbound(scope.inbound.services, scope.client);
      case "endpoints":
        return ofCluster(scope.client, name);
      case "own-endpoints":
        return model.services.service.get(scope.own.service)?.origins ?? [];
      case "outbound-listeners":
        return [
          ...listeners.servicesAt(scope, name).flatMap((key) => ofService(scope.client, key)),
          ...ofRules(listeners.virtualServicesAt(scope, name)),
          ...sidecar(scope.client),
        ];
      case "virtual-outbound":
        return sidecar(scope.client);
      case "virtual-inbound":
        return [
          ...ofPolicies(scope.policies),
          ...scope.inbound.services.flatMap((key) => model.services.service.get(key)?.origins ?? []),
          ...(scope.peers?.policy.by ?? []).flatMap((key) => model.tables.peerAuthentications.rows.get(key)?.ref ?? []),
          ...(scope.inbound.sidecar === undefined ? [] : sidecar({ namespace: "", sidecar: scope.inbound.sidecar })),
        ];
      case "gateway-listeners":
        return [...ofGatewayListener(scope.view, name), ...ofPolicies(scope.policies)];
      case "routes":
        return ofRoutes(scope.view, name);
      case "patched":
        return [...patchesOf(scope, name), ...find(parsePlain(scope.of), name)];
      case "added":
      case "extensions":
        return patches.addedBy(scope, name);
      case "secrets":
        return secrets.origins(scope.readers, name);
      case "held":
      case "hostless-routes":
        return find(parseScope(scope.of), name);
      case "virtual-hosts": {
        const { of, configuration } = scope;
        const plain = beforePatches(of);
        const own = plain?.kind === "routes" ? ofRoutes(plain.view, configuration, name) : [];
        return [...patchesOf(parseScope(of), configuration), ...own];
      }
      case "fixed-clusters":
      case "name-table":
      case "placeholder":
      case "placeholders":
        return [];
      case "bootstrap":
        return patches.refsOf(scope.patches);
    }
  };
  return (scope, name) => distinct(find(scope, name));
}
