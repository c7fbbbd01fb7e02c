import type { ConfigPatch, EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** What parts of a route configuration can only be merged into. */
const routeParts: ReadonlySet<string> = new Set(["ROUTE_CONFIGURATION", "HTTP_ROUTE"]);
const replaceable: ReadonlySet<string> = new Set(["HTTP_FILTER", "NETWORK_FILTER", "VIRTUAL_HOST"]);
const relative: ReadonlySet<string> = new Set(["INSERT_BEFORE", "INSERT_AFTER", "REMOVE", "REPLACE"]);

/** The name of what a patch puts in, or of the filter that it is put beside. */
function nameOf({ patch, match }: ConfigPatch): string {
  const name = (patch?.value as { readonly name?: unknown } | undefined)?.name;
  if (typeof name === "string") return name;
  return patch?.value === undefined ? "" : (match?.listener?.filterChain?.filter?.name ?? "");
}

/** What is wrong with a patch by itself: the code, and what to do. */
export function misuse({
  applyTo = "INVALID",
  patch,
}: ConfigPatch): readonly [code: string, message: string] | undefined {
  const operation = patch?.operation ?? "";
  if (operation === "ADD" && routeParts.has(applyTo)) {
    return ["EnvoyFilterUsesAddOperationIncorrectly", `ADD does nothing to ${applyTo}; use MERGE or INSERT_FIRST.`];
  }
  if (operation === "REMOVE" && routeParts.has(applyTo)) {
    return ["EnvoyFilterUsesRemoveOperationIncorrectly", `REMOVE does nothing to ${applyTo}.`];
  }
  if (operation === "REPLACE" && !replaceable.has(applyTo)) {
    const message = `REPLACE does nothing to ${applyTo}; it is for HTTP_FILTER, NETWORK_FILTER and VIRTUAL_HOST. Use MERGE.`;
    return ["EnvoyFilterUsesReplaceOperationIncorrectly", message];
  }
  return undefined;
}

function* patches({ all }: MeshObjects): Generator<Problem> {
  const versioned = new Set<string>();
  for (const { ref, spec } of all<EnvoyFilterSpec>("EnvoyFilter")) {
    for (const [index, patch] of (spec.configPatches ?? []).entries()) {
      const field = `spec.configPatches[${index}]`;
      const wrong = misuse(patch);
      const operation = patch.patch?.operation ?? "";
      if (wrong) yield problemOf(ref, { code: wrong[0], severity: "error", field, message: wrong[1] });
      else if (relative.has(operation) && !spec.priority) {
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
  description: "Checks the operations of EnvoyFilters",
  problems: patches,
};
