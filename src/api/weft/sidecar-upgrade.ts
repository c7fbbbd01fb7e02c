import { ageColumn, fieldColumn } from "../columns.ts";
import { FieldPath, invalid, required } from "../field.ts";
import type { FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import {
  boolean,
  choice,
  definition,
  int32,
  int64,
  list,
  map,
  number,
  object,
  positiveDuration,
  string,
  time,
  type Value,
} from "../schema.ts";
import { weftKind, weftName } from "./kind.ts";

/** Sidecars of which an upgrade tells one by one. */
export const mostSidecars = 2000;

const Selector = definition(
  weftName("SidecarSelector"),
  object(
    "Which sidecars: those of Pods for which all of it holds. Without anything it is every sidecar that a node's agent runs.",
    {},
    {
      clusters: list("Names of member clusters. All unless set.", string("A Cluster's name.")),
      namespaces: list("Namespaces. All unless set.", string("A namespace's name.")),
      workloads: list("Workloads by name, such as a Deployment's. All unless set.", string("A name.")),
      labels: map("Labels that the Pods have.", string("The label's value.")),
      percentage: int32("Percent of those sidecars, the same ones each time. 100 unless set.", {
        minimum: 1,
        maximum: 100,
      }),
    },
  ),
);
export type SidecarSelector = Value<typeof Selector>;

const Strategy = definition(
  weftName("SidecarUpgradeStrategy"),
  object(
    "In which steps, and what stops it.",
    {},
    {
      waves: list(
        "Percent of the sidecars that are upgraded after each wave, rising to 100. 10, 50, 100 unless set.",
        int32("Percent.", { minimum: 1, maximum: 100 }),
        { maxItems: 20 },
      ),
      pause: positiveDuration("How long each wave is watched before the next begins. 10s unless set."),
      maxInFlight: int32("How many sidecars are replaced at a time. 5 unless set.", { minimum: 1, maximum: 1000 }),
      approval: choice(
        "Manual: each wave waits until spec.approvedWaves is at least its number. Automatic unless set.",
        ["Automatic", "Manual"],
      ),
      window: object(
        "The hours in UTC in which waves may begin; from after to is over midnight.",
        {
          from: string("Such as 22:00.", { pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$" }),
          to: string("Such as 04:00.", { pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$" }),
        },
        {},
      ),
      onFailure: choice(
        "What follows when a sidecar is not replaced or a gate closes: Rollback of all that were, or Pause. Rollback unless set.",
        ["Rollback", "Pause"],
      ),
      gates: object(
        "What must hold of upgraded sidecars for the next wave to begin.",
        {},
        {
          maxErrorPercentMore: number(
            "Percent of inbound requests answered with 5xx or reset, beyond that of sidecars that are not upgraded yet.",
            { minimum: 0, maximum: 100 },
          ),
          maxP99PercentMore: number(
            "Percent by which the P99 of inbound requests may be longer than that of sidecars that are not upgraded yet.",
            { minimum: 0, maximum: 10_000 },
          ),
          maxRefusedPercentMore: number(
            "Percent of upgraded sidecars that may refuse configuration, beyond that of sidecars that are not upgraded yet.",
            { minimum: 0, maximum: 100 },
          ),
        },
      ),
    },
  ),
);

const Spec = definition(
  weftName("SidecarUpgradeSpec"),
  object(
    "Which sidecars are to become what, and how.",
    {},
    {
      selector: Selector,
      envoy: string("The version of Envoy, such as 1.40.0, which the nodes' agents must know."),
      renew: string("A word; sidecars that have not begun anew for it begin anew, with the settings of now."),
      strategy: Strategy,
      approvedWaves: int32("How many waves are approved, where approval is Manual.", { minimum: 0 }),
      paused: boolean("Whether nothing more is to be begun."),
    },
  ),
);
export type SidecarUpgradeSpec = Value<typeof Spec>;

const Sidecar = object(
  "One sidecar.",
  {
    cluster: string("Its cluster."),
    namespace: string("Its namespace."),
    pod: string("Its Pod."),
    uid: string("The Pod's UID."),
  },
  {
    wave: int32("The wave that it is of, from 1."),
    phase: choice("How far it is.", [
      "Waiting",
      "Asked",
      "Starting",
      "Draining",
      "Upgraded",
      "Refused",
      "Failed",
      "RolledBack",
      "Gone",
    ]),
    before: string("The version before."),
    after: string("The version that serves."),
    tookMs: int64("Milliseconds from the new process's start until it served."),
    connections: int64("Connections that the process before had then."),
    cut: int64("How many of them had not ended by themselves when it ended."),
    failedBefore: int64("Inbound requests that it had answered with 5xx, or that were reset, when it was asked."),
    refusedBefore: int64("Configurations that it had refused when it was asked."),
    failed: int64(
      "Inbound requests that it answered with 5xx, or that were reset, from when it was asked until the process before ended.",
    ),
    problem: string("What went wrong."),
    asked: string("What the Pod asked for before."),
  },
);
export type UpgradedSidecar = Value<typeof Sidecar>;

const Status = definition(
  weftName("SidecarUpgradeStatus"),
  object(
    "How far it is.",
    {},
    {
      phase: choice("The whole.", ["Running", "Paused", "RollingBack", "Completed", "RolledBack", "Refused"]),
      message: string("Why, for people."),
      wave: int32("The wave that is under way, from 1."),
      waveSince: time("Since when all of the wave are upgraded."),
      othersP99Ms: number("Milliseconds of the P99 of sidecars that waited, when the last wave opened."),
      done: int32("How many sidecars are upgraded."),
      total: int32("How many there are to be."),
      observedGeneration: int64("The newest generation that the status speaks of."),
      sidecars: list("The sidecars one by one.", Sidecar, { maxItems: mostSidecars }),
    },
  ),
);
export type SidecarUpgradeStatus = Value<typeof Status>;

/** Weft's `mesh.weft.dev/v1alpha1.SidecarUpgrade`. */
export type SidecarUpgrade = Resource<{ readonly spec: SidecarUpgradeSpec; readonly status?: SidecarUpgradeStatus }>;

function* validate({ spec }: SidecarUpgrade): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  const { envoy, renew, strategy: { waves = [], gates = {} } = {} } = spec;
  if (envoy === undefined && renew === undefined)
    yield required(path.field("envoy"), "envoy or renew says what is to change");
  if (envoy !== undefined && !/^\d+\.\d+\.\d+$/.test(envoy))
    yield invalid(path.field("envoy"), envoy, "must be a version such as 1.40.0");
  if (renew !== undefined && !/^[\w.-]{1,63}$/.test(renew))
    yield invalid(path.field("renew"), renew, "must be a word of letters, digits, dots and dashes");
  const at = path.field("strategy", "waves");
  if (waves.some((wave, index) => wave <= (waves[index - 1] ?? 0)) || (waves.length > 0 && waves.at(-1) !== 100))
    yield invalid(at, waves, "must rise to 100");
  const p99 = path.field("strategy", "gates", "maxP99PercentMore");
  if (gates.maxP99PercentMore !== undefined && waves.length === 1)
    yield invalid(
      p99,
      gates.maxP99PercentMore,
      "needs more than one of spec.strategy.waves: it compares with sidecars that wait",
    );
}

const description = "A change of sidecars' Envoy without a restart of their Pods, in waves.";

export const sidecarUpgrade: Kind = weftKind({
  kind: "SidecarUpgrade",
  plural: "sidecarupgrades",
  shortNames: ["scu"],
  description,
  schema: object(description, { spec: Spec }, { status: Status }),
  columns: [
    fieldColumn("Envoy", ["spec", "envoy"], "The version that sidecars are to have."),
    fieldColumn("Phase", ["status", "phase"], "How far it is."),
    fieldColumn("Done", ["status", "done"], "How many sidecars are upgraded."),
    fieldColumn("Total", ["status", "total"], "How many there are to be."),
    fieldColumn("Message", ["status", "message"], "Why."),
    ageColumn,
  ],
  nameForm: "subdomain",
  validate: (upgrade) => [...validate(upgrade as SidecarUpgrade)],
});
