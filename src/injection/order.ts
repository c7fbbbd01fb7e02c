import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { containerNames } from "./template/context.ts";

/** Containers with some of them, in this order, before or after all others. */
function placed(list: readonly Container[], first: readonly string[], last: readonly string[]): readonly Container[] {
  const of = (names: readonly string[]): readonly Container[] =>
    names.flatMap((name) => list.filter((container) => container.name === name));
  const others = list.filter(({ name }) => !first.includes(name) && !last.includes(name));
  return [...of(first), ...others, ...of(last)];
}

/**
 * A Pod whose containers stand as Istio has them. A native sidecar starts before all others, so that they are in the mesh; else traffic
 * is captured after the Pod's own init containers, which have no proxy yet. A proxy that is a container stands last, so that `kubectl
 * exec` means the application, unless the application waits for it.
 */
export function ordered(pod: Pod, hold: boolean): Pod {
  const { proxy, init, validation } = containerNames;
  const { containers, initContainers = [] } = pod.spec;
  const native = initContainers.some(({ name }) => name === proxy);
  const before = native
    ? placed(initContainers, [init, validation, proxy], [])
    : placed(initContainers, [validation], [init]);
  const beside = placed(containers, hold ? [proxy] : [], hold ? [] : [proxy]);
  return { ...pod, spec: { ...pod.spec, containers: beside, ...(before.length > 0 && { initContainers: before }) } };
}
