import type { Node } from "#api/kubernetes/node.ts";
import { addressText, cidrSize, parseCidr } from "#base/cidr.ts";
import type { Cidr } from "#base/cidr.ts";
import { WeftError } from "#base/errors.ts";
import type { Cluster } from "./cluster.ts";
import { nameOf } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { keyOf } from "#kube/reflector.ts";

/** Length of the prefix of a node's part of the cluster's Pod range. */
const nodePrefix = 24;

function nth(range: Cidr, index: number): string {
  return `${addressText(range.base + index * 2 ** (32 - nodePrefix))}/${nodePrefix}`;
}

/**
 * The first part of the range that is not taken.
 * @throws WeftError `ResourceExhausted` when all are.
 */
function freePart(range: Cidr, taken: ReadonlySet<string>): string {
  const parts = cidrSize(range) / 2 ** (32 - nodePrefix);
  for (let index = 0; index < parts; index += 1) if (!taken.has(nth(range, index))) return nth(range, index);
  throw new WeftError("ResourceExhausted", `all ${parts} parts of the Pod range are taken by nodes`);
}

/** Gives each node its part (a /24) of the cluster's Pod range, `spec.podCIDR`. */
export class NodeRangeController implements Controller {
  readonly name = "node-range";
  // One at a time, so that no part is given twice.
  readonly concurrency = 1;
  readonly #cluster: Cluster;
  readonly #range: Cidr;
  /** Parts given by this controller that the local copy may not show yet, by the node's uid. */
  readonly #given = new Map<string, string>();

  /** @param podRange such as `10.10.0.0/16`; its prefix is at most 24 long. */
  constructor(cluster: Cluster, podRange: string) {
    this.#cluster = cluster;
    this.#range = parseCidr(podRange);
    if (this.#range.prefix > nodePrefix)
      throw new WeftError("InvalidArgument", `the Pod range ${podRange} has no room for a node's /${nodePrefix}`);
  }

  watch(add: (key: string) => void): void {
    this.#cluster.nodes.cache.onChange(({ before, after }) => {
      if (before !== undefined && before.metadata.uid !== after?.metadata.uid) this.#given.delete(before.metadata.uid);
      if (after !== undefined) add(keyOf(after.metadata));
    });
  }

  async work(key: string): Promise<void> {
    const { cache, client } = this.#cluster.nodes;
    const node = cache.get({ name: nameOf(key).name });
    if (node === undefined || partOf(node) !== undefined) return;
    const others = cache.list().flatMap((one) => partOf(one) ?? []);
    const podCIDR =
      this.#given.get(node.metadata.uid) ?? freePart(this.#range, new Set([...others, ...this.#given.values()]));
    this.#given.set(node.metadata.uid, podCIDR);
    const { uid, resourceVersion } = node.metadata;
    const body = { metadata: { uid, resourceVersion }, spec: { podCIDR, podCIDRs: [podCIDR] } };
    await client.patch(node.metadata, { kind: "merge", body });
  }
}

function partOf({ spec }: Node): string | undefined {
  return spec.podCIDR === undefined || spec.podCIDR === "" ? undefined : spec.podCIDR;
}
