import type { ResourceObject } from "#api/meta.ts";

/** A condition of a namespace, as far as it is read. */
interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
}

/** What else a namespace can wait for. Kubernetes' names. */
const others = [
  "NamespaceDeletionGroupVersionParsingFailure",
  "NamespaceDeletionContentFailure",
  "NamespaceContentRemaining",
  "NamespaceFinalizersRemaining",
] as const;

/** A group with its version where the message says what became of it: `networking.istio.io/v1: stale GroupVersion discovery`. */
const failed = /([a-z0-9][a-z0-9.-]*\/v[a-z0-9]+): /g;

/**
 * The APIs that alone keep a namespace from going: all else in it is gone, and these could not be asked. Kubernetes' namespace
 * controller tells so in the namespace's conditions.
 * @returns each as `group/version`; undefined where something else keeps it too, nothing does, or it is not known what.
 */
export function onlyBlockedBy({ metadata, status }: ResourceObject): readonly string[] | undefined {
  if (metadata.deletionTimestamp === undefined) return undefined;
  const { conditions = [] } = (status ?? {}) as { readonly conditions?: readonly Condition[] };
  const is = (type: string): string | undefined => conditions.find((condition) => condition.type === type)?.status;
  if (!others.every((type) => is(type) === "False")) return undefined;
  const discovery = conditions.find(({ type }) => type === "NamespaceDeletionDiscoveryFailure");
  if (discovery?.status !== "True") return undefined;
  const { message = "" } = discovery;
  const count = Number(/^Discovery failed for some groups, (\d+) failing: /.exec(message)?.[1] ?? "0");
  const names = [...new Set([...message.matchAll(failed)].map(([, name = ""]) => name))];
  // A message that was not understood wholly could leave out what matters.
  return count > 0 && names.length === count ? names : undefined;
}
