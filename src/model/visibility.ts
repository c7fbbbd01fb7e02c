/** How far ServiceEntries are seen by the mesh's word: Istio's `serviceEntryVisibility`. */
import type { Visibility } from "#api/istio/mesh-config.ts";
import { selects } from "#api/kubernetes/selector.ts";
import type { StringMap } from "#api/meta.ts";
import { everyone } from "./client.ts";
import type { MeshSettings } from "./mesh.ts";

/** How far the mesh lets ServiceEntries of a namespace be seen. */
type Reach = Exclude<Visibility, "VISIBILITY_UNSPECIFIED">;

/**
 * How far ServiceEntries of a namespace may be seen: as the first policy says whose rules all hold, else as the default says.
 * @param labels the namespace's; asked for only where they decide something.
 */
export function reachOf({ serviceEntryVisibility }: MeshSettings, labels: () => StringMap): Reach {
  // Without this Istio limits proxies of ambient mode only.
  if (serviceEntryVisibility?.applyToSidecars !== true) return "PUBLIC";
  const { policies = [], defaultVisibility } = serviceEntryVisibility;
  const policy = policies.find(({ matchingRules = [] }) =>
    // A rule that says nothing, or something that is not known, holds for nothing.
    matchingRules.every(({ namespaceSelector }) => namespaceSelector && selects(namespaceSelector, labels())),
  );
  const reach = policy ? policy.visibility : defaultVisibility;
  return reach === undefined || reach === "VISIBILITY_UNSPECIFIED" ? "PUBLIC" : reach;
}

/** What is left of an `exportTo` within a reach, which only ever takes away. */
export function withinReach(exportTo: readonly string[], reach: Reach, owner: string): readonly string[] {
  if (reach === "PUBLIC") return exportTo;
  const own = [everyone, ".", owner].some((each) => exportTo.includes(each));
  return reach === "NAMESPACE" && own ? ["."] : ["~"];
}
