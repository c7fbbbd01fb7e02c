import type { ResourceObject } from "#api/meta.ts";
import { mergedCidrs } from "#base/cidr.ts";

/** How many ranges are told at most: nodes of one cluster mostly have neighbouring ones, which are told as one. */
const mostRanges = 256;

function rangesOf(node: ResourceObject): readonly string[] {
  const { podCIDRs, podCIDR } = (node["spec"] ?? {}) as { readonly podCIDRs?: unknown; readonly podCIDR?: unknown };
  const all = Array.isArray(podCIDRs) ? (podCIDRs as unknown[]) : [podCIDR];
  return all.filter((each) => typeof each === "string");
}

/** The nodes of a cluster, as far as the cluster's status tells of them. */
export class NodeCensus {
  readonly #ranges = new Map<string, readonly string[]>();
  readonly #changed: () => void;
  #merged: readonly string[] | undefined;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  put(node: ResourceObject): void {
    const ranges = rangesOf(node);
    const before = this.#ranges.get(node.metadata.name);
    if (before?.join() === ranges.join()) return;
    this.#ranges.set(node.metadata.name, ranges);
    this.#told();
  }

  remove({ metadata }: ResourceObject): void {
    if (this.#ranges.delete(metadata.name)) this.#told();
  }

  get count(): number {
    return this.#ranges.size;
  }

  /** The ranges of Pod addresses of all of them, neighbouring ones as one. */
  get podRanges(): readonly string[] {
    this.#merged ??= mergedCidrs([...this.#ranges.values()].flat()).slice(0, mostRanges);
    return this.#merged;
  }

  #told(): void {
    this.#merged = undefined;
    this.#changed();
  }
}
