import { apiVersionOf } from "#api/meta.ts";
import { prepare, type Prepared } from "../prepared.ts";
import type { ServedKinds } from "../served-kinds.ts";
import {
  apiResources,
  groupVersion,
  type AggregatedGroup,
  type ApiResource,
  type DiscoveredGroup,
} from "./resources.ts";

/** What an endpoint tells of the groups that it serves, in Kubernetes' old and new form. */
export class DiscoveryDocuments {
  readonly #core: DiscoveredGroup;
  readonly #named: readonly DiscoveredGroup[];
  readonly #aggregated = new Map<string, Prepared>();

  constructor(kinds: ServedKinds, aggregated: readonly AggregatedGroup[]) {
    const own = kinds.groups.map(({ name, versions }) => ({
      name,
      versions: versions.map(({ version, kinds }) => ({ version, resources: kinds.flatMap(apiResources) })),
    }));
    const others = aggregated.map(({ group, versions, resources }) => ({
      name: group,
      versions: versions.map((version) => ({ version, resources })),
    }));
    this.#core = own.find(({ name }) => name === "") ?? { name: "", versions: [] };
    this.#named = [...own.filter(({ name }) => name !== ""), ...others];
  }

  /** `/api`: Kubernetes' `meta/v1.APIVersions`. */
  coreVersions(): object {
    return {
      kind: "APIVersions",
      versions: this.#core.versions.map(({ version }) => version),
      serverAddressByClientCIDRs: [],
    };
  }

  /** `/apis`: Kubernetes' `meta/v1.APIGroupList`. */
  groups(): object {
    return { kind: "APIGroupList", apiVersion: "v1", groups: this.#named.map(groupOf) };
  }

  /** `/apis/GROUP`: Kubernetes' `meta/v1.APIGroup`. */
  group(name: string): object | undefined {
    const group = this.#named.find((group) => group.name === name);
    return group === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupOf(group) };
  }

  /** `/api/VERSION` and `/apis/GROUP/VERSION`: Kubernetes' `meta/v1.APIResourceList`. */
  resources(group: string, version: string): object | undefined {
    const served = group === "" ? this.#core : this.#named.find(({ name }) => name === group);
    const found = served?.versions.find((candidate) => candidate.version === version);
    if (found === undefined) return undefined;
    return {
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: apiVersionOf(group, version),
      resources: found.resources,
    };
  }

  /** `/api` or `/apis` in one document: Kubernetes' `apidiscovery.k8s.io.APIGroupDiscoveryList`. */
  aggregated(core: boolean, version: string): Prepared {
    const name = `${core ? "api" : "apis"} ${version}`;
    const made = this.#aggregated.get(name) ?? prepare(this.#aggregate(core, version));
    this.#aggregated.set(name, made);
    return made;
  }

  #aggregate(core: boolean, version: string): object {
    const groups = core ? [this.#core] : this.#named;
    return {
      kind: "APIGroupDiscoveryList",
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items: groups.map((group) => ({
        metadata: { ...(group.name === "" ? {} : { name: group.name }), creationTimestamp: null },
        versions: group.versions.map(({ version, resources }) => ({
          version,
          resources: discovered(group.name, version, resources),
          freshness: "Current",
        })),
      })),
    };
  }
}

function groupOf({ name, versions }: DiscoveredGroup): object {
  const all = versions.map(({ version }) => groupVersion(name, version));
  return { name, versions: all, preferredVersion: all[0] };
}

/** Resources in the new form, in which subresources stand inside their resource. */
function discovered(group: string, version: string, resources: readonly ApiResource[]): readonly object[] {
  const kindOf = (resource: ApiResource): object => ({
    group: resource.group ?? group,
    version: resource.version ?? version,
    kind: resource.kind,
  });
  return resources
    .filter(({ name }) => !name.includes("/"))
    .map((resource) => ({
      resource: resource.name,
      responseKind: kindOf(resource),
      scope: resource.namespaced ? "Namespaced" : "Cluster",
      singularResource: resource.singularName,
      verbs: resource.verbs,
      ...(resource.shortNames === undefined ? {} : { shortNames: resource.shortNames }),
      ...(resource.categories === undefined ? {} : { categories: resource.categories }),
      subresources: resources
        .filter(({ name }) => name.startsWith(`${resource.name}/`))
        .map((sub) => ({
          subresource: sub.name.slice(resource.name.length + 1),
          responseKind: kindOf(sub),
          verbs: sub.verbs,
        })),
    }));
}
