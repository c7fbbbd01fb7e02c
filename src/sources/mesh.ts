import { authorizationPolicy } from "#api/istio/authorization-policy.ts";
import { destinationRule } from "#api/istio/destination-rule.ts";
import { envoyFilter } from "#api/istio/envoy-filter.ts";
import { gateway } from "#api/istio/gateway.ts";
import type { MeshConfigState } from "#api/istio/mesh-config.ts";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { proxyConfig } from "#api/istio/proxy-config.ts";
import { requestAuthentication } from "#api/istio/request-authentication.ts";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { sidecar } from "#api/istio/sidecar.ts";
import { trafficExtension } from "#api/istio/traffic-extension.ts";
import { virtualService } from "#api/istio/virtual-service.ts";
import { wasmPlugin } from "#api/istio/wasm-plugin.ts";
import { workloadEntry } from "#api/istio/workload-entry.ts";
import { configMap } from "#api/kubernetes/config-map.ts";
import { secret } from "#api/kubernetes/secret.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { egressScope } from "#api/weft/egress-scope.ts";
import type { ResourceObject } from "#api/meta.ts";
import { revisionLabel } from "#api/weft/revisions.ts";
import { referenceGrant } from "#api/gateway-api/reference-grant.ts";
import { untranslatedKinds } from "#api/untranslated.ts";
import type { KindRef, Client } from "#kube/client.ts";
import { secretSelector, withoutOtherData } from "#model/credentials/row.ts";
import type { Model } from "#model/model.ts";
import { type Feed, type Followed, type SourceContext, follow } from "./feed.ts";
import { MeshSettingsFeeds } from "./mesh-config.ts";

/** A kind whose objects enter the model as they are. */
export function modelFeed(kind: KindRef, model: Model, cluster = ""): Feed {
  return {
    kind,
    put: (object) => void model.inputs.put(object, cluster),
    remove: ({ metadata: { namespace = "", name } }) =>
      void model.inputs.remove(kind.kind, { namespace, name }, cluster),
  };
}

/** Secrets as far as they may hold certificates. */
export function secretFeed(model: Model, cluster = ""): Feed {
  return { ...modelFeed(secret, model, cluster), selection: secretSelection, trim: withoutOtherData };
}

/** A kind whose objects only the audience is told of. */
function audienceFeed(kind: KindRef): Feed {
  return { kind, put: () => undefined, remove: () => undefined };
}

/** Kinds of the mesh's own API that may hold certificates. */
export const credentialKinds = [secret, configMap];

/** Which Secrets are read: those of types that may hold certificates. */
export const secretSelection = { fieldSelector: secretSelector };

/** Istio's kinds that enter the model. */
export const istioKinds = [
  virtualService,
  destinationRule,
  gateway,
  serviceEntry,
  sidecar,
  envoyFilter,
  peerAuthentication,
  proxyConfig,
  wasmPlugin,
  trafficExtension,
  workloadEntry,
  authorizationPolicy,
  requestAuthentication,
];

/** What following a mesh needs. */
export interface MeshContext extends SourceContext {
  /** The revision of this control plane, `default` unless told: objects that the label istio.io/rev binds to another are not for it. */
  readonly revision?: string;
  /** Called with how Istio's ConfigMap was taken. */
  readonly took?: (state: MeshConfigState) => void;
}

/**
 * Follows the mesh's own objects: Istio's resources and the mesh's settings.
 * @param name the `Mesh` object's name.
 */
export function followMesh(
  client: Client,
  model: Model,
  name: string,
  context: MeshContext,
  signal: AbortSignal,
): Followed {
  const { revision = "default" } = context;
  const belongs = ({ metadata: { labels } }: ResourceObject): boolean =>
    (labels?.[revisionLabel] ?? revision) === revision;
  const feeds = [
    ...istioKinds.map((kind) => ({ ...modelFeed(kind, model), belongs })),
    ...[namespace, egressScope, referenceGrant].map((kind) => modelFeed(kind, model)),
    ...untranslatedKinds.map(audienceFeed),
    secretFeed(model),
    { ...modelFeed(configMap, model), trim: withoutOtherData },
    ...new MeshSettingsFeeds(model, name, context).feeds,
  ];
  return follow(client, feeds, context, signal);
}
