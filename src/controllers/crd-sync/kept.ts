import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import type { ResourceObject } from "#api/meta.ts";
import { contentHash } from "#base/content-hash.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { contentOf } from "./content.ts";
import type { ConflictReason, SideName } from "./decision.ts";

/** What somebody wrote and did not stand. */
export interface KeptVersion {
  /** The ConfigMap that holds it: delete it when it has been dealt with. */
  readonly name: string;
  readonly object: string;
  readonly reason: ConflictReason;
  /** Where it was written. */
  readonly side: SideName;
  /** RFC 3339. */
  readonly at: string;
  /** What it said; undefined where it was deleted. */
  readonly content?: Readonly<Record<string, unknown>>;
}

/** Where versions of one member's conflicts are kept. */
export interface KeptPlace {
  /** The mesh's API. */
  readonly client: Client;
  readonly namespace: string;
  readonly member: string;
  /** Versions that are kept; 500 unless told. When there are so many, conflicts wait. */
  readonly most?: number;
}

/** The label of the ConfigMaps that hold versions. */
const keptLabel = "mesh.weft.dev/conflict-of";
const usualMost = 500;

/** All versions that are kept of a member's conflicts, oldest first. */
export async function keptVersions({ client, namespace, member }: KeptPlace): Promise<readonly KeptVersion[]> {
  const selection = { namespace, labelSelector: `${keptLabel}=${member}` };
  const { items } = await client.of<ConfigMap>(configMap).list(selection);
  const versions = items.map(({ metadata: { name }, data = {} }): KeptVersion => {
    const { object = "", reason = "", side = "", at = "", content } = data;
    return {
      name,
      object,
      at,
      reason: reason as ConflictReason,
      side: side as SideName,
      ...(content !== undefined && { content: JSON.parse(content) as Readonly<Record<string, unknown>> }),
    };
  });
  return versions.toSorted((one, other) => (one.at < other.at ? -1 : 1));
}

/** Keeps what did not stand, in ConfigMaps of the mesh, until somebody takes it away. */
export class KeptVersions {
  readonly #place: KeptPlace;
  #count: number | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(place: KeptPlace) {
    this.#place = place;
  }

  /**
   * Keeps a version. Resolves when that is stored.
   * @param loser undefined where what did not stand is a deletion.
   * @throws WeftError `ResourceExhausted` when there are too many already.
   */
  async keep(
    what: Pick<KeptVersion, "object" | "reason" | "side" | "at">,
    loser: ResourceObject | undefined,
  ): Promise<void> {
    // One after the other: each counts.
    const kept = this.#last.catch(() => undefined).then(async () => this.#keep(what, loser));
    this.#last = kept;
    return kept;
  }

  async #keep(
    { object, reason, side, at }: Pick<KeptVersion, "object" | "reason" | "side" | "at">,
    loser: ResourceObject | undefined,
  ): Promise<void> {
    const { client, namespace, member, most = usualMost } = this.#place;
    if (this.#count === undefined || this.#count >= most) this.#count = (await keptVersions(this.#place)).length;
    if (this.#count >= most) {
      throw new WeftError(
        "ResourceExhausted",
        `${most} versions that did not stand are kept for ${member} already: see weft cluster drift ${member}, and delete the ConfigMaps of those that were dealt with`,
      );
    }
    const content = loser && contentOf(loser);
    const name = `weft-conflict-${member}-${contentHash([object, side, content ?? null, loser?.metadata.uid ?? at]).slice(0, 20)}`;
    const data = { object, reason, side, at, ...(content && { content: JSON.stringify(content) }) };
    try {
      const metadata = { namespace, name, labels: { [keptLabel]: member } };
      await client.of<ConfigMap>(configMap).create({ metadata, data });
      this.#count += 1;
    } catch (error) {
      // The same version did not stand before.
      if (codeOf(error) !== "AlreadyExists") throw error;
    }
  }
}
