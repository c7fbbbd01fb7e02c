import { isDeepStrictEqual } from "node:util";
import type { LabelSelector } from "#api/kubernetes/meta.ts";
import { selects } from "#api/kubernetes/selector.ts";
import type { StringMap } from "#api/meta.ts";

/**
 * The namespaces that a mesh reads: those with labels that one of `discoverySelectors` of its MeshConfig selects, and all
 * where it has none. Each cluster has labels of its own. The mesh's own objects, which every cluster's API shows, are read
 * where the namespace is selected in the mesh's API or in any cluster.
 */
export class DiscoveredNamespaces {
  #selectors: readonly LabelSelector[] = [];
  /** Labels by namespace, then by cluster. */
  readonly #labels = new Map<string, Map<string, StringMap>>();

  /**
   * Whether objects of a namespace are read.
   * @param cluster empty for the mesh's own objects.
   * @param namespace empty for objects without any, which are always read.
   */
  has(cluster: string, namespace: string): boolean {
    if (this.#selectors.length === 0 || namespace === "") return true;
    const labels = this.#labels.get(namespace);
    if (labels === undefined) return false;
    if (cluster === "") return [...labels.values()].some((each) => this.#selects(each));
    return this.#selects(labels.get(cluster));
  }

  /** @returns whether they are others than before. */
  setSelectors(selectors: readonly LabelSelector[]): boolean {
    if (isDeepStrictEqual(selectors, this.#selectors)) return false;
    this.#selectors = selectors;
    return true;
  }

  /**
   * Takes a Namespace's labels; undefined where it is gone.
   * @returns whether other objects of a namespace of this name are read than before.
   */
  setLabels(cluster: string, namespace: string, labels: StringMap | undefined): boolean {
    const before = [this.has(cluster, namespace), this.has("", namespace)];
    const all = this.#labels.get(namespace) ?? new Map<string, StringMap>();
    if (labels === undefined) all.delete(cluster);
    else all.set(cluster, labels);
    if (all.size === 0) this.#labels.delete(namespace);
    else this.#labels.set(namespace, all);
    return !isDeepStrictEqual(before, [this.has(cluster, namespace), this.has("", namespace)]);
  }

  /** Namespaces that a cluster has. */
  of(cluster: string): readonly string[] {
    return [...this.#labels].flatMap(([namespace, labels]) => (labels.has(cluster) ? [namespace] : []));
  }

  #selects(labels: StringMap | undefined): boolean {
    return labels !== undefined && this.#selectors.some((selector) => selects(selector, labels));
  }
}
