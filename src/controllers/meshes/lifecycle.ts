import type { Mesh } from "#api/weft/mesh.ts";
import type { MeshMode, MeshOperation, MeshState } from "#api/weft/mesh-lifecycle.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, type ErrorCode, messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { KindClient } from "#kube/client.ts";
import { readyCondition } from "#status/ready.ts";
import {
  begin,
  currentStep,
  ended,
  type LifeStatus,
  mostAttempts,
  pauseMs,
  stateOf,
  turnedBack,
  withStep,
} from "./operation.ts";
import { isOvertaken, nextOperation, type Plan, type StepKind } from "./plan.ts";
import type { MeshPlace, MeshRuntime } from "./port.ts";
import { apiOf, standingOf } from "./standing.ts";
import { free, type StepResult, takeStep } from "./steps.ts";

/** The objects of meshes, as far as their lives are written to them. */
export type MeshRecords = Pick<KindClient<Mesh>, "find" | "list" | "replaceStatus" | "patch">;

/** What the lives of meshes need. */
export interface LifecycleOptions {
  readonly meshes: MeshRecords;
  /** The mode of the meshes that it leads; it looks at no others. */
  readonly mode: MeshMode;
  readonly runtime: MeshRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Stands for what a mesh has in the management plane. */
const meshFinalizer = "mesh.weft.dev/control-plane";

/** Milliseconds between looks at what a step waits for, and at what runs. */
const lookMs = 1000;
const keepMs = 2000;

const lasting: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "InvalidArgument",
  "FailedPrecondition",
  "PermissionDenied",
  "NotFound",
  "ResourceExhausted",
]);

/**
 * Leads each mesh to what its object asks for, one step a turn. What is to be done is written to the object's status, over the version
 * that was read, before it is done, and that it is done after it; so whoever comes next, after a kill at any point, goes on from there,
 * by an effect that may have been done already.
 */
export class MeshLifecycle {
  readonly #options: LifecycleOptions;
  /** Places that were given, by mesh: for what lists do not show yet. */
  readonly #slots = new Map<string, number>();
  /** What was last seen to be wrong with what runs of a mesh, by mesh. */
  readonly #troubles = new Map<string, string>();

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /** One turn for a mesh: returns after how many milliseconds the next is due, or undefined where only a change makes it due. */
  async turn(name: string): Promise<number | undefined> {
    const mesh = await this.#options.meshes.find({ name });
    if (mesh === undefined) {
      this.#slots.delete(name);
      this.#troubles.delete(name);
      return undefined;
    }
    if (mesh.spec.mode !== this.#options.mode) return undefined;
    const plan = nextOperation(mesh, this.#options.runtime.versions.at(-1) ?? "");
    const { operation } = mesh.status ?? {};
    if (!operation) return this.#rest(mesh, plan);
    if (operation.kind !== "Delete" && plan?.kind === "Delete") return this.#begin(mesh, plan);
    const forward = operation.direction === "Forward";
    if (forward && isOvertaken(operation, plan)) return this.#turnBack(mesh, operation, "");
    return this.#goOn(mesh, operation);
  }

  /** Nothing is under way: what is due begins, and what runs is looked after. */
  async #rest(mesh: Mesh, plan: Plan | undefined): Promise<number | undefined> {
    const pause = pauseMs(mesh, this.#options.clock.now());
    if (plan && pause === 0) return this.#begin(mesh, plan);
    if (!mesh.status?.design) {
      await this.#tell(mesh, mesh.status ?? {}, plan);
      return pause;
    }
    await this.#tell(mesh, await this.#keep(mesh), plan);
    return Math.min(keepMs, pause || keepMs);
  }

  async #begin(mesh: Mesh, plan: Plan): Promise<number> {
    const { clock, logger } = this.#options;
    const marked = plan.kind === "Delete" ? mesh : await this.#mark(mesh, true);
    if (plan.kind === "Delete" && !marked.metadata.finalizers?.includes(meshFinalizer)) return keepMs;
    logger.info("an operation begins", { mesh: mesh.metadata.name, operation: plan.kind });
    await this.#tell(marked, { ...marked.status, operation: begin(marked, plan, clock.now()) }, plan);
    return 0;
  }

  async #turnBack(mesh: Mesh, operation: MeshOperation, failed: string): Promise<number> {
    const { clock, logger } = this.#options;
    const why = failed === "" ? "the mesh's object asks for something else" : failed;
    logger.warn("an operation is taken back", { mesh: mesh.metadata.name, operation: operation.kind, why });
    await this.#tell(mesh, { ...mesh.status, operation: turnedBack(operation, failed, clock.now()) }, undefined);
    return 0;
  }

  /** Takes the step that is due, or ends the operation. */
  async #goOn(mesh: Mesh, operation: MeshOperation): Promise<number> {
    const index = currentStep(operation);
    const { state, name = "" } = index === undefined ? {} : (operation.steps[index] ?? {});
    if (index === undefined) return this.#end(mesh, operation);
    if (state === "Pending") {
      const begun = withStep(operation, index, "Begun", this.#options.clock.now());
      await this.#tell(mesh, { ...mesh.status, operation: begun }, undefined);
      return 0;
    }
    let result: StepResult;
    try {
      result = await this.#take(mesh, operation, name);
    } catch (error) {
      // Not a step's fault: somebody else wrote the object, or the API is away.
      if (codeOf(error) === "Conflict" || codeOf(error) === "Cancelled") throw error;
      return this.#fail(mesh, operation, name, error);
    }
    // A write that fails may have been done all the same: what comes next must read it first.
    if (result.kind === "waits") return this.#wait(mesh, operation, index, result);
    const to = operation.direction === "Forward" ? "Done" : "TakenBack";
    const next = withStep(operation, index, to, this.#options.clock.now());
    await this.#tell(mesh, { ...result.status, operation: next }, undefined);
    return 0;
  }

  async #take(mesh: Mesh, operation: MeshOperation, step: string): Promise<StepResult> {
    const [kind = "", revision = ""] = step.split(" ");
    const { name } = mesh.metadata;
    return takeStep(kind as StepKind, {
      mesh: name,
      home: mesh.spec.standAlone,
      status: mesh.status ?? {},
      operation,
      revision,
      runtime: this.#options.runtime,
      takeSlot: async () => this.#takeSlot(name),
    });
  }

  async #wait(
    mesh: Mesh,
    operation: MeshOperation,
    index: number,
    { message, limitMs, late = "fails", anyway }: Extract<StepResult, { kind: "waits" }>,
  ): Promise<number> {
    const { clock, logger } = this.#options;
    const since = Date.parse(operation.stepSince ?? "");
    const over = limitMs !== undefined && clock.now() - since > limitMs;
    const forward = operation.direction === "Forward";
    if (over && forward && late === "fails") return this.#turnBack(mesh, operation, `it took too long: ${message}`);
    const status = await this.#keep(mesh);
    if (!over) {
      await this.#tell(mesh, { ...status, operation: { ...operation, message } }, undefined);
      return lookMs;
    }
    logger.warn("a step goes on without what it waited for", { mesh: mesh.metadata.name, waited: message });
    try {
      await anyway?.();
    } catch (error) {
      return this.#fail(mesh, operation, operation.steps[index]?.name ?? "", error);
    }
    const next = withStep(operation, index, forward ? "Done" : "TakenBack", clock.now());
    await this.#tell(mesh, { ...status, operation: next }, undefined);
    return 0;
  }

  async #fail(mesh: Mesh, operation: MeshOperation, step: string, error: unknown): Promise<number> {
    const { logger } = this.#options;
    const message = `${step}: ${messageOf(error)}`;
    const attempts = operation.attempts + 1;
    logger.warn("a step has failed", { mesh: mesh.metadata.name, operation: operation.kind, error: message });
    const over = lasting.has(codeOf(error)) || attempts >= mostAttempts;
    // A deletion is not taken back, nor is what is taken back already: both are tried until they are through.
    if (over && operation.direction === "Forward" && operation.kind !== "Delete") {
      return this.#turnBack(mesh, operation, message);
    }
    const status = await this.#keep(mesh);
    await this.#tell(mesh, { ...status, operation: { ...operation, attempts, message } }, undefined);
    return Math.min(100 * 2 ** attempts, 30_000);
  }

  async #end(mesh: Mesh, operation: MeshOperation): Promise<number> {
    const { clock, logger } = this.#options;
    const { kind, direction, failed = "" } = operation;
    const { name } = mesh.metadata;
    if (kind === "Delete") {
      logger.info("a mesh is gone", { mesh: name });
      await this.#mark(mesh, false);
      return 0;
    }
    const back = failed === "" ? "Overtaken" : "Failed";
    const outcome = direction === "Forward" ? "Succeeded" : back;
    logger.info("an operation has ended", { mesh: name, operation: kind, outcome });
    await this.#tell(mesh, ended(mesh.status ?? {}, operation, outcome, clock.now()), undefined);
    return 0;
  }

  /** Has running what the mesh is made of now, and looks how it is. */
  async #keep({ metadata: { name }, spec: { standAlone: home }, status = {} }: Mesh): Promise<LifeStatus> {
    const { runtime } = this.#options;
    const { slot, revisions = [] } = status;
    if (slot === undefined) return status;
    const place: MeshPlace = { mesh: name, slot, ...(home && { home }) };
    const troubles: string[] = [];
    const attempt = async (missed: boolean, what: () => Promise<string | undefined>): Promise<void> => {
      const trouble = await what().catch(messageOf);
      if (trouble !== undefined && missed) troubles.push(trouble);
    };
    const api = apiOf(status);
    if (api) {
      await attempt(true, async () => {
        await runtime.ensureApi(place, api);
        return undefined;
      });
    }
    const counts = new Map<string, number>();
    for (const { revision, quotas, serves } of standingOf(status)) {
      await attempt(serves, async () => {
        await runtime.ensureRevision(place, revision, quotas);
        const trouble = await runtime.unready(place, revision);
        if (trouble === undefined) counts.set(revision.name, await runtime.proxies(place, revision));
        return trouble;
      });
    }
    this.#troubles.set(name, troubles.join("; "));
    const counted = revisions.map((each) => ({ ...each, proxies: counts.get(each.name) ?? each.proxies ?? 0 }));
    return { ...status, ...(revisions.length > 0 && { revisions: counted }) };
  }

  async #takeSlot(name: string): Promise<number> {
    const { meshes, runtime, mode } = this.#options;
    const { items } = await meshes.list();
    const others = items
      .filter(({ metadata, spec }) => metadata.name !== name && spec.mode === mode)
      .flatMap(({ status }) => status?.slot ?? []);
    const given = [...this.#slots].filter(([mesh]) => mesh !== name).map(([, slot]) => slot);
    const slot = this.#slots.get(name) ?? free(new Set([...others, ...given]), runtime.slots);
    if (slot === undefined) throw new WeftError("ResourceExhausted", `there is place for ${runtime.slots} meshes`);
    this.#slots.set(name, slot);
    return slot;
  }

  /** Sets or takes away the finalizer. */
  async #mark(mesh: Mesh, on: boolean): Promise<Mesh> {
    const { finalizers: before = [], name, resourceVersion } = mesh.metadata;
    if (before.includes(meshFinalizer) === on) return mesh;
    const finalizers = on ? [...before, meshFinalizer] : before.filter((each) => each !== meshFinalizer);
    return this.#options.meshes.patch({ name }, { kind: "merge", body: { metadata: { resourceVersion, finalizers } } });
  }

  /** Writes how a mesh stands, if that is news. */
  async #tell(mesh: Mesh, life: LifeStatus, plan: Plan | undefined): Promise<void> {
    const trouble = this.#troubles.get(mesh.metadata.name) ?? "";
    const state = stateOf(life, plan !== undefined, trouble);
    const { conditions = [], authority } = mesh.status ?? {};
    const ready = trouble === "" && serving.has(state);
    const message = trouble || life.operation?.failed || life.operation?.message || life.lastOperation?.message || "";
    const known = conditions.filter(({ type }) => type !== "Ready");
    const own = readyCondition(conditions, { ready, reason: reasonOf(state), message }, this.#options.clock.now());
    const status = {
      ...life,
      state,
      ...(authority && { authority }),
      conditions: [...known, own],
      observedGeneration: mesh.metadata.generation,
    };
    if (equal(status, mesh.status)) return;
    await this.#options.meshes.replaceStatus({ ...mesh, status });
  }
}

/** States in which a mesh serves its proxies. */
const serving: ReadonlySet<MeshState> = new Set<MeshState>(["RUNNING", "CANARY_UPGRADED", "UPGRADING", "ROLLBACKING"]);

/** A state as a condition's reason: `CANARY_UPGRADED` is `CanaryUpgraded`. */
function reasonOf(state: string): string {
  return state.toLowerCase().replaceAll(/(?:^|_)(\w)/g, (_all, letter: string) => letter.toUpperCase());
}
