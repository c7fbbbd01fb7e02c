import { equal } from "#base/canonical.ts";
import { FieldPath, forbidden, invalid, required } from "../field.ts";
import type { FieldError } from "../kind.ts";
import { validateNamed } from "../metadata.ts";
import { anyObject, choice, int32, int64, keyedList, list, object, string, time, type Value } from "../schema.ts";

import { fixedHomeFields, MeshHome, validateHome } from "./mesh-home.ts";

/** Where a mesh's control plane runs: beside Weft's management plane, or in a cluster of the user's. */
const meshModes = ["Managed", "StandAlone"] as const;
/** One of them. */
export type MeshMode = (typeof meshModes)[number];

/** The states of a mesh, as Tencent Cloud Mesh's `DescribeMesh` names them. */
export const meshStates = [
  "PENDING",
  "CREATING",
  "RUNNING",
  "ABNORMAL",
  "UPGRADING",
  "CANARY_UPGRADED",
  "ROLLBACKING",
  "DELETING",
  "CREATE_FAILED",
  "UPGRADE_FAILED",
  "ROLLBACK_FAILED",
  "DELETE_FAILED",
] as const;
/** One of them. */
export type MeshState = (typeof meshStates)[number];

/** What is done with a mesh as a whole. */
export const meshOperations = ["Create", "Update", "Upgrade", "Finish", "Rollback", "Delete"] as const;
/** One of them. */
export type MeshOperationKind = (typeof meshOperations)[number];

const Quotas = object(
  "How much of it there may be.",
  {},
  {
    objects: int64("Objects in its API, Events left out. No limit unless set.", { minimum: 1 }),
    proxies: int32("Proxies that each revision of its control plane serves at once. No limit unless set.", {
      minimum: 1,
    }),
  },
);
/** How much of a mesh there may be. */
export type MeshQuotas = Value<typeof Quotas>;

const Revision = object(
  "A revision of the control plane.",
  {
    name: string("Its name, as the label istio.io/rev says it."),
    version: string("The version of Weft that it runs."),
  },
  {},
);
/** A revision of a mesh's control plane. */
export type MeshRevision = Value<typeof Revision>;

const Design = object(
  "What a mesh is made of, as one state that operations lead from and to.",
  { stable: Revision, percentage: int32("Namespaces of a hundred that follow the canary."), quotas: Quotas },
  { canary: Revision, settings: anyObject("The mesh's settings.") },
);
/** What a mesh is made of, as one state that operations lead from and to. */
export type MeshDesign = Value<typeof Design>;

const Operation = object(
  "What is being done with the mesh. Each step is written here before it is taken.",
  {
    kind: choice("What it is.", meshOperations),
    direction: choice("Whether its steps are taken, or taken back.", ["Forward", "Back"]),
    generation: int64("The generation of the mesh that asked for it."),
    startedAt: time("When it began."),
    steps: list(
      "Its steps, in order.",
      object(
        "A step.",
        {
          name: string("What it does, and with which revision."),
          state: choice("How far it is.", ["Pending", "Begun", "Done", "TakenBack"]),
        },
        {},
      ),
    ),
    attempts: int32("How often the current step has failed."),
  },
  {
    from: Design,
    to: Design,
    stepSince: time("When the current step was first taken."),
    message: string("What it waits for, or what went wrong last."),
    failed: string("Why it is taken back. Empty where the mesh's object asks for something else by now."),
  },
);
/** What is being done with a mesh. */
export type MeshOperation = Value<typeof Operation>;

const LastOperation = object(
  "The operation that ended last.",
  {
    kind: choice("What it was.", meshOperations),
    outcome: choice("How it ended. What has failed or was overtaken was taken back.", [
      "Succeeded",
      "Failed",
      "Overtaken",
    ]),
    generation: int64("The generation of the mesh that asked for it."),
    startedAt: time("When it began."),
    finishedAt: time("When it ended."),
  },
  { message: string("What went wrong.") },
);

/** Fields of a Mesh's spec that say how its control plane is run. */
export const lifecycleSpec = {
  mode: choice(
    "Where its control plane runs: Managed, beside Weft's management plane, apart from the clusters; StandAlone, in a cluster of the user's, as weft install has it. Unset in a mesh's own API.",
    meshModes,
  ),
  standAlone: MeshHome,
  version: string("The version of Weft that its control plane runs. What runs already, else the newest, unless set."),
  canary: object(
    "Another version beside it, to which namespaces are moved. Setting it upgrades, taking it away rolls back, and setting the mesh's version to it finishes.",
    {
      version: string("The version of Weft."),
      percentage: int32("Namespaces of a hundred that follow it, of those that no label istio.io/rev binds.", {
        minimum: 0,
        maximum: 100,
        default: 0,
      }),
    },
    { revision: string("Its name, for the label istio.io/rev: made of the version unless set.") },
  ),
  quotas: Quotas,
};

/** Fields of a Mesh's status that say how its control plane stands. */
export const lifecycleStatus = {
  state: choice("Where the mesh is in its life.", meshStates),
  slot: int32("Its place among the meshes of the management plane, which decides its ports."),
  api: string("URL of its API."),
  design: Design,
  revisions: keyedList(
    "The revisions of its control plane that there are.",
    object(
      "A revision.",
      {
        name: string("Its name."),
        version: string("The version of Weft that it runs."),
        index: int32("Its place among the mesh's revisions, which decides its port."),
      },
      {
        xds: string("Where it serves proxies."),
        proxies: int64("Proxies that it serves."),
      },
    ),
    ["name"],
  ),
  operation: Operation,
  lastOperation: LastOperation,
};

const versionForm = /^[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?$/;

/** The name that a revision of a version has unless it is told: `0-2-0`. */
export function revisionOf(version: string): string {
  return version.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}

interface Lifecycle {
  readonly mode?: MeshMode;
  readonly standAlone?: MeshHome;
  readonly version?: string;
  readonly canary?: { readonly version: string; readonly revision?: string };
  readonly quotas?: MeshQuotas;
}

/** Longest name of a managed mesh and of a revision: they are parts of paths of Unix sockets. */
const mostLetters = 30;

function* checkVersion(version: string | undefined, path: FieldPath): Generator<FieldError> {
  if (version === undefined || versionForm.test(version)) return;
  yield invalid(path, version, "must be a version such as 1.4.0");
}

/** Checks of the fields that say how a mesh is run. */
export function* validateLifecycle(name: string, spec: Lifecycle, path: FieldPath): Generator<FieldError> {
  const { mode, version, canary } = spec;
  if (mode === undefined) {
    for (const field of ["version", "canary", "quotas", "standAlone"] as const) {
      if (spec[field] !== undefined) yield forbidden(path.field(field), "needs spec.mode");
    }
    return;
  }
  const home = path.field("standAlone");
  if (mode === "Managed" && spec.standAlone) yield forbidden(home, "is for spec.mode StandAlone");
  if (mode === "StandAlone" && !spec.standAlone)
    yield required(home, "says in which cluster a mesh of the mode StandAlone runs");
  if (spec.standAlone) yield* validateHome(spec.standAlone, home);
  if (spec.standAlone?.store.kind === "Etcd" && spec.quotas?.objects !== undefined)
    yield forbidden(path.field("quotas").field("objects"), "each server on an etcd would count only its own writes");
  const at = FieldPath.root.field("metadata", "name");
  yield* validateNamed("label", name, at);
  if (name.length > mostLetters)
    yield invalid(at, name, `must be at most ${mostLetters} characters where a mode is set`);
  yield* checkVersion(version, path.field("version"));
  if (canary === undefined) return;
  const under = path.field("canary");
  yield* checkVersion(canary.version, under.field("version"));
  if (canary.version === version) yield invalid(under.field("version"), version, "must differ from spec.version");
  const { revision } = canary;
  if (revision === undefined) return;
  yield* validateNamed("label", revision, under.field("revision"));
  if (revision.length > mostLetters) {
    yield invalid(under.field("revision"), revision, `must be at most ${mostLetters} characters`);
  }
  if (revision === "default") yield invalid(under.field("revision"), revision, "is what the stable revision is called");
}

/** A mesh stays of its mode: another means another place for all that it has. */
export function* validateModeStays(spec: Lifecycle, before: Lifecycle, path: FieldPath): Generator<FieldError> {
  if (spec.mode !== before.mode) {
    yield invalid(path.field("mode"), spec.mode, `cannot be changed; it is ${before.mode ?? "unset"}`);
    return;
  }
  const [now, then] = [spec.standAlone, before.standAlone];
  for (const field of fixedHomeFields) {
    if (!now || !then || equal(now[field], then[field])) continue;
    yield invalid(
      path.field("standAlone").field(field),
      now[field],
      "cannot be changed: delete the mesh and make another",
    );
  }
}
