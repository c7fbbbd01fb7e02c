import type { Kind } from "../kind.ts";

/** What kinds of Kubernetes have in common unless they say otherwise. */
type KubernetesKind = Omit<Kind, "group" | "versions" | "singular" | "categories" | "namespaced" | "home"> &
  Partial<Pick<Kind, "group" | "categories" | "namespaced" | "home">>;

/** A kind of Kubernetes' API in version v1: namespaced, of the core group and kept in each cluster unless told. */
export function kubernetesKind(parts: KubernetesKind): Kind {
  return {
    group: "",
    categories: [],
    namespaced: true,
    home: "cluster",
    strategicMerge: true,
    ...parts,
    versions: [{ name: "v1" }],
    singular: parts.kind.toLowerCase(),
  };
}
