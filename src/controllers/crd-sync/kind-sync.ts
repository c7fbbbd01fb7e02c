import type { ResourceObject } from "#api/meta.ts";
import { type ErrorCode, WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Client, ObjectName } from "#kube/client.ts";
import { sideOf } from "./content.ts";
import { type Decision, type SideName, decide } from "./decision.ts";
import { type FindDefinition, definitionName } from "./definition.ts";
import type { DriftList } from "./drift.ts";
import type { KeptVersions } from "./kept.ts";
import { type SideObjects, objectKey } from "./objects.ts";
import type { Places } from "./places.ts";
import type { SyncState } from "./state.ts";
import { StatusCopies } from "./status-copies.ts";
import { type Both, NamespaceAbsent, transfer } from "./transfer.ts";

/** What one kind's objects are kept the same by. */
export interface KindSyncOptions {
  /** The APIs of both sides. */
  readonly apis: Readonly<Record<SideName, Client>>;
  readonly objects: Readonly<Record<SideName, SideObjects>>;
  readonly places: Places;
  readonly state: SyncState;
  readonly kept: KeptVersions;
  readonly drift: DriftList;
  readonly findDefinition: FindDefinition;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Milliseconds after which an object is looked at again of which a side tells otherwise than it answers. */
const againMs = 500;

/** Keeps the objects of one kind of a member and the mesh the same. */
export class KindSync {
  readonly #options: KindSyncOptions;
  readonly #statuses: StatusCopies;
  /** Whether the member's definition is away: what it had is neither here nor there. */
  #undefined = false;

  constructor(options: KindSyncOptions) {
    this.#options = options;
    this.#statuses = new StatusCopies({ ...options.objects, now: options.now });
  }

  /** Whether the member's definition of the kind is away, as far as was looked. */
  async isUndefined(): Promise<boolean> {
    if (!this.#undefined) return false;
    const { apis, objects, places, findDefinition } = this.#options;
    const { kind } = objects.mesh;
    const definition = await findDefinition(apis.member, kind);
    if (definition === undefined) return true;
    await places.defined(definitionName(kind), definition.uid);
    this.#undefined = false;
    return false;
  }

  /** Brings an object in order. @returns milliseconds after which to look again. */
  async bring(name: ObjectName): Promise<number | undefined> {
    const { objects, places, state, drift } = this.#options;
    const key = objectKey(objects.mesh.kind, name);
    if (this.#undefined) return undefined;
    if (name.namespace !== undefined && !places.has(name.namespace)) {
      if (state.get(key)) state.note(key, undefined);
      drift.alike(key);
      return undefined;
    }
    const told = { mesh: objects.mesh.side(name), member: objects.member.side(name) };
    const decision = decide(state.get(key), told);
    if (decision.kind === "settled") {
      this.#settled(key);
      return this.#statuses.bring(name);
    }
    if (decision.kind === "agree") {
      this.#agree(key, told.mesh.hash);
      return this.#statuses.bring(name);
    }
    return this.#look(key, name);
  }

  /** Something failed: it stands in the list until it does not any more. */
  failed(name: ObjectName, error: unknown): void {
    // Somebody wrote meanwhile: it is looked at again at once.
    if (codeOf(error) === "Conflict" || codeOf(error) === "AlreadyExists") return;
    this.#options.drift.differs(objectKey(this.#options.objects.mesh.kind, name), reasonOf(error), messageOf(error));
  }

  #settled(key: string): undefined {
    const { state, drift } = this.#options;
    const dropped = state.get(key)?.dropped;
    if (dropped === undefined) drift.alike(key);
    else {
      const message = `the member's definition does not have ${dropped} of the mesh's object: it can be changed in the mesh only, until the definition is renewed`;
      drift.differs(key, "FieldsDropped", message);
    }
  }

  #agree(key: string, hash: string): undefined {
    const { state, drift } = this.#options;
    state.note(key, hash === "" ? undefined : { mesh: hash, member: hash });
    drift.alike(key);
  }

  /** Reads what both sides have now, and does what is to be done. */
  async #look(key: string, name: ObjectName): Promise<number | undefined> {
    const { objects, state } = this.#options;
    const [mesh, member] = await Promise.all([objects.mesh.client.find(name), objects.member.client.find(name)]);
    const both = { mesh, member };
    const sides = { mesh: sideOf(mesh), member: sideOf(member) };
    const decision = decide(state.get(key), sides);
    if (decision.kind === "settled") return this.#settled(key);
    if (decision.kind === "agree") return this.#agree(key, sides.mesh.hash);
    // An answer that it is not there may be anybody's; a deletion is told by the watch too.
    const unsure = (["mesh", "member"] as const).find((side) => !sides[side].hash && objects[side].side(name).hash);
    if (unsure !== undefined)
      throw new WeftError(
        "Unavailable",
        `the API of the ${unsure} answers that it is not there, and told of no deletion`,
      );
    if (!sides.member.hash && !(await this.#wasDeleted(key, name))) return againMs;
    return this.#act(key, name, both, decision);
  }

  async #act(key: string, name: ObjectName, both: Both, decision: Decision): Promise<undefined> {
    const { apis, objects, state, kept, drift, now } = this.#options;
    if (decision.kind !== "copy" && decision.kind !== "conflict") return;
    const { to } = decision;
    if (decision.kind === "conflict") {
      const what = { object: key, reason: decision.why, side: to, at: new Date(now()).toISOString() };
      await kept.keep(what, present(both[to]));
    }
    const clients = { mesh: objects.mesh.client, member: objects.member.client };
    try {
      await transfer({ key, name, to, both, clients, state, mesh: apis.mesh });
    } catch (error) {
      if (!(error instanceof NamespaceAbsent)) throw error;
    }
    drift.alike(key);
    if (state.get(key)?.dropped !== undefined) this.#settled(key);
  }

  /** Whether somebody deleted the member's object, and not its namespace or its kind: only then it is one that the mesh follows. */
  async #wasDeleted(key: string, { namespace }: ObjectName): Promise<boolean> {
    const { apis, objects, places, state, findDefinition } = this.#options;
    if (!state.get(key)?.member) return true;
    const { kind } = objects.mesh;
    const definition = await findDefinition(apis.member, kind);
    if (definition === undefined) {
      this.#undefined = true;
      return false;
    }
    if (await places.defined(definitionName(kind), definition.uid)) return false;
    return namespace === undefined || places.stands(namespace);
  }
}

function present(object: ResourceObject | undefined): ResourceObject | undefined {
  return object?.metadata.deletionTimestamp === undefined ? object : undefined;
}

const reasons: Readonly<Partial<Record<ErrorCode, string>>> = {
  InvalidArgument: "Refused",
  PermissionDenied: "Refused",
  ResourceExhausted: "TooMuch",
  Unavailable: "Away",
  DeadlineExceeded: "Away",
};

function reasonOf(error: unknown): string {
  return reasons[codeOf(error)] ?? "Failed";
}
