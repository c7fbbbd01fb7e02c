import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { table } from "../table.ts";

/** Milliseconds between looks. */
const lookMs = 300;

/** The meshes of a management plane. */
export function meshesOf(client: Client): KindClient<Mesh> {
  return client.of<Mesh>(meshKind);
}

/** The proxies that a mesh serves. */
export function proxiesOf({ status }: Mesh): number {
  return status?.revisions?.reduce((sum, { proxies = 0 }) => sum + proxies, 0) ?? 0;
}

/** Meshes as a table. */
export function meshesText(meshes: readonly Mesh[]): string {
  const rows = meshes.map((mesh) => {
    const { metadata, spec, status } = mesh;
    const { stable, canary } = status?.design ?? {};
    const beside = canary === undefined ? "" : `${canary.version} (${status?.design?.percentage}%)`;
    return [
      metadata.name,
      spec.mode ?? "",
      status?.state ?? "",
      stable?.version ?? "",
      beside,
      String(proxiesOf(mesh)),
      status?.api ?? "",
    ];
  });
  return table(["NAME", "MODE", "STATE", "VERSION", "CANARY", "PROXIES", "API"], rows);
}

/** What is known of one mesh. */
export function meshText(mesh: Mesh): string {
  const { status } = mesh;
  const { operation, lastOperation, revisions = [] } = status ?? {};
  const parts = [meshesText([mesh])];
  if (revisions.length > 0) {
    const rows = revisions.map(({ name, version, xds = "", proxies }) => [
      name,
      version,
      xds,
      proxies === undefined ? "" : String(proxies),
    ]);
    parts.push(table(["REVISION", "VERSION", "XDS", "PROXIES"], rows));
  }
  if (operation) {
    const title = `${operation.kind}${operation.direction === "Back" ? ", being taken back" : ""}`;
    const steps = operation.steps.map(({ name, state }) => `  ${state.padEnd(9)} ${name}\n`).join("");
    parts.push(`${title}\n${steps}${operation.message === undefined ? "" : `  ${operation.message}\n`}`);
  } else if (lastOperation && lastOperation.outcome !== "Succeeded") {
    parts.push(`The last operation, ${lastOperation.kind}, ${outcomeText(lastOperation)}\n`);
  }
  return parts.join("\n");
}

function outcomeText({ outcome, message = "" }: NonNullable<NonNullable<Mesh["status"]>["lastOperation"]>): string {
  return `${outcome === "Failed" ? "has failed" : "was overtaken"} and was taken back${message === "" ? "" : `: ${message}`}`;
}

/** What a mesh's operation does now, as a line; empty where there is none. */
function line({ status }: Mesh): string {
  const { operation, state = "PENDING" } = status ?? {};
  if (!operation) return "";
  const { steps, direction, message } = operation;
  const begun = (
    direction === "Forward"
      ? steps.find((step) => step.state === "Begun")
      : steps.findLast((step) => step.state === "Begun")
  )?.name;
  if (begun === undefined) return "";
  const back = direction === "Back" ? "taking back: " : "";
  const at = steps.filter(({ state: each }) => each === "Done").length + 1;
  return `${state}  ${back}${at}/${steps.length} ${begun}${message === undefined ? "" : ` (${message})`}`;
}

/**
 * Tells how what was asked of a mesh goes on, until it is done.
 * @param say takes each line.
 * @throws WeftError `FailedPrecondition` where it has failed; `DeadlineExceeded` after the limit.
 */
export async function followMesh(
  client: Client,
  { metadata }: Mesh,
  limitMs: number,
  clock: Clock,
  say: (line: string) => void,
): Promise<void> {
  const until = clock.monotonic() + limitMs;
  for (let told = ""; ;) {
    const mesh = await meshesOf(client).find({ name: metadata.name });
    if (mesh === undefined || mesh.metadata.uid !== metadata.uid) return say(`mesh ${metadata.name} is gone`);
    const now = line(mesh);
    if (now !== told && now !== "") say(now);
    told = now;
    if (isOver(mesh, metadata.generation)) return say(`${mesh.status?.state}  mesh ${metadata.name}`);
    if (clock.monotonic() > until) {
      const hint = `it goes on by itself: weft mesh get ${metadata.name}`;
      throw new WeftError("DeadlineExceeded", `not done within ${limitMs / 1000} s; ${hint}`);
    }
    await clock.sleep(lookMs);
  }
}

/** Whether all that a generation asks for is done. @throws WeftError `FailedPrecondition` where it has failed. */
function isOver({ metadata, status }: Mesh, generation: number): boolean {
  const { operation, lastOperation, observedGeneration = 0, state } = status ?? {};
  if (operation || observedGeneration < generation || metadata.deletionTimestamp !== undefined) return false;
  if (lastOperation?.outcome === "Failed" && lastOperation.generation >= generation) {
    throw new WeftError("FailedPrecondition", `${state}: ${lastOperation.kind} ${outcomeText(lastOperation)}`);
  }
  return state === "RUNNING" || state === "CANARY_UPGRADED" || state === "ABNORMAL";
}
