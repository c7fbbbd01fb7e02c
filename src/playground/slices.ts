import type { Endpoint, EndpointPort, EndpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { Service, ServicePort } from "#api/kubernetes/service.ts";
import type { StringMap } from "#api/meta.ts";
import { canonical, equal } from "#base/canonical.ts";
import type { Draft } from "#kube/client.ts";
import { controlledBy, controllerOf } from "./ownership.ts";
import { isFinished, isReady } from "./pod-state.ts";
import { nameHash } from "./revision.ts";

/** Labels of the slices. */
export const sliceLabel = {
  service: "kubernetes.io/service-name",
  manager: "endpointslice.kubernetes.io/managed-by",
  headless: "service.kubernetes.io/headless",
} as const;

/** The value of the manager's label: Kubernetes' own name, so that tools find what they expect. */
export const sliceManager = "endpointslice-controller.k8s.io";

/** Endpoints in one slice at most, as in Kubernetes. */
const maxEndpoints = 100;

/** What to write so that a Service's slices tell its endpoints. */
export interface SlicePlan {
  readonly create: readonly Draft<EndpointSlice>[];
  readonly replace: readonly EndpointSlice[];
  readonly remove: readonly EndpointSlice[];
}

/** What a Service's slices are made from; the zone is that of a node, by its name. */
export interface SliceInput {
  readonly service: Service;
  /** Pods of the namespace that the selector fits. */
  readonly pods: readonly Pod[];
  readonly existing: readonly EndpointSlice[];
  readonly zoneOf: (node: string) => string | undefined;
}

/** The Pod's port that a Service's port means; undefined when the Pod has none of that name. */
function targetPort({ spec }: Pod, { port, targetPort = port, protocol }: ServicePort): number | undefined {
  if (typeof targetPort === "number") return targetPort;
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const ports = [...spec.containers, ...sidecars].flatMap(({ ports = [] }) => ports);
  return ports.find((one) => one.name === targetPort && one.protocol === protocol)?.containerPort;
}

function portsOf(service: Service, pod: Pod): readonly EndpointPort[] {
  const { ports = [], clusterIP } = service.spec;
  const found = ports.flatMap((port) => {
    const number = targetPort(pod, port);
    if (number === undefined) return [];
    const { name = "", protocol, appProtocol } = port;
    return [{ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) }];
  });
  // A headless Service may have no port; its endpoints are addresses only.
  return ports.length === 0 && clusterIP === "None" ? [] : found;
}

function endpointOf({ service, zoneOf }: SliceInput, pod: Pod, address: string): Endpoint {
  const { metadata, spec } = pod;
  const { name, namespace = "", uid } = metadata;
  const terminating = metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod);
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  const zone = spec.nodeName === undefined ? undefined : zoneOf(spec.nodeName);
  const named = spec.hostname !== undefined && spec.subdomain === service.metadata.name;
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    targetRef: { kind: "Pod", namespace, name, uid },
    ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
    ...(zone === undefined ? {} : { zone }),
    ...(named ? { hostname: spec.hostname } : {}),
  };
}

interface Group {
  readonly ports: readonly EndpointPort[];
  /** By the Pod's uid. */
  readonly endpoints: Map<string, Endpoint>;
}

/** Endpoints by their ports: Pods may use one name for different numbers. There is always a group, if an empty one. */
function groups(input: SliceInput): ReadonlyMap<string, Group> {
  const found = new Map<string, Group>();
  for (const pod of input.pods) {
    const address = pod.status?.podIP ?? "";
    if (address === "" || isFinished(pod)) continue;
    const ports = portsOf(input.service, pod);
    if (ports.length === 0 && (input.service.spec.ports ?? []).length > 0) continue;
    const key = canonical(ports);
    const group = found.get(key) ?? { ports, endpoints: new Map() };
    found.set(key, group);
    group.endpoints.set(pod.metadata.uid, endpointOf(input, pod, address));
  }
  return found.size === 0 ? new Map([[canonical([]), { ports: [], endpoints: new Map() }]]) : found;
}

function labelsOf({ metadata, spec }: Service): StringMap {
  const headless = spec.clusterIP === "None" ? { [sliceLabel.headless]: "" } : {};
  const { name, labels } = metadata;
  return { ...labels, ...headless, [sliceLabel.service]: name, [sliceLabel.manager]: sliceManager };
}

/** Which endpoints each existing slice of a group keeps; those that no slice has yet go where there is room. */
function distribute(slices: readonly EndpointSlice[], wanted: ReadonlyMap<string, Endpoint>): Endpoint[][] {
  const left = new Map(wanted);
  const kept = slices.map(({ endpoints }) =>
    endpoints.flatMap(({ targetRef }) => {
      const uid = targetRef?.uid ?? "";
      const endpoint = left.get(uid);
      left.delete(uid);
      return endpoint === undefined ? [] : [endpoint];
    }),
  );
  for (const endpoint of left.values()) {
    const room = kept.find((endpoints) => endpoints.length < maxEndpoints);
    if (room === undefined) kept.push([endpoint]);
    else room.push(endpoint);
  }
  return kept.length === 0 ? [[]] : kept;
}

/** Names that are always the same for the same Service, and other ones for a later Service of its name. */
function* freshNames({ metadata }: Service, taken: ReadonlySet<string>): Generator<string, never> {
  for (let ordinal = 0; ; ordinal += 1) {
    const name = `${metadata.name}-${nameHash([metadata.uid, ordinal], 5)}`;
    if (!taken.has(name)) yield name;
  }
}

function sameSlice(a: EndpointSlice, b: EndpointSlice): boolean {
  return equal([a.endpoints, a.ports ?? [], a.metadata.labels], [b.endpoints, b.ports ?? [], b.metadata.labels]);
}

/**
 * Gives each group its slices: those that have its ports, else one whose ports nobody has any more, so that no moment is
 * without endpoints when ports change. What is left over is not needed.
 */
function matchSlices(
  { service, existing }: SliceInput,
  wanted: ReadonlyMap<string, Group>,
): { readonly held: ReadonlyMap<string, readonly EndpointSlice[]>; readonly spare: readonly EndpointSlice[] } {
  const sorted = existing.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  // Slices of an earlier Service of the same name go with it.
  const own = sorted.filter(({ metadata }) => controllerOf(metadata)?.uid === service.metadata.uid);
  const byPorts = Map.groupBy(own, ({ ports }) => canonical(ports ?? []));
  const unused = own.filter(({ ports }) => !wanted.has(canonical(ports ?? [])));
  const held = new Map<string, readonly EndpointSlice[]>();
  for (const key of wanted.keys()) held.set(key, byPorts.get(key) ?? unused.splice(0, 1));
  const used = new Set([...held.values()].flat());
  return { held, spare: existing.filter((slice) => !used.has(slice)) };
}

/** Works out what to write so that a Service's slices tell its endpoints, changing as few slices as possible. */
export function planSlices(input: SliceInput): SlicePlan {
  const { service, existing } = input;
  const wanted = groups(input);
  const { held, spare } = matchSlices(input, wanted);
  const names = freshNames(service, new Set(existing.map(({ metadata }) => metadata.name)));
  const create: Draft<EndpointSlice>[] = [];
  const replace: EndpointSlice[] = [];
  const remove = [...spare];
  for (const [key, { ports, endpoints }] of wanted) {
    const slices = held.get(key) ?? [];
    for (const [at, part] of distribute(slices, endpoints).entries()) {
      const slice = slices[at];
      const body = { addressType: "IPv4" as const, endpoints: part, ports };
      if (slice === undefined) create.push(newSlice(service, names.next().value, body));
      else if (at > 0 && part.length === 0) remove.push(slice);
      else {
        const after = { ...slice, ...body, metadata: { ...slice.metadata, labels: labelsOf(service) } };
        if (!sameSlice(slice, after)) replace.push(after);
      }
    }
  }
  return { create, replace, remove };
}

function newSlice(
  service: Service,
  name: string,
  body: Pick<EndpointSlice, "addressType" | "endpoints" | "ports">,
): Draft<EndpointSlice> {
  const namespace = service.metadata.namespace ?? "";
  return {
    metadata: { name, namespace, labels: labelsOf(service), ownerReferences: [controlledBy(service)] },
    ...body,
  };
}
