import { isObject, type JsonObject } from "#api/json.ts";
import type { Container } from "#api/kubernetes/container.ts";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { ownValue } from "#api/record.ts";
import { applyStrategicPatch } from "#api/strategic/merge.ts";
import { WeftError } from "#base/errors.ts";
import { containerNames } from "./template/context.ts";
import type { PodPart } from "./template/template.ts";

/** The annotation that keeps what a Pod's owner said of injected containers, for the next time. */
const overridesAnnotation = "proxy.istio.io/overrides";
/** The annotation that says what was injected. */
export const statusAnnotation = "sidecar.istio.io/status";

/** Containers of both sorts. */
export interface Containers {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
}

/** Names of containers of both sorts. */
interface Names {
  readonly containers: readonly string[];
  readonly initContainers: readonly string[];
}

function parsed(pod: Pod, annotation: string): JsonObject | undefined {
  const text = ownValue(pod.metadata.annotations, annotation);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  throw new WeftError(
    "InvalidArgument",
    `annotation ${annotation} is no map in JSON; it is written by the injection alone`,
  );
}

function listAt(value: JsonObject | undefined, name: string): readonly never[] {
  const list = value?.[name];
  return Array.isArray(list) ? (list as never[]) : [];
}

/** What the Pod's owner said of injected containers before the Pod was injected first; empty for what never was. */
function keptOverrides(pod: Pod): Containers {
  const value = parsed(pod, overridesAnnotation);
  return { containers: listAt(value, "containers"), initContainers: listAt(value, "initContainers") };
}

/** The containers that were injected before; undefined for none. */
export function injectedBefore(pod: Pod): Names | undefined {
  const value = parsed(pod, statusAnnotation);
  return value && { containers: listAt(value, "containers"), initContainers: listAt(value, "initContainers") };
}

/** Containers without those that were injected, but with what the owner said of these. */
function left(list: readonly Container[] = [], gone: readonly string[], own: readonly Container[]) {
  const others = list.filter(({ name }) => !gone.includes(name));
  return [...others, ...own.filter(({ name }) => !others.some((each) => each.name === name))];
}

/** The Pod as its owner wrote it: without what was injected before. */
export function withoutInjection(pod: Pod): Pod {
  const before = injectedBefore(pod);
  if (!before) return pod;
  const kept = keptOverrides(pod);
  const { [statusAnnotation]: _status, ...annotations } = pod.metadata.annotations ?? {};
  const { containers, initContainers } = pod.spec;
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations },
    spec: {
      ...pod.spec,
      containers: left(containers, before.containers, kept.containers),
      initContainers: left(initContainers, before.initContainers, kept.initContainers),
    },
  };
}

/** Merges a part into a Pod, as a strategic merge patch. */
export function merged(pod: Pod, part: PodPart): Pod {
  return applyStrategicPatch(podKind, pod, part) as unknown as Pod;
}

/** What an owner says of a container that is injected; the image `auto` stands for the injected one. */
function overlayOf(container: Container): Container {
  const { image, ...others } = container;
  return image === "auto" || image === undefined ? others : container;
}

function named(list: readonly Container[] | undefined, name: string): Container | undefined {
  return list?.find((container) => container.name === name);
}

/** What the Pod's owner said of each container that templates bring, by the sort of container that it is injected as. */
export function overridesOf(pod: Pod, template: Pod): Containers {
  const [kept, before] = [keptOverrides(pod), injectedBefore(pod)];
  const { containers, initContainers } = pod.spec;
  const of = (sort: keyof Containers, own: (name: string) => Container | undefined): readonly Container[] =>
    (template.spec[sort] ?? []).flatMap(({ name }) => {
      // What was injected before is not its owner's; what the owner said then was kept.
      const told = named(kept[sort], name) ?? (before?.[sort].includes(name) === true ? undefined : own(name));
      return told ? [overlayOf(told)] : [];
    });
  return {
    containers: of("containers", (name) => named(containers, name)),
    // A proxy that starts before the application is still told of beside it.
    initContainers: of("initContainers", (name) => named(containers, name) ?? named(initContainers, name)),
  };
}

/**
 * Puts what the Pod's owner said over what was injected, and keeps it, unless that was done before.
 * @param original the Pod before this injection.
 */
export function withOverrides(pod: Pod, overrides: Containers, original: Pod): Pod {
  const { containers, initContainers } = overrides;
  if (containers.length === 0 && initContainers.length === 0) return pod;
  const told = {
    ...(containers.length > 0 && { containers }),
    ...(initContainers.length > 0 && { initContainers }),
  };
  const metadata = { annotations: { [overridesAnnotation]: JSON.stringify(told) } };
  return merged(pod, { ...(!injectedBefore(original) && { metadata }), spec: told });
}

/** Moves a proxy that the owner describes among the containers to the init containers, where it is injected. */
export function withMovedProxy(pod: Pod): Pod {
  const proxy = named(pod.spec.containers, containerNames.proxy);
  if (!proxy) return pod;
  const { containers, initContainers = [] } = pod.spec;
  const spec = {
    ...pod.spec,
    containers: containers.filter((each) => each !== proxy),
    initContainers: [...initContainers, proxy],
  };
  return { ...pod, spec };
}

/** The containers that capture traffic must leave the traffic of the user alone that the owner gives to the proxy. */
export function withCapturedUser(pod: Pod, owner: Pod): Pod {
  const all = [...owner.spec.containers, ...(owner.spec.initContainers ?? [])];
  const { runAsUser: user, runAsGroup: group } = named(all, containerNames.proxy)?.securityContext ?? {};
  if (user === undefined && group === undefined) return pod;
  const captures: ReadonlySet<string> = new Set([containerNames.init, containerNames.validation]);
  const initContainers = pod.spec.initContainers?.map((container): Container => {
    if (!captures.has(container.name)) return container;
    const { args = [], securityContext = {} } = container;
    const place = args.indexOf("-u") + 1;
    const told = user !== undefined && user !== 0 && place > 0 ? args.with(place, String(user)) : args;
    const own = { ...(user !== undefined && { runAsUser: user }), ...(group !== undefined && { runAsGroup: group }) };
    const checks = container.name === containerNames.validation;
    return { ...container, args: told, ...(checks && { securityContext: { ...securityContext, ...own } }) };
  });
  return { ...pod, spec: { ...pod.spec, ...(initContainers && { initContainers }) } };
}
