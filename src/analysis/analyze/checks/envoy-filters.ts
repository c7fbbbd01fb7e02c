import type { Finding } from "#api/finding.ts";
import type { ConfigPatch, EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

const relative: ReadonlySet<string> = new Set(["INSERT_BEFORE", "INSERT_AFTER", "REMOVE", "REPLACE"]);

/** The name of what a patch puts in, or of the filter that it is put beside. */
function nameOf({ patch, match }: ConfigPatch): string {
  const name = (patch?.value as { readonly name?: unknown } | undefined)?.name;
  if (typeof name === "string") return name;
  return patch?.value === undefined ? "" : (match?.listener?.filterChain?.filter?.name ?? "");
}

/** Istio's messages of operations that do nothing to what they are applied to. */
const misuses: Readonly<Record<string, string>> = {
  ADD: "EnvoyFilterUsesAddOperationIncorrectly",
  REMOVE: "EnvoyFilterUsesRemoveOperationIncorrectly",
  REPLACE: "EnvoyFilterUsesReplaceOperationIncorrectly",
};

/** The same finding with Istio's name, where it is of an operation that has no effect. */
export function namedMisuse(finding: Finding, { configPatches = [] }: EnvoyFilterSpec): Finding {
  const [, index] = /^spec\.configPatches\[(\d+)\]\.patch\.operation$/.exec(finding.field ?? "") ?? [];
  const operation = configPatches[Number(index ?? -1)]?.patch?.operation;
  const code = finding.code === "NoEffect" && operation !== undefined ? misuses[operation] : undefined;
  return code === undefined ? finding : { ...finding, code };
}

function* patches({ all, mesh }: MeshObjects): Generator<Problem> {
  const versioned = new Set<string>();
  for (const { ref, namespace, name, spec } of all<EnvoyFilterSpec>("EnvoyFilter")) {
    const vain = mesh.translator.findings({ kind: "EnvoyFilter", namespace, name });
    for (const [index, patch] of (spec.configPatches ?? []).entries()) {
      const field = `spec.configPatches[${index}]`;
      const operation = patch.patch?.operation ?? "";
      const isVain = vain.some(({ code, field: at = "" }) => code === "NoEffect" && at.startsWith(field));
      if (relative.has(operation) && !spec.priority && !isVain) {
        const code = versioned.has(nameOf(patch))
          ? "EnvoyFilterUsesRelativeOperationWithProxyVersion"
          : "EnvoyFilterUsesRelativeOperation";
        const more = versioned.has(nameOf(patch)) ? ", for some proxy versions," : "";
        const message = `${operation} needs what another EnvoyFilter${more} may put in later. Set spec.priority, or use INSERT_FIRST or ADD.`;
        yield problemOf(ref, { code, field, message });
      }
      if ((patch.match?.proxy?.proxyVersion ?? "") !== "") versioned.add(nameOf(patch));
    }
  }
}

/** Patches that do nothing, or not always. */
export const envoyPatchAnalyzer: Analyzer = {
  name: "envoyfilter.EnvoyPatchAnalyzer",
  description: "Checks that EnvoyFilters do not depend on the order in which they are applied",
  problems: patches,
};
