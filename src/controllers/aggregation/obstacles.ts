import type { Finding } from "#api/finding.ts";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { valueAt } from "#api/columns.ts";
import { memberNamespace, memberServiceName } from "#api/member-api.ts";
import { memberGroupVersions } from "./objects.ts";

/** What a member has that may be in the way. */
export interface Existing {
  /** Its `apiextensions.k8s.io/v1` CustomResourceDefinitions. */
  readonly definitions: readonly ResourceObject[];
  /** Its `apiregistration.k8s.io/v1` APIServices. */
  readonly apiServices: readonly ResourceObject[];
}

/** What keeps a member from serving the mesh's objects, each thing once; nothing where nothing is in the way. */
export function obstacles(member: string, kinds: readonly Kind[], existing: Existing): readonly Finding[] {
  const groups = memberGroupVersions(kinds);
  const inGroups = existing.definitions.filter((object) => groups.has(String(valueAt(object, "spec", "group"))));
  const defined = new Set(inGroups.map((object) => valueAt(object, "spec", "group")));
  const strangers = existing.apiServices.filter((object) => {
    const group = valueAt(object, "spec", "group");
    // That of a CRD's group goes with the CRD, and needs no words of its own.
    if (typeof group !== "string" || !groups.has(group) || defined.has(group)) return false;
    const service = valueAt(object, "spec", "service") as {
      readonly namespace?: string;
      readonly name?: string;
    } | null;
    return service?.namespace !== memberNamespace || service.name !== memberServiceName(member);
  });
  return [
    ...inGroups.map((object) => definitionFinding(member, object)),
    ...strangers.map((object) => strangerFinding(member, object)),
  ];
}

function definitionFinding(member: string, object: ResourceObject): Finding {
  const { name } = object.metadata;
  return {
    code: "DefinitionInTheWay",
    severity: "error",
    resource: { group: "apiextensions.k8s.io", kind: "CustomResourceDefinition", name, cluster: member },
    message: `cluster "${member}" keeps objects of its own by this definition, so that those of the mesh cannot be served in their place. Import its objects into the mesh and delete the definition`,
  };
}

function strangerFinding(member: string, object: ResourceObject): Finding {
  const service = valueAt(object, "spec", "service") as { readonly namespace?: string; readonly name?: string } | null;
  const by = service?.name === undefined ? "the cluster itself" : `Service ${service.namespace ?? ""}/${service.name}`;
  return {
    code: "ApiServiceInTheWay",
    severity: "error",
    resource: { group: "apiregistration.k8s.io", kind: "APIService", name: object.metadata.name, cluster: member },
    message: `cluster "${member}" has this group served by ${by} already. Delete this APIService, or take the cluster out of what uses it`,
  };
}
