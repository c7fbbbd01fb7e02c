import type { Kind } from "#api/kind.ts";
import { isMemberKind } from "#api/member-api.ts";
import type { EndpointView } from "./context.ts";

/** A group as an endpoint serves it. */
export interface ServedGroup {
  readonly name: string;
  readonly versions: readonly ServedVersion[];
}

/** A version of a group, with its kinds. */
interface ServedVersion {
  readonly version: string;
  readonly kinds: readonly Kind[];
}

/** A cluster's endpoint serves all kinds; the mesh's, those that are not a cluster's own. */
const served: Readonly<Record<EndpointView, (kind: Kind) => boolean>> = {
  cluster: () => true,
  mesh: ({ home }) => home !== "cluster",
  member: isMemberKind,
};

/** The kinds that an endpoint serves, as URLs and discovery ask for them. */
export class ServedKinds {
  readonly all: readonly Kind[];
  /** The core group first, then as the kinds were given. */
  readonly groups: readonly ServedGroup[];
  readonly #byPath = new Map<string, Kind>();
  readonly #byName = new Map<string, Kind>();

  constructor(kinds: readonly Kind[], view: EndpointView) {
    this.all = kinds.filter(served[view]);
    const groups = new Map<string, Map<string, Kind[]>>([["", new Map()]]);
    for (const kind of this.all) {
      this.#byName.set(`${kind.group}/${kind.kind}`, kind);
      const versions = groups.get(kind.group) ?? new Map<string, Kind[]>();
      groups.set(kind.group, versions);
      for (const { name } of kind.versions) {
        this.#byPath.set(`${kind.group}/${name}/${kind.plural}`, kind);
        versions.set(name, [...(versions.get(name) ?? []), kind]);
      }
    }
    this.groups = [...groups].map(([name, versions]) => ({
      name,
      versions: [...versions].map(([version, kinds]) => ({ version, kinds })),
    }));
  }

  /** The kind at a URL. */
  at(group: string, version: string, plural: string): Kind | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  /** The kind of a name, in any version. */
  named(group: string, kind: string): Kind | undefined {
    return this.#byName.get(`${group}/${kind}`);
  }
}
