import type { Mesh } from "#api/weft/mesh.ts";
import {
  type MeshDesign,
  type MeshOperation,
  type MeshOperationKind,
  lifecycleSpec,
  revisionOf,
} from "#api/weft/mesh-lifecycle.ts";
import { equal } from "#base/canonical.ts";
import { defaultRevisionName } from "#api/weft/revisions.ts";
import type { MeshSettings } from "./port.ts";

/** What a step does. Those after `slot` take a revision's name where one is meant. */
export const stepKinds = [
  "slot",
  "space",
  "api",
  "settings",
  "check",
  "allot",
  "start",
  "await",
  "route",
  "drain",
  "stop",
  "release",
  "end-api",
  "erase",
  "unslot",
] as const;
/** One of them. */
export type StepKind = (typeof stepKinds)[number];

/** An operation that is due: what it leads to, and its steps as `KIND` or `KIND REVISION`. */
export interface Plan {
  readonly kind: MeshOperationKind;
  /** Absent for a deletion. */
  readonly to?: MeshDesign;
  readonly steps: readonly string[];
}

/** What a mesh's object says of it beside how it is run. */
function settingsOf({ spec }: Mesh): MeshSettings {
  return Object.fromEntries(Object.entries(spec).filter(([field]) => !Object.hasOwn(lifecycleSpec, field)));
}

/** Names and versions of the revisions that are asked for; one that runs already keeps its name. */
function wantedRevisions({ spec, status }: Mesh, newest: string): Pick<MeshDesign, "stable" | "canary" | "percentage"> {
  const running = [status?.design?.stable, status?.design?.canary];
  const version = spec.version ?? running[0]?.version ?? newest;
  // What others rely on in a cluster, such as the Service istiod, comes with the revision that has no name of its own.
  const isFirst = spec.mode === "StandAlone" && running[0] === undefined;
  const name = isFirst ? defaultRevisionName : revisionOf(version);
  const stable = running.find((each) => each?.version === version) ?? { name, version };
  if (spec.canary === undefined || spec.canary.version === version) return { stable, percentage: 0 };
  const { revision, percentage } = spec.canary;
  const canary = { name: revision ?? revisionOf(spec.canary.version), version: spec.canary.version };
  return { stable, canary, percentage };
}

/** Whether the control planes are the same ones, with the same namespaces. */
function sameRevisions(one: MeshDesign | undefined, other: MeshDesign | undefined): boolean {
  return (
    equal(one?.stable, other?.stable) && equal(one?.canary, other?.canary) && one?.percentage === other?.percentage
  );
}

function begins(name: string): readonly string[] {
  return [`allot ${name}`, `start ${name}`, `await ${name}`];
}

function ends(name: string): readonly string[] {
  return [`drain ${name}`, `stop ${name}`, `release ${name}`];
}

function without({ canary: _canary, ...design }: MeshDesign): MeshDesign {
  return { ...design, percentage: 0 };
}

function creation(wanted: MeshDesign): Plan {
  const to = without(wanted);
  return { kind: "Create", to, steps: ["slot", "space", "api", "settings", ...begins(to.stable.name), "route"] };
}

function deletion({ status }: Mesh): Plan {
  const stops = (status?.revisions ?? []).flatMap(({ name }) => [`stop ${name}`, `release ${name}`]);
  return { kind: "Delete", steps: [...stops, ...(status?.slot === undefined ? [] : ["end-api", "erase", "unslot"])] };
}

/** Takes the canary away: what was moved to it goes back first. */
function rollback(from: MeshDesign, canary: string): Plan {
  return { kind: "Rollback", to: without(from), steps: ["route", ...ends(canary)] };
}

/** The plan that leads from one set of revisions towards another; the operations after it get the rest of the way. */
function upgrade(from: MeshDesign, { stable, canary, percentage }: MeshDesign): Plan {
  const moved = stable.version !== from.stable.version;
  if (from.canary && moved && from.canary.version === stable.version) {
    const to = { ...without(from), stable: from.canary };
    return { kind: "Finish", to, steps: [`check ${from.canary.name}`, "route", ...ends(from.stable.name)] };
  }
  if (from.canary && (moved || !equal(canary, from.canary))) return rollback(from, from.canary.name);
  if (moved) {
    const steps = [`check ${from.stable.name}`, ...begins(stable.name), "route", ...ends(from.stable.name)];
    return { kind: "Upgrade", to: { ...from, stable }, steps };
  }
  if (canary && !from.canary) {
    const steps = [`check ${from.stable.name}`, ...begins(canary.name), "route"];
    return { kind: "Upgrade", to: { ...from, canary, percentage }, steps };
  }
  // Nobody is moved to a canary that is not well; to come back from it, it need not be.
  const checks = canary && percentage > from.percentage ? [`check ${canary.name}`] : [];
  return { kind: "Update", to: { ...from, percentage }, steps: [...checks, "route"] };
}

function update(from: MeshDesign, to: MeshDesign): Plan {
  const revisions = [to.stable, ...(to.canary ? [to.canary] : [])].map(({ name }) => name);
  const restarts = equal(from.quotas, to.quotas)
    ? []
    : ["api", ...revisions.flatMap((name) => [`start ${name}`, `await ${name}`])];
  const settings = equal(from.settings, to.settings) ? [] : ["settings"];
  return { kind: "Update", to, steps: [...settings, ...restarts] };
}

/**
 * The operation that a mesh needs next to come nearer to what its object asks for; undefined where it is there.
 * @param newest the version that meshes get which ask for none.
 */
export function nextOperation(mesh: Mesh, newest: string): Plan | undefined {
  if (mesh.metadata.deletionTimestamp !== undefined) return deletion(mesh);
  const { design } = mesh.status ?? {};
  const wanted = { ...wantedRevisions(mesh, newest), quotas: mesh.spec.quotas ?? {}, settings: settingsOf(mesh) };
  if (design === undefined) return creation(wanted);
  if (!sameRevisions(wanted, design)) return upgrade(design, wanted);
  return equal(wanted, design) ? undefined : update(design, wanted);
}

/** Whether an operation under way leads where the mesh's object does not want to go any more. */
export function isOvertaken({ kind, to }: MeshOperation, plan: Plan | undefined): boolean {
  if (kind === plan?.kind && kind === "Update") return !equal(to, plan.to);
  return kind !== plan?.kind || !sameRevisions(to, plan.to);
}
