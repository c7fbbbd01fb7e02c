import { valueAt } from "#api/field-path.ts";
import { type ObjectRef, refOf } from "#api/meta.ts";
import type { Client } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import type { Service } from "#model/service.ts";
import { proxyView } from "#translate/proxy-class.ts";
import { resourcesOf } from "#translate/proxy-resources.ts";
import type { ProxyView } from "#translate/view.ts";
import type { MeshProxy } from "../diff.ts";
import { isMeshConfig, type MeshSnapshot, type OpenMesh } from "../snapshot.ts";
import { type DecodedResources, decoded } from "./decoded.ts";
import type { ReachedEndpoint, Reason } from "./explanation.ts";
import { type Cite, citing } from "./fields.ts";

/** All that an explanation is worked out from. */
export interface ExplainContext {
  readonly mesh: OpenMesh;
  readonly cite: Cite;
  /** The proxy that the request leaves through. */
  readonly proxy: MeshProxy;
  readonly view: ProxyView;
  readonly resources: DecodedResources;
  /** The proxy of a Pod, if it has one. */
  readonly proxyOf: (name: string, cluster: string) => MeshProxy | undefined;
  /** The Pod that has an address. */
  readonly podAt: (address: string) => ReachedEndpoint["pod"];
  /** Milliseconds since the epoch, by which tokens are judged. */
  readonly now: number;
  /** Where the settings of the whole mesh are written; undefined where nobody wrote any. */
  readonly settings: ObjectRef | undefined;
}

function podsByAddress({ tables: { pods } }: Model): ExplainContext["podAt"] {
  const all = pods
    .rows()
    .map(({ ip, name, namespace, cluster }) => [ip, { name: `${name}.${namespace}`, cluster }] as const);
  const byAddress = new Map(all.filter(([ip]) => ip !== ""));
  return (address) => byAddress.get(address);
}

/** The object that says what becomes of traffic to hosts that nobody knows, or the one that could. */
function settingsOf(snapshot: MeshSnapshot): ObjectRef | undefined {
  const mesh = snapshot.find(({ object }) => object.kind === "Mesh");
  const decides = mesh && valueAt(mesh.object, "spec.outboundTrafficPolicy") !== undefined;
  const found = decides ? mesh : (snapshot.find(isMeshConfig) ?? mesh);
  return found && refOf(found.object, found.cluster);
}

/**
 * @param mesh opened with traces.
 * @param proxies the mesh's proxies, the one that is asked about among them.
 * @param now milliseconds since the epoch, by which tokens are judged.
 */
export function explainContext(
  mesh: OpenMesh,
  snapshot: MeshSnapshot,
  proxies: readonly MeshProxy[],
  proxy: MeshProxy,
  now: number,
): ExplainContext {
  return {
    mesh,
    cite: citing(snapshot),
    proxy,
    view: proxyView(proxy.node),
    resources: decoded(resourcesOf(mesh.translator, proxy.node)),
    podAt: podsByAddress(mesh.model),
    settings: settingsOf(snapshot),
    now,
    proxyOf: (name, cluster) => proxies.find((each) => each.name === name && each.cluster === cluster),
  };
}

/** Who the proxy is to the mesh. */
export function clientOf({ mesh: { model }, view }: ExplainContext): Client {
  return view.type === "router" ? model.clients.gatewayClient(view) : model.clients.sidecarClient(view);
}

/** The service that a host means to the proxy. */
export function serviceOf({ mesh: { model }, view }: ExplainContext, host: string): Service | undefined {
  const key = model.services.keyForHost.get({ viewer: view.namespace, host });
  return key === undefined ? undefined : model.services.service.get(key);
}

/** Of the objects that make a service, that of the proxy's own cluster if there is one. */
function nearest(origins: readonly ObjectRef[], cluster: string): ObjectRef | undefined {
  return origins.find((each) => each.cluster === cluster) ?? origins[0];
}

/** Where a service's port is written. */
export function portReasons(context: ExplainContext, host: string, port: number): readonly Reason[] {
  const service = serviceOf(context, host);
  const ref = service && nearest(service.origins, context.view.cluster);
  if (!service || !ref) return [];
  const index = service.ports.findIndex((each) => each.number === port);
  return [context.cite(ref, index < 0 ? "" : `spec.ports[${index}]`)];
}

/** Where the subset and the policies of a cluster are written. */
export function ruleReasons(context: ExplainContext, host: string, subset: string): readonly Reason[] {
  const { mesh, cite } = context;
  const service = serviceOf(context, host);
  const rule = service && mesh.model.rules.rule({ viewer: clientOf(context), service: service.key });
  if (!rule) return [];
  return rule.origins.flatMap((ref) => {
    const row = mesh.model.tables.destinationRules.rows.get(`${ref.namespace ?? ""}/${ref.name}`);
    const index = (row?.spec.subsets ?? []).findIndex((each) => each.name === subset);
    return [
      ...(subset !== "" && index >= 0 ? [cite(ref, `spec.subsets[${index}]`)] : []),
      ...(row?.spec.trafficPolicy ? [cite(ref, "spec.trafficPolicy")] : []),
    ];
  });
}

/** Where it is written what becomes of traffic to hosts that nobody knows: in the Sidecar, or for the whole mesh. */
export function policyReasons({ mesh: { model }, view, cite, settings }: ExplainContext): readonly Reason[] {
  if (view.type === "router") return [];
  const sidecar = model.clients.sidecar(model.clients.sidecarClient(view));
  if (sidecar?.spec.outboundTrafficPolicy) return [cite(sidecar.ref, "spec.outboundTrafficPolicy")];
  if (!settings) return [];
  return [cite(settings, settings.kind === "Mesh" ? "spec.outboundTrafficPolicy" : "data.mesh")];
}
