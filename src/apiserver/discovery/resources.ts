import { createHash } from "node:crypto";
import { resourceName, type Kind } from "#api/kind.ts";
import { apiVersionOf } from "#api/meta.ts";

/** What discovery tells of a resource. Kubernetes' `meta/v1.APIResource`. */
export interface ApiResource {
  readonly name: string;
  readonly singularName: string;
  readonly namespaced: boolean;
  readonly kind: string;
  /** Where the kind is of another group or version than the list. */
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** Changes when objects are stored in another version. */
  readonly storageVersionHash?: string;
}

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

function subresource(kind: Kind, name: string, verbs: readonly string[], of?: Partial<ApiResource>): ApiResource {
  return {
    name: `${kind.plural}/${name}`,
    singularName: "",
    namespaced: kind.namespaced,
    kind: kind.kind,
    ...of,
    verbs,
  };
}

function subresources(kind: Kind): readonly ApiResource[] {
  const changing = ["get", "patch", "update"];
  const any = ["create", "delete", "get", "patch", "update"];
  return [
    ...(kind.status ? [subresource(kind, "status", changing)] : []),
    ...(kind.scale === undefined
      ? []
      : [subresource(kind, "scale", changing, { group: "autoscaling", version: "v1", kind: "Scale" })]),
    ...(resourceName(kind) === "pods"
      ? [
          subresource(kind, "binding", ["create"], { kind: "Binding" }),
          subresource(kind, "eviction", ["create"], { group: "policy", version: "v1", kind: "Eviction" }),
          subresource(kind, "log", ["get"]),
          subresource(kind, "proxy", any, { kind: "PodProxyOptions" }),
        ]
      : []),
    ...(resourceName(kind) === "serviceaccounts"
      ? [
          subresource(kind, "token", ["create"], {
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest",
          }),
        ]
      : []),
  ];
}

/** Kubernetes' own way of making one. */
function storageHash({ group, versions: [stored], kind }: Kind): string {
  return createHash("sha256").update(`${group}/${stored.name}/${kind}`).digest().subarray(0, 8).toString("base64");
}

function resource(kind: Kind): ApiResource {
  const { plural, singular, namespaced, shortNames, categories } = kind;
  return {
    name: plural,
    singularName: singular,
    namespaced,
    kind: kind.kind,
    verbs,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
    storageVersionHash: storageHash(kind),
  };
}

/** A kind with its subresources, as discovery lists them. */
export function apiResources(kind: Kind): readonly ApiResource[] {
  return [resource(kind), ...subresources(kind)];
}

/** What discovery tells of a group that another server serves, as that server's owner describes it. */
export interface AggregatedGroup {
  readonly group: string;
  readonly versions: readonly string[];
  /** The resources of each version, subresources among them (`widgets/status`). */
  readonly resources: readonly ApiResource[];
}

/** A group in discovery, whoever serves it. */
export interface DiscoveredGroup {
  readonly name: string;
  /** The preferred version first. */
  readonly versions: readonly { readonly version: string; readonly resources: readonly ApiResource[] }[];
}

/** Kubernetes' `meta/v1.GroupVersionForDiscovery`. */
export function groupVersion(group: string, version: string): object {
  return { groupVersion: apiVersionOf(group, version), version };
}
