import { defaultRevisionName } from "#api/weft/revisions.ts";
import type { Client } from "#kube/client.ts";
import { applyMove, back, isMovedTo, movedTo, movesTo, settled } from "./moves.ts";
import { readRevisionsOf } from "./state.ts";
import { removeTag, setTag } from "./tags.ts";

/** Whom the revisions of a cluster are to serve. */
export interface RevisionRouting {
  /** The one that serves who asks for none by name. */
  readonly stable: string;
  readonly canary?: string;
  /** Namespaces of a hundred that follow the canary. */
  readonly percentage: number;
}

/**
 * Has the tag `default` and the namespaces of a cluster follow revisions: what was moved to one that is neither goes back, what was moved to
 * the stable one stays for good.
 * @param template the webhooks of a tag, as `mutatingWebhooks` makes them.
 * @param now milliseconds since the epoch.
 * @throws WeftError `FailedPrecondition` where the webhooks of a revision are not there.
 */
export async function routeRevisions(
  client: Client,
  { stable, canary, percentage }: RevisionRouting,
  template: (tag: string, revision: string) => object,
  now: number,
): Promise<void> {
  const tag = defaultRevisionName;
  const { tags, namespaces } = await readRevisionsOf(client, now);
  if (stable !== defaultRevisionName) {
    await setTag(client, { tag, revision: stable, template: template(tag, stable), overwrite: true, remember: false });
  } else if (tags.some((each) => each.tag === tag)) await removeTag(client, tag);
  const moves = canary === undefined ? [] : movesTo(namespaces, canary, { percentage, named: new Set() });
  const left = namespaces.filter((each) => movedTo(each) !== undefined && movedTo(each) !== canary);
  for (const each of left) await applyMove(client, isMovedTo(each, stable) ? settled(each) : back(each));
  for (const move of moves) await applyMove(client, move);
}
