import type { MeshOperation, MeshQuotas } from "#api/weft/mesh-lifecycle.ts";
import { currentStep, type LifeStatus } from "./operation.ts";

type Revision = NonNullable<LifeStatus["revisions"]>[number];
type StepState = MeshOperation["steps"][number]["state"];

/** A revision that is to be running. */
export interface Standing {
  readonly revision: Revision;
  readonly quotas: MeshQuotas;
  /** Whether proxies are on it or may come to it, so that it is missed when it does not run. */
  readonly serves: boolean;
}

/** A step's state. One that is being taken back is as one that has begun: what it did may be there or not. */
function stateOf(operation: MeshOperation, step: string): StepState | undefined {
  const index = operation.steps.findIndex(({ name }) => name === step);
  return operation.direction === "Back" && index === currentStep(operation) ? "Begun" : operation.steps[index]?.state;
}

/** Whether an operation has begun to end a revision, or has ended it. */
function isEnding(operation: MeshOperation, name: string): boolean {
  const state = stateOf(operation, `stop ${name}`);
  return state === "Begun" || state === "Done";
}

/** What is to run of a mesh now, in the middle of an operation too: what this one has not begun to start or to end. */
export function standingOf({ design, revisions = [], operation }: LifeStatus): readonly Standing[] {
  if (!operation) {
    if (!design) return [];
    return revisions.map((revision) => ({ revision, quotas: design.quotas, serves: true }));
  }
  const { from, to } = operation;
  return revisions.flatMap((revision) => {
    const { name } = revision;
    const started = stateOf(operation, `start ${name}`);
    const was = from?.stable.name === name || from?.canary?.name === name;
    const runs = started === "Done" || (was && started !== "Begun");
    const quotas = started === "Done" ? to?.quotas : from?.quotas;
    if (!runs || !quotas || isEnding(operation, name)) return [];
    const awaited = stateOf(operation, `await ${name}`) === "Done";
    return [{ revision, quotas, serves: was || awaited }];
  });
}

/** The quotas of the API that is to run now; undefined where none is, or an operation is about to change it. */
export function apiOf({ design, operation }: LifeStatus): MeshQuotas | undefined {
  if (!operation) return design?.quotas;
  const state = stateOf(operation, "api");
  if (state === "Begun" || operation.kind === "Delete") return undefined;
  return state === "Done" ? operation.to?.quotas : operation.from?.quotas;
}
