import type { Mesh, MeshStatus } from "#api/weft/mesh.ts";
import type { MeshOperation, MeshState } from "#api/weft/mesh-lifecycle.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Plan } from "./plan.ts";

/** A status as far as it tells of the mesh's life. */
export type LifeStatus = Omit<MeshStatus, "conditions" | "authority">;

type Outcome = NonNullable<MeshStatus["lastOperation"]>["outcome"];
type StepState = MeshOperation["steps"][number]["state"];

/** Milliseconds after which what has failed is tried again though nobody asked for anything else. */
export const retryMs = 300_000;

/** The operation that a plan becomes; nothing of it is done yet. */
export function begin({ metadata, status }: Mesh, { kind, to, steps }: Plan, now: number): MeshOperation {
  const { design: from } = status ?? {};
  return {
    kind,
    direction: "Forward",
    generation: metadata.generation,
    startedAt: timestamp(now),
    steps: steps.map((name) => ({ name, state: "Pending" })),
    attempts: 0,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

/** Index of the step that is to be taken, or taken back, now; undefined where none is left. */
export function currentStep({ direction, steps }: MeshOperation): number | undefined {
  const open = ({ state }: { readonly state: StepState }): boolean =>
    direction === "Forward" ? state === "Pending" || state === "Begun" : state === "Begun" || state === "Done";
  const index = direction === "Forward" ? steps.findIndex(open) : steps.findLastIndex(open);
  return index === -1 ? undefined : index;
}

/** The operation with a step in another state. */
export function withStep(operation: MeshOperation, index: number, state: StepState, now: number): MeshOperation {
  const steps = operation.steps.map((step, at) => (at === index ? { ...step, state } : step));
  const { message: _message, stepSince: _since, ...rest } = operation;
  // Of steps that are taken back, the next one is current from now on.
  const current = state === "Begun" || operation.direction === "Back";
  return { ...rest, steps, attempts: 0, ...(current && { stepSince: timestamp(now) }) };
}

/** The operation turned back: what it has done is taken back, step by step. */
export function turnedBack(operation: MeshOperation, failed: string, now: number): MeshOperation {
  const { message: _message, ...rest } = operation;
  return { ...rest, direction: "Back", attempts: 0, failed, stepSince: timestamp(now) };
}

/** The status after an operation has ended: it went through, or everything of it is taken back. */
export function ended(status: LifeStatus, operation: MeshOperation, outcome: Outcome, now: number): LifeStatus {
  const { operation: _operation, design: _design, ...rest } = status;
  const { kind, generation, startedAt, from, to, failed = "" } = operation;
  const design = outcome === "Succeeded" ? to : from;
  const message = failed === "" ? {} : { message: failed };
  const lastOperation = { kind, outcome, generation, startedAt, finishedAt: timestamp(now), ...message };
  return { ...rest, lastOperation, ...(design === undefined ? {} : { design }) };
}

/** Milliseconds until what has failed may be tried again; 0 where nothing stands in the way. */
export function pauseMs({ metadata, status }: Mesh, now: number): number {
  const { lastOperation } = status ?? {};
  if (lastOperation?.outcome !== "Failed" || lastOperation.generation !== metadata.generation) return 0;
  if (metadata.deletionTimestamp !== undefined) return 0;
  return Math.max(0, Date.parse(lastOperation.finishedAt) + retryMs - now);
}

/** Failures of a step in a row after which it counts as failed. */
export const mostAttempts = 5;

function stateDuring({ kind, direction, attempts }: MeshOperation, { design }: LifeStatus): MeshState {
  if (kind === "Create") return "CREATING";
  if (kind === "Delete") return attempts >= mostAttempts ? "DELETE_FAILED" : "DELETING";
  if (kind === "Rollback" || (direction === "Back" && kind !== "Update")) return "ROLLBACKING";
  if (kind === "Upgrade" || kind === "Finish") return "UPGRADING";
  return settledState(design);
}

function settledState(design: LifeStatus["design"]): MeshState {
  return design?.canary === undefined ? "RUNNING" : "CANARY_UPGRADED";
}

/**
 * Where a mesh is in its life.
 * @param due whether an operation is due that has failed before.
 * @param trouble what is wrong with what runs; empty for nothing.
 */
export function stateOf(status: LifeStatus, due: boolean, trouble: string): MeshState {
  const { operation, lastOperation, design } = status;
  if (operation) return stateDuring(operation, status);
  if (due && lastOperation?.outcome === "Failed") {
    if (lastOperation.kind === "Create") return "CREATE_FAILED";
    if (lastOperation.kind === "Rollback") return "ROLLBACK_FAILED";
    if (lastOperation.kind !== "Update") return "UPGRADE_FAILED";
    return "ABNORMAL";
  }
  if (!design) return "PENDING";
  return trouble === "" ? settledState(design) : "ABNORMAL";
}
