import { mesh as meshKind, type Mesh } from "#api/weft/mesh.ts";
import { type RootRotation, rootRotation } from "#api/weft/root-rotation.ts";
import { formatAge } from "#base/duration.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { table } from "../table.ts";

/** Rotations of the mesh's root. */
export function rotationsOf(client: Client): KindClient<RootRotation> {
  return client.of<RootRotation>(rootRotation);
}

/** Whether a rotation is at its end. */
export function isOver({ status }: RootRotation): boolean {
  return status?.phase === "Completed" || status?.phase === "Aborted";
}

function ageKey({ metadata }: RootRotation): string {
  return `${metadata.creationTimestamp} ${metadata.name}`;
}

/** All rotations, the oldest first. */
export async function listRotations(client: Client): Promise<readonly RootRotation[]> {
  const { items } = await rotationsOf(client).list();
  return items.toSorted((one, other) => (ageKey(one) < ageKey(other) ? -1 : 1));
}

/** What a rotation does now, in a sentence; empty before anybody has looked at it. */
export function progressOf({ status }: RootRotation): string {
  const found = status?.conditions?.find(({ type }) => type === "Progressing");
  if (!found) return "";
  return found.message === "" ? (found.reason ?? "") : `${found.reason}: ${found.message}`;
}

/** One line of how far a rotation is, which changes when it goes on. */
export function progressLine(rotation: RootRotation): string {
  const { phase = "Pending", stage = "", proxies } = rotation.status ?? {};
  const proven = proxies === undefined ? "" : `${proxies.proven}/${proxies.total} proven`;
  return [phase, stage, proven, progressOf(rotation)].filter((part) => part !== "").join("  ");
}

/** The authority of a mesh as its status has it; undefined where no control plane keeps one. */
export async function authorityOf(client: Client, name: string): Promise<NonNullable<Mesh["status"]>["authority"]> {
  return (await client.of<Mesh>(meshKind).get({ name })).status?.authority;
}

function left(notAfter: string, now: number): string {
  const ms = Date.parse(notAfter) - now;
  return ms <= 0 ? "expired" : formatAge(ms);
}

/**
 * The authority for people: the Secret, its trouble, and its certificates.
 * @param now milliseconds since the epoch.
 */
export function authorityText(authority: Awaited<ReturnType<typeof authorityOf>>, now: number): string {
  if (authority === undefined) return "No authority: no control plane of this mesh listens over TLS.\n";
  const { secret, problem, certificates } = authority;
  const trouble = problem === undefined ? "" : `Trouble: ${problem}\n`;
  const rows = certificates.map(({ use, subject, root, notAfter }) => [
    use,
    subject,
    root,
    notAfter,
    left(notAfter, now),
  ]);
  const header = ["USE", "SUBJECT", "SHA-256", "NOT AFTER", "LEFT"];
  return `Authority: ${secret}\n${trouble}\n${table(header, rows)}`;
}

/** The rotations for people; empty where there are none. */
export function rotationsText(rotations: readonly RootRotation[], now: number): string {
  if (rotations.length === 0) return "";
  const rows = rotations.map(({ metadata, status = {} }) => {
    const { phase = "Pending", stage = "", stageSince, proxies } = status;
    const since = stageSince === undefined ? "" : formatAge(now - Date.parse(stageSince));
    const counts = [proxies?.proven, proxies?.skipped, proxies?.total].map((count) => String(count ?? ""));
    return [metadata.name, phase, stage, ...counts, since];
  });
  return table(["ROTATION", "PHASE", "STAGE", "PROVEN", "SKIPPED", "PROXIES", "SINCE"], rows);
}

/** What the rotation that goes on waits for; empty where none does. */
export function waitingText(rotations: readonly RootRotation[]): string {
  const going = rotations.find((each) => !isOver(each));
  if (going === undefined) return "";
  const { missing = [], total = 0, proven = 0, skipped = 0 } = going.status?.proxies ?? {};
  const more = total - proven - skipped - missing.length;
  const rows = missing.map(({ proxy, reason }) => [proxy, reason]);
  const named = rows.length === 0 ? "" : `\n${table(["MISSING", "WHY"], rows)}`;
  return `\n${progressOf(going)}\n${named}${more > 0 ? `and ${more} more\n` : ""}`;
}
