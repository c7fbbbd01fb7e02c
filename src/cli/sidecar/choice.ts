import { parseLabelSelector } from "#apiserver/selectors/label.ts";
import type { StringMap } from "#api/meta.ts";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import type { ChoiceFlags } from "./choice-flags.ts";

/** The proxies that flags choose. @throws WeftError `InvalidArgument` for a selector that is none. */
export function chosen(all: readonly ProxyObject[], flags: ChoiceFlags): readonly ProxyObject[] {
  const { namespace, selector, cluster, phase } = flags;
  const matches = selector === undefined ? undefined : parseLabelSelector(selector);
  return all.filter(
    ({ metadata, spec, status }) =>
      (namespace === undefined || metadata.namespace === namespace) &&
      (cluster === undefined || spec.cluster === cluster) &&
      (phase === undefined || status.phase.toLowerCase() === phase.toLowerCase()) &&
      (!matches || matches(metadata.labels as StringMap | undefined)),
  );
}
