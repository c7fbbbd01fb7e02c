import type { IstioStatus } from "#api/istio/status.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import { refOf } from "#api/meta.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** Conditions that tell of what only the running mesh knows; `Accepted` repeats what analysis finds by itself. */
const negative: ReadonlySet<string> = new Set(["Programmed", "ResolvedRefs", "istio.io/WaypointBound"]);

/** Reasons that say only that the mesh has not got there yet. */
const passing: ReadonlySet<string> = new Set(["Pending", "NoProxies"]);

function* conditions({ snapshot }: MeshObjects): Generator<Problem> {
  for (const { object, cluster } of snapshot) {
    const status = object["status"] as IstioStatus | undefined;
    if (!Array.isArray(status?.conditions)) continue;
    for (const [index, { type = "", status: state, reason = "", message = "" }] of status.conditions.entries()) {
      if (state !== "False" || !negative.has(type) || passing.has(reason)) continue;
      const text = `Condition ${type} is False (${reason}): ${message}`;
      const field = `status.conditions[${index}]`;
      yield problemOf(refOf(object, cluster), { code: "NegativeConditionStatus", field, message: text });
    }
  }
}

/** What the running mesh says of objects. */
export const conditionAnalyzer: Analyzer = {
  name: "conditions.ConditionAnalyzer",
  description: "Checks for negative conditions in the status of objects",
  problems: conditions,
};
