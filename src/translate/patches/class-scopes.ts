import type { ChosenPatch } from "#model/envoyfilters.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { ClassScopes } from "../class-scopes.ts";
import { isPlain, parseScope, scopeKey, type StartSettings } from "../scopes.ts";
import type { ProxyView } from "../view.ts";
import { addsFor, meetsContext, type PatchContext } from "./patch.ts";
import { type AddedType, addedKinds, contextsOf, kindsIn, type ScopePatches } from "./scope.ts";

/** Names of what a scope has. */
type NamesIn = (scope: string) => readonly string[];

function grouped(patches: readonly ChosenPatch[]): readonly ScopePatches[] {
  const byFilter = Map.groupBy(patches, ({ filter }) => filter);
  return [...byFilter].map(([filter, all]) => ({ filter, at: all.map(({ index }) => index) }));
}

/** The scope of what a proxy's agent is told: how it is started, and the patches of its bootstrap. */
export function bootstrapScope(start: StartSettings, chosen: readonly ChosenPatch[]): string {
  const patches = grouped(chosen.filter(({ applyTo, operation }) => applyTo === "BOOTSTRAP" && operation === "MERGE"));
  return scopeKey({ kind: "bootstrap", ...start, patches });
}

function addsWhole({ applyTo, operation }: ChosenPatch): boolean {
  const whole = Object.values<string>(addedKinds).includes(applyTo);
  return whole && (operation === "ADD" || operation.startsWith("INSERT_"));
}

/** Patches that concern what is in a scope. */
function concerning(key: string, chosen: readonly ChosenPatch[]): readonly ChosenPatch[] {
  const plain = parseScope(key);
  if (!isPlain(plain)) return [];
  const kinds: readonly string[] = kindsIn(plain);
  const contexts = contextsOf(plain);
  return chosen.filter((patch) => {
    const meets = contexts.some((context) => meetsContext(patch.context, context));
    return kinds.includes(patch.applyTo) && meets && !addsWhole(patch);
  });
}

const contextsFor: Readonly<Record<ProxyView["type"], readonly PatchContext[]>> = {
  sidecar: ["SIDECAR_OUTBOUND", "SIDECAR_INBOUND"],
  router: ["GATEWAY"],
};

function addedScopes(
  type: AddedType,
  { proxy, chosen, others }: { proxy: ProxyView["type"]; chosen: readonly ChosenPatch[]; others: readonly string[] },
  namesIn: NamesIn,
): readonly string[] {
  const taken = new Set<string>();
  let listed = false;
  return contextsFor[proxy].flatMap((context) => {
    const kind = addedKinds[type];
    const adding = chosen.filter(
      (patch) => patch.applyTo === kind && addsWhole(patch) && addsFor(patch.context, context),
    );
    if (adding.length === 0) return [];
    if (!listed) for (const name of others.flatMap(namesIn)) taken.add(name);
    listed = true;
    const scope = { kind: "added", type, context, patches: grouped(adding) } as const;
    const except = namesIn(scopeKey({ ...scope, except: [] })).filter((name) => taken.has(name));
    for (const name of namesIn(scopeKey({ ...scope, except }))) taken.add(name);
    return [scopeKey({ ...scope, except })];
  });
}

/** Configurations are asked for by name, whatever the context of their patches. */
function extensionScopes(chosen: readonly ChosenPatch[]): readonly string[] {
  const patches = chosen.filter(({ applyTo }) => applyTo === "EXTENSION_CONFIG");
  return patches.length === 0 ? [] : [scopeKey({ kind: "extensions", patches: grouped(patches) })];
}

/**
 * The scopes of a class of proxies after the patches that are for them. Without any they are the same; with some, only those
 * scopes are others whose resources these may change, and proxies with the same patches share them.
 */
export function patchedScopes(
  chosen: readonly ChosenPatch[],
  view: ProxyView,
  plain: ClassScopes,
  namesIn: NamesIn,
): ClassScopes {
  if (chosen.length === 0) return plain;
  const wrapped = (key: string): string => {
    const patches = concerning(key, chosen);
    return patches.length === 0 ? key : scopeKey({ kind: "patched", of: key, patches: grouped(patches) });
  };
  const withAdded = (type: AddedType): readonly string[] => {
    const others = plain[type].map(wrapped);
    return [...others, ...addedScopes(type, { proxy: view.type, chosen, others }, namesIn)];
  };
  return {
    ...plain,
    [typeUrls.cluster]: withAdded(typeUrls.cluster),
    [typeUrls.listener]: withAdded(typeUrls.listener),
    [typeUrls.route]: plain[typeUrls.route].map(wrapped),
    [typeUrls.extension]: extensionScopes(chosen),
  };
}
