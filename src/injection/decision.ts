import type { LabelSelector } from "#api/kubernetes/meta.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { selects } from "#api/kubernetes/selector.ts";
import type { InjectionSettings } from "./settings.ts";

/** The label, and the old annotation, by which a Pod says whether it gets a proxy. */
export const injectLabel = "sidecar.istio.io/inject";

/** Namespaces of the cluster itself, whose Pods never get a proxy. */
export const ignoredNamespaces: readonly string[] = [
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
];

/** A selector that asks nothing chooses nothing, as in Istio. */
function chooses(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const empty = Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
  return !empty && selects(selector, labels);
}

/**
 * Whether a Pod that the webhook is asked about gets a proxy: by its own word (only `true` and `false` count; the label goes before the
 * annotation), then by the selectors, then by the policy.
 * @param namespace where it is made.
 */
export function isInjected({ metadata, spec }: Pod, namespace: string, settings: InjectionSettings): boolean {
  // Rules of capture would be those of the node.
  if (spec.hostNetwork === true || ignoredNamespaces.includes(namespace)) return false;
  const { labels = {}, annotations = {} } = metadata;
  const word = labels[injectLabel] ?? annotations[injectLabel];
  if (word === "true" || word === "false") return word === "true";
  if (settings.neverInjectSelector.some((selector) => chooses(selector, labels))) return false;
  if (settings.alwaysInjectSelector.some((selector) => chooses(selector, labels))) return true;
  return settings.policy === "enabled";
}
