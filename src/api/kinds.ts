import type { Kind } from "./kind.ts";
import { authorizationPolicy } from "./istio/authorization-policy.ts";
import { destinationRule } from "./istio/destination-rule.ts";
import { envoyFilter } from "./istio/envoy-filter.ts";
import { gateway } from "./istio/gateway.ts";
import { peerAuthentication } from "./istio/peer-authentication.ts";
import { proxyConfig } from "./istio/proxy-config.ts";
import { requestAuthentication } from "./istio/request-authentication.ts";
import { serviceEntry } from "./istio/service-entry.ts";
import { sidecar } from "./istio/sidecar.ts";
import { telemetry } from "./istio/telemetry.ts";
import { trafficExtension } from "./istio/traffic-extension.ts";
import { virtualService } from "./istio/virtual-service.ts";
import { wasmPlugin } from "./istio/wasm-plugin.ts";
import { workloadEntry } from "./istio/workload-entry.ts";
import { workloadGroup } from "./istio/workload-group.ts";
import { backendTLSPolicy } from "./gateway-api/backend-tls-policy.ts";
import { gatewayClass } from "./gateway-api/gateway-class.ts";
import { gateway as kubernetesGateway } from "./gateway-api/gateway.ts";
import { grpcRoute } from "./gateway-api/grpc-route.ts";
import { httpRoute } from "./gateway-api/http-route.ts";
import { listenerSet } from "./gateway-api/listener-set.ts";
import { referenceGrant } from "./gateway-api/reference-grant.ts";
import { tcpRoute, tlsRoute, udpRoute } from "./gateway-api/route.ts";
import { configMap } from "./kubernetes/config-map.ts";
import { deployment } from "./kubernetes/deployment.ts";
import { endpointSlice } from "./kubernetes/endpoint-slice.ts";
import { event } from "./kubernetes/event.ts";
import { lease } from "./kubernetes/lease.ts";
import { namespace } from "./kubernetes/namespace.ts";
import { node } from "./kubernetes/node.ts";
import { pod } from "./kubernetes/pod.ts";
import { clusterRole, clusterRoleBinding, role, roleBinding } from "./kubernetes/rbac.ts";
import { replicaSet } from "./kubernetes/replica-set.ts";
import { secret } from "./kubernetes/secret.ts";
import { serviceAccount } from "./kubernetes/service-account.ts";
import { service } from "./kubernetes/service.ts";
import { cluster } from "./weft/cluster.ts";
import { egressScope } from "./weft/egress-scope.ts";
import { mesh } from "./weft/mesh.ts";
import { sidecarUpgrade } from "./weft/sidecar-upgrade.ts";
import { rootRotation } from "./weft/root-rotation.ts";

/** Every kind that Weft serves, in the order in which API lists name them: the core group first. */
export const kinds: readonly Kind[] = [
  configMap,
  event,
  namespace,
  node,
  pod,
  secret,
  serviceAccount,
  service,
  deployment,
  replicaSet,
  lease,
  endpointSlice,
  clusterRole,
  clusterRoleBinding,
  role,
  roleBinding,
  cluster,
  egressScope,
  mesh,
  rootRotation,
  sidecarUpgrade,
  destinationRule,
  envoyFilter,
  gateway,
  proxyConfig,
  serviceEntry,
  sidecar,
  virtualService,
  workloadEntry,
  workloadGroup,
  trafficExtension,
  wasmPlugin,
  telemetry,
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  // After Istio's own, so that `kubectl get gateways` means those.
  backendTLSPolicy,
  gatewayClass,
  kubernetesGateway,
  grpcRoute,
  httpRoute,
  listenerSet,
  referenceGrant,
  tcpRoute,
  tlsRoute,
  udpRoute,
];

/** Kinds by `kind.group` and by `plural.group`. The two cannot clash: one begins in upper case. */
const byName = new Map(
  kinds.flatMap((kind) => [
    [`${kind.kind}.${kind.group}`, kind] as const,
    [`${kind.plural}.${kind.group}`, kind] as const,
  ]),
);

/** The kind of a group (empty for the core group) with this plural, as URLs have it. */
export function kindOfResource(group: string, plural: string): Kind | undefined {
  return byName.get(`${plural}.${group}`);
}

/** The kind of a group (empty for the core group) with this name, as objects have it. */
export function kindOf(group: string, kind: string): Kind | undefined {
  return byName.get(`${kind}.${group}`);
}

/** The kind that an object's `apiVersion` and `kind` name, if that version is served. */
export function kindOfObject(object: { readonly apiVersion: string; readonly kind: string }): Kind | undefined {
  const [version = "", group = ""] = object.apiVersion.split("/").toReversed();
  const kind = kindOf(group, object.kind);
  return kind?.versions.some(({ name }) => name === version) ? kind : undefined;
}

/** The kinds that an endpoint serves: a cluster's serves all; the mesh's, those that are not a cluster's own. */
export function kindsServedBy(view: "cluster" | "mesh"): readonly Kind[] {
  return view === "cluster" ? kinds : kinds.filter(({ home }) => home !== "cluster");
}
