import { sidecar } from "#api/istio/sidecar.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { service } from "#api/kubernetes/service.ts";
import type { ResourceObject } from "#api/meta.ts";
import { cluster } from "#api/weft/cluster.ts";
import { mesh } from "#api/weft/mesh.ts";
import type { Draft, KindRef } from "#kube/client.ts";
import { benchCluster, type BenchScale } from "./scale.ts";

/** An object to be created, and its kind. */
export interface BenchObject {
  readonly kind: KindRef;
  readonly draft: Draft<ResourceObject>;
}

const servicePort = { name: "http", port: 80 };

/** The `index`-th address of a range of 250 in each block of 256: none ends in 0 or 255. */
function address(second: number, index: number): string {
  return `10.${second}.${Math.floor(index / 250)}.${(index % 250) + 1}`;
}

function namespaceName(index: number): string {
  return `ns-${index}`;
}

/** Objects of the mesh's own API. */
export function meshObjects({ sidecars }: BenchScale, clusterUrl: string): readonly BenchObject[] {
  const ofSidecars = Array.from({ length: sidecars }, (_, index) => ({
    kind: sidecar,
    draft: { metadata: { name: "default", namespace: namespaceName(index) }, spec: { egress: [{ hosts: ["./*"] }] } },
  }));
  return [
    { kind: mesh, draft: { metadata: { name: "default" }, spec: {} } },
    { kind: cluster, draft: { metadata: { name: benchCluster }, spec: { server: clusterUrl } } },
    ...ofSidecars,
  ];
}

/** Namespaces `ns-0` and on, which both APIs have. */
export function namespaceObjects({ namespaces }: BenchScale): readonly BenchObject[] {
  return Array.from({ length: namespaces }, (_, index) => ({
    kind: namespace,
    draft: { metadata: { name: namespaceName(index) } },
  }));
}

/** Services `svc-0` and on with two endpoints each, spread over the namespaces. */
export function serviceObjects({ services, namespaces }: BenchScale): readonly BenchObject[] {
  return Array.from({ length: services }, (_, index): readonly BenchObject[] => {
    const metadata = { name: `svc-${index}`, namespace: namespaceName(index % namespaces) };
    const spec = { clusterIP: address(100, index), selector: { app: metadata.name }, ports: [servicePort] };
    // No Pods stand behind these Services, so their endpoints are written by hand.
    const labels = {
      "kubernetes.io/service-name": metadata.name,
      "endpointslice.kubernetes.io/managed-by": "weft-bench",
    };
    const endpoints = [address(21, index), address(22, index)].map((each) => ({
      addresses: [each],
      conditions: { ready: true },
    }));
    const slice = { metadata: { ...metadata, labels }, addressType: "IPv4", ports: [servicePort], endpoints };
    return [
      { kind: service, draft: { metadata, spec } },
      { kind: endpointSlice, draft: slice },
    ];
  }).flat();
}
