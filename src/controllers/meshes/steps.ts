import type { MeshHome } from "#api/weft/mesh-home.ts";
import type { MeshDesign, MeshOperation, MeshRevision } from "#api/weft/mesh-lifecycle.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { LifeStatus } from "./operation.ts";
import type { StepKind } from "./plan.ts";
import type { MeshPlace, MeshRuntime, RevisionPlace, Routing } from "./port.ts";

/** What came of a step: it waits for something, or it is done and this is to be remembered of it. */
export type StepResult =
  | {
      readonly kind: "waits";
      readonly message: string;
      /** Milliseconds after which it is not waited for any longer. */
      readonly limitMs?: number;
      /** What becomes of the step then; what is being taken back always goes on. */
      readonly late?: "fails" | "goes on";
      /** Done before it goes on without what it waited for. */
      readonly anyway?: () => Promise<void>;
    }
  | { readonly kind: "done"; readonly status: LifeStatus };

/** A step's work: on which mesh, with what it knows. */
export interface StepContext {
  readonly mesh: string;
  readonly home: MeshHome | undefined;
  readonly status: LifeStatus;
  readonly operation: MeshOperation;
  /** The revision that the step names; empty for none. */
  readonly revision: string;
  readonly runtime: MeshRuntime;
  /** Takes a place among the meshes. @throws WeftError `ResourceExhausted`. */
  readonly takeSlot: () => Promise<number>;
}

interface Step {
  readonly take: (context: StepContext) => Promise<StepResult | void>;
  /** Takes it back, also where it was only begun. A step without this one changes nothing outside. */
  readonly takeBack?: (context: StepContext) => Promise<StepResult | void>;
}

/** How long a revision may take until it is ready. */
const readyLimitMs = 120_000;
/** How long a revision that served may take until it does again, before it is left or moved to. */
const againLimitMs = 10_000;

function placeOf({ mesh, home, status: { slot } }: StepContext): MeshPlace {
  if (slot === undefined) throw new WeftError("Internal", "the mesh has no place");
  return { mesh, slot, ...(home && { home }) };
}

function revisionOf({ status, revision }: StepContext): RevisionPlace {
  const found = status.revisions?.find(({ name }) => name === revision);
  if (!found) throw new WeftError("Internal", `the revision ${revision} has no place`);
  return found;
}

function without(status: LifeStatus, ...keys: readonly (keyof LifeStatus)[]): LifeStatus {
  return Object.fromEntries(Object.entries(status).filter(([key]) => !keys.includes(key as keyof LifeStatus)));
}

/** Where an operation leads, or for one that is taken back where it came from; undefined for neither. */
function design({ operation: { direction, from, to } }: StepContext): MeshDesign | undefined {
  return direction === "Forward" ? to : from;
}

function isOf(design: MeshDesign | undefined, revision: string): boolean {
  return design?.stable.name === revision || design?.canary?.name === revision;
}

function routing({ stable, canary, percentage }: MeshDesign, context: StepContext): Routing {
  const place = ({ name }: MeshRevision): RevisionPlace => revisionOf({ ...context, revision: name });
  return { stable: place(stable), percentage, ...(canary && { canary: place(canary) }) };
}

/** Has a revision running as the design wants it. */
async function run(context: StepContext): Promise<void> {
  const { runtime } = context;
  await runtime.ensureRevision(placeOf(context), revisionOf(context), design(context)?.quotas ?? {});
}

async function end(context: StepContext): Promise<void> {
  await context.runtime.removeRevision(placeOf(context), revisionOf(context));
}

/** Waits for a revision. One that was there before the operation keeps nothing else of it from being done. */
async function becomesReady(context: StepContext): Promise<StepResult | void> {
  const { operation, revision, runtime } = context;
  const message = await runtime.unready(placeOf(context), revisionOf(context));
  if (message === undefined) return undefined;
  const late = operation.from && isOf(operation.from, revision) ? "goes on" : "fails";
  return { kind: "waits", message, limitMs: readyLimitMs, late };
}

/** Waits until nobody is on a revision: nobody is on one that does not run. */
async function empties(context: StepContext): Promise<StepResult | void> {
  const { runtime, revision } = context;
  const [place, at] = [placeOf(context), revisionOf(context)];
  if (!(await runtime.runs(place, at))) return undefined;
  try {
    const proxies = await runtime.proxies(place, at);
    const message = `${proxies} ${proxies === 1 ? "proxy is" : "proxies are"} on revision ${revision} yet`;
    return proxies === 0 ? undefined : { kind: "waits", message };
  } catch (error) {
    if (codeOf(error) !== "Unavailable" && codeOf(error) !== "DeadlineExceeded") throw error;
    return { kind: "waits", message: `revision ${revision} does not tell who is on it: ${messageOf(error)}` };
  }
}

function allot(context: StepContext): StepResult {
  const { status, operation, revision, runtime } = context;
  const { revisions = [] } = status;
  const wanted = [operation.to, operation.from].flatMap((each) => [each?.stable, each?.canary]);
  const { version = "" } = wanted.find((each) => each?.name === revision) ?? {};
  const known = revisions.find(({ name }) => name === revision);
  if (known?.version === version) return { kind: "done", status };
  if (known) {
    const message = `the revision ${revision} runs version ${known.version}: give the canary another name (spec.canary.revision)`;
    throw new WeftError("FailedPrecondition", message);
  }
  if (!runtime.versions.includes(version)) {
    const message = `version ${version} is not installed; there is ${runtime.versions.join(", ")}`;
    throw new WeftError("FailedPrecondition", message);
  }
  const index = free(new Set(revisions.map((each) => each.index)), runtime.indexes);
  if (index === undefined) throw new WeftError("ResourceExhausted", "the mesh has too many revisions");
  const place = { name: revision, version, index };
  const added = { ...place, xds: runtime.xdsAddress(placeOf(context), place) };
  return { kind: "done", status: { ...status, revisions: [...revisions, added] } };
}

function release({ status, revision }: StepContext): StepResult {
  const revisions = status.revisions?.filter(({ name }) => name !== revision) ?? [];
  return { kind: "done", status: { ...status, revisions } };
}

/** The least number below a limit that is not taken. */
export function free(taken: ReadonlySet<number>, limit: number): number | undefined {
  for (let number = 0; number < limit; number += 1) if (!taken.has(number)) return number;
  return undefined;
}

async function takeSlot({ mesh, status, runtime, takeSlot: take }: StepContext): Promise<StepResult> {
  const slot = status.slot ?? (await take());
  return { kind: "done", status: { ...status, slot, api: runtime.apiAddress({ mesh, slot }) } };
}

/** The API with the quotas of the design that it leads to; taken back where there was none. */
async function api(context: StepContext): Promise<void> {
  const wanted = design(context);
  if (wanted) await context.runtime.ensureApi(placeOf(context), wanted.quotas);
  else await context.runtime.removeApi(placeOf(context));
}

async function settings(context: StepContext): Promise<void> {
  const { operation, runtime } = context;
  const { from, to, direction } = operation;
  const [now, before] = direction === "Forward" ? [to, from] : [from, to];
  if (now) await runtime.applySettings(placeOf(context), now.settings ?? {}, before?.settings ?? {});
}

/** What proxies are moved to must serve; what they are moved from may be dead, and is left then. */
async function check(context: StepContext): Promise<StepResult | void> {
  const { operation, runtime } = context;
  const [place, revision] = [placeOf(context), revisionOf(context)];
  const message = await runtime.unready(place, revision);
  if (message !== undefined) {
    const late = operation.kind === "Upgrade" ? "goes on" : "fails";
    return { kind: "waits", message, limitMs: againLimitMs, late };
  }
  const { stable } = operation.from ?? {};
  const from = stable && stable.name !== revision.name ? revisionOf({ ...context, revision: stable.name }) : undefined;
  const found = await runtime.objections(place, revision, from);
  // Proxies that were just sent something take it soon.
  if (found.length > 0)
    return { kind: "waits", message: `not now: ${found.join("; ")}`, limitMs: againLimitMs, late: "fails" };
  return undefined;
}

/** Nobody is sent to a revision that has ended since it was waited for, unless it does not come back. */
async function route(context: StepContext): Promise<StepResult | void> {
  const { operation, runtime } = context;
  const wanted = design(context);
  if (!wanted) return undefined;
  const place = placeOf(context);
  const to = routing(wanted, context);
  const anyway = async (): Promise<void> => runtime.route(place, to);
  const left = operation.direction === "Forward" ? operation.from : operation.to;
  for (const revision of [to.stable, ...(to.canary ? [to.canary] : [])]) {
    if (isOf(left, revision.name)) continue;
    const message = await runtime.unready(place, revision);
    if (message !== undefined) return { kind: "waits", message, limitMs: againLimitMs, late: "fails", anyway };
  }
  return anyway();
}

const steps: Readonly<Record<StepKind, Step>> = {
  slot: { take: takeSlot, takeBack: async ({ status }) => ({ kind: "done", status: without(status, "slot", "api") }) },
  space: {
    take: async (context) => context.runtime.ensureSpace(placeOf(context)),
    takeBack: async (context) => context.runtime.removeSpace(placeOf(context)),
  },
  api: { take: api, takeBack: api },
  settings: { take: settings, takeBack: settings },
  check: { take: check },
  allot: { take: async (context) => allot(context), takeBack: async (context) => release(context) },
  start: {
    take: run,
    takeBack: async (context) => (isOf(design(context), context.revision) ? run(context) : end(context)),
  },
  await: {
    take: becomesReady,
    // Who was moved to it has been sent back, and is waited for; nobody was where the mesh was being made.
    takeBack: async (context) =>
      isOf(design(context), context.revision) || !design(context) ? undefined : empties(context),
  },
  route: { take: route, takeBack: route },
  drain: { take: empties, takeBack: becomesReady },
  stop: { take: end, takeBack: run },
  release: { take: async (context) => release(context), takeBack: async (context) => allot(context) },
  "end-api": { take: async (context) => context.runtime.removeApi(placeOf(context)) },
  erase: { take: async (context) => context.runtime.removeSpace(placeOf(context)) },
  unslot: { take: async ({ status }) => ({ kind: "done", status: without(status, "slot", "api", "design") }) },
};

/**
 * Takes a step, or takes it back, as the operation's direction says.
 * @throws WeftError as the runtime.
 */
export async function takeStep(kind: StepKind, context: StepContext): Promise<StepResult> {
  const { take, takeBack } = steps[kind];
  const act = context.operation.direction === "Forward" ? take : takeBack;
  return (await act?.(context)) ?? { kind: "done", status: context.status };
}
