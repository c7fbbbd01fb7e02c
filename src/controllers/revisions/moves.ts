import { type Namespace, namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { StringMap } from "#api/meta.ts";
import { injectionLabel, isAmong, revisionLabel } from "#api/weft/revisions.ts";
import type { Client } from "#kube/client.ts";
import { movedFrom } from "./tags.ts";

/** A namespace that is to follow another revision, or that goes back. */
export interface Move {
  readonly namespace: Namespace;
  /** Labels that it is to have; null takes one away. */
  readonly labels: Readonly<Record<string, string | null>>;
  /** Its labels before, as they are noted on it; null when it is back. */
  readonly before: string | null;
}

const labelNames = [injectionLabel, revisionLabel] as const;

function labelsOf({ metadata: { labels = {} } }: Namespace): StringMap {
  return Object.fromEntries(
    labelNames.flatMap((name) => (labels[name] === undefined ? [] : [[name, labels[name]] as const])),
  );
}

/** The labels that a namespace had before it was moved; undefined where it was not. */
function noted({ metadata: { annotations = {} } }: Namespace): StringMap | undefined {
  const text = annotations[movedFrom];
  if (text === undefined) return undefined;
  try {
    const read = JSON.parse(text) as unknown;
    const entries = Object.entries(typeof read === "object" && read !== null ? read : {});
    const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === "string");
    return Object.fromEntries(texts.filter(([name]) => labelNames.some((each) => each === name)));
  } catch {
    return undefined;
  }
}

/** The revision that a namespace was moved to; undefined where it has labels of its own. */
export function movedTo(namespace: Namespace): string | undefined {
  return noted(namespace) && namespace.metadata.labels?.[revisionLabel];
}

/** Whether it was moved to a revision. */
export function isMovedTo(namespace: Namespace, revision: string): boolean {
  return movedTo(namespace) === revision;
}

/** What is noted of a namespace that was moved by its name, and so does not go back when a share of all is lowered. */
const byName = { by: "name" } as const;

function isByName({ metadata: { annotations = {} } }: Namespace): boolean {
  return annotations[movedFrom]?.includes(`"by":"${byName.by}"`) === true;
}

function toRevision(namespace: Namespace, revision: string, note: object): Move {
  const before = noted(namespace) ?? labelsOf(namespace);
  const labels = { [injectionLabel]: null, [revisionLabel]: revision };
  return { namespace, labels, before: JSON.stringify({ ...before, ...note }) };
}

/** Leaves a namespace that was moved where it is for good: those that were bound to a revision stay so, others follow the tag `default`. */
export function settled(namespace: Namespace): Move {
  const before = noted(namespace) ?? {};
  return before[revisionLabel] === undefined ? back(namespace) : { namespace, labels: {}, before: null };
}

/** Gives a namespace back the labels that it had. */
export function back(namespace: Namespace): Move {
  const before = noted(namespace) ?? labelsOf(namespace);
  const labels = Object.fromEntries(labelNames.map((name) => [name, before[name] ?? null]));
  return { namespace, labels, before: null };
}

/**
 * What has a share of the namespaces follow a revision: of those that no label binds to one, and those that were moved before. A greater
 * share adds to a smaller one.
 * @param named namespaces that follow it whatever the share.
 */
export function movesTo(
  namespaces: readonly Namespace[],
  revision: string,
  { percentage, named }: { readonly percentage: number | undefined; readonly named: ReadonlySet<string> },
): readonly Move[] {
  return namespaces.flatMap((namespace) => {
    const { name, labels = {} } = namespace.metadata;
    const moved = isMovedTo(namespace, revision);
    if (named.has(name)) {
      const stays = labels[revisionLabel] === revision && (!moved || isByName(namespace));
      return stays ? [] : [toRevision(namespace, revision, byName)];
    }
    if (percentage === undefined || (labels[revisionLabel] !== undefined && !moved) || isByName(namespace)) return [];
    const wanted = isAmong(name, percentage);
    if (wanted === moved) return [];
    return [wanted ? toRevision(namespace, revision, {}) : back(namespace)];
  });
}

/** Labels a namespace; Pods that are injected follow when they are made anew, those of nodes' agents at once. */
export async function applyMove(client: Client, { namespace, labels, before }: Move): Promise<void> {
  const { name, resourceVersion } = namespace.metadata;
  const metadata = { resourceVersion, labels, annotations: { [movedFrom]: before } };
  await client.of(namespaceKind).patch({ name }, { kind: "merge", body: { metadata } });
}
