import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import { contentHash } from "#base/content-hash.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import type { Client, Draft, KindClient, ObjectName } from "#kube/client.ts";
import { contentOf, droppedField, sideOf, withContent } from "./content.ts";
import { type Agreement, type SideName, absent } from "./decision.ts";
import type { SyncState } from "./state.ts";

/** An object as both sides have it now; undefined where one does not. */
export type Both = Readonly<Record<SideName, ResourceObject | undefined>>;

/** What is done to make a side say what the other does. */
export interface Transfer {
  readonly key: string;
  readonly name: ObjectName;
  readonly to: SideName;
  readonly both: Both;
  readonly clients: Readonly<Record<SideName, KindClient<ResourceObject>>>;
  readonly state: SyncState;
  /** The mesh's API, where a namespace may have to be made. */
  readonly mesh: Client;
}

/** Failures after which nobody knows whether the server did what it was asked. */
const unclear: ReadonlySet<string> = new Set(["Unavailable", "DeadlineExceeded", "Cancelled", "Internal"]);

/** Writes what one side says to the other, unless that has changed meanwhile, and remembers that both agree. */
export async function transfer(options: Transfer): Promise<void> {
  const { key, to, both, state } = options;
  const known = state.get(key);
  const target = sideOf(both[to]);
  const from = both[to === "mesh" ? "member" : "mesh"];
  const source = sideOf(from);
  const { mesh, member } = known ?? { mesh: "", member: "" };
  // Stored first: whoever comes after a crash knows what may have been written.
  await state.set(key, { mesh, member, pending: { to, hash: source.hash, at: target.version } });
  try {
    state.note(key, from === undefined || source === absent ? await remove(options) : await write(options, from));
  } catch (error) {
    if (!unclear.has(codeOf(error))) state.note(key, known);
    throw error;
  }
}

async function remove({ to, name, both, clients }: Transfer): Promise<undefined> {
  const there = both[to];
  if (there === undefined) return;
  const { uid, resourceVersion } = there.metadata;
  try {
    await clients[to].delete(name, { uid, resourceVersion });
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
  }
}

async function write(options: Transfer, from: ResourceObject): Promise<Agreement> {
  const { to, name, both, clients } = options;
  const content = contentOf(from);
  const there = sideOf(both[to]) === absent ? undefined : both[to];
  const object = withContent(
    { name: name.name, ...(name.namespace !== undefined && { namespace: name.namespace }) },
    content,
    there,
  );
  const stored = there ? await clients[to].replace(object as unknown as ResourceObject) : await create(options, object);
  const hashes = { from: contentHash(content), to: sideOf(stored).hash };
  if (to === "mesh") return { mesh: hashes.to, member: hashes.from };
  const dropped = hashes.from === hashes.to ? undefined : droppedField(content.body, contentOf(stored).body);
  return { mesh: hashes.from, member: hashes.to, ...(dropped !== undefined && { dropped }) };
}

async function create({ to, name, clients, mesh }: Transfer, draft: Draft<ResourceObject>): Promise<ResourceObject> {
  try {
    return await clients[to].create(draft);
  } catch (error) {
    if (codeOf(error) !== "NotFound" || name.namespace === undefined) throw error;
    if (to === "member") throw new NamespaceAbsent(name.namespace, error);
    await mesh.of(namespaceKind).create({ metadata: { name: name.namespace } });
    return clients[to].create(draft);
  }
}

/** The member has no such namespace: what is in it is not for this member. */
export class NamespaceAbsent extends WeftError {
  constructor(namespace: string, cause: unknown) {
    super("NotFound", `the member has no namespace ${namespace}`, cause);
  }
}
