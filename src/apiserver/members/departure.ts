import { codeOf } from "#base/errors.ts";
import { selectionOf, type Context } from "../context.ts";
import { remove } from "../registry/delete.ts";
import type { MemberView } from "./view.ts";

/**
 * Does what a member could not have done when it deleted a namespace while this server was away: what the mesh has in it goes, unless
 * others keep the namespace or the member has it again.
 * @param context of the member.
 * @returns whether that is settled; not while the namespace is still going, or it is unknown whether others keep it.
 * @throws WeftError `Unavailable` while the member cannot be asked.
 */
export async function settleDeparture(
  context: Context,
  { member, namespaces }: MemberView,
  namespace: string,
): Promise<boolean> {
  const kinds = context.kinds.all.filter(({ namespaced }) => namespaced);
  // Before it is asked who has the namespace: what is made after that is in one that somebody has.
  const found = await Promise.all(kinds.map((kind) => context.store.list(selectionOf(context, kind, namespace))));
  const state = await namespaces.now(member, namespace);
  // It was noted before it went, and is about to.
  if (state === "terminating") return false;
  if (state === "active") return true;
  const kept = await namespaces.keptBeside(member.name, namespace);
  if (kept !== "left") return kept === "kept";
  for (const [index, kind] of kinds.entries()) {
    const target = { kind, version: kind.versions[0].name, namespace };
    for (const { object } of found[index]?.items ?? []) {
      const { name, uid } = object.metadata;
      await remove(context, target, name, { dryRun: false, uid, propagation: "Background" }).catch((error: unknown) => {
        const code = codeOf(error);
        if (code !== "NotFound" && code !== "Conflict") throw error;
      });
    }
  }
  return true;
}
