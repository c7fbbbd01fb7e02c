import { ageColumn, fieldColumn } from "../columns.ts";
import { duplicate, FieldPath, invalid } from "../field.ts";
import type { Column, FieldError, Kind } from "../kind.ts";
import { Condition } from "../kubernetes/meta.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { validateNamed } from "../metadata.ts";
import {
  boolean,
  choice,
  definition,
  int64,
  list,
  mergeList,
  object,
  positiveDuration,
  string,
  time,
  type Value,
} from "../schema.ts";
import { weftKind, weftName } from "./kind.ts";

/** Proxies that are named in a status, and that may be left out of account. */
export const mostMissing = 20;
const mostSkipped = 1000;

const RootRotationSpec = definition(
  weftName("RootRotationSpec"),
  object(
    "Where the new authority comes from, and how the rotation goes. Without a source the mesh makes an authority of its own.",
    {},
    {
      selfSigned: object(
        "The mesh makes the new authority.",
        {
          keyType: choice("Its key.", ["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096"], { default: "P-256" }),
        },
        {},
      ),
      secretName: string(
        "A Secret of the root namespace with the new authority, under the names that Istio's cacerts has. It is read when the rotation begins.",
        { minLength: 1, maxLength: 253 },
      ),
      abort: boolean("Goes back to the old authority, through the same stages."),
      holdAt: choice("Goes no further than this stage.", ["BothTrusted", "NewIssues"]),
      skip: list(
        "Proxies that are not waited for, as CLUSTER/NAMESPACE/POD with * for any of a part. What they cannot prove may break them.",
        string("Such as east/shop/reviews-1, or west/legacy/*.", { minLength: 1, maxLength: 400 }),
        { maxItems: mostSkipped },
      ),
      stalledAfter: positiveDuration(
        "How long a stage may wait for proxies until the rotation is said to stall, which changes nothing else: 10m unless set.",
      ),
    },
    { default: {}, oneOf: [["selfSigned", "secretName"]] },
  ),
);

const Root = object(
  "A root.",
  {
    root: string("The first 32 hexadecimal digits of its certificate's SHA-256."),
    subject: string("Whom its certificate names."),
    notAfter: time("When it ends."),
  },
  {},
);

const RootRotationStatus = definition(
  weftName("RootRotationStatus"),
  object(
    "How the rotation stands.",
    {},
    {
      phase: choice("Where it is.", ["Pending", "Rotating", "Aborting", "Completed", "Aborted"]),
      stage: choice(
        "What holds now: nothing is changed, both roots are trusted, the new one issues, the old is dropped.",
        ["Unchanged", "BothTrusted", "NewIssues", "OldDropped"],
      ),
      secret: string("The Secret of the authority, as NAMESPACE/NAME."),
      old: Root,
      new: Root,
      startedAt: time("When it began."),
      stageSince: time("When the stage was entered."),
      finishedAt: time("When it ended."),
      proxies: object(
        "Who has proven what the next step needs.",
        {
          total: int64("Proxies with certificates of the mesh."),
          proven: int64("Those that have proven it."),
          skipped: int64("Those that are not waited for."),
        },
        {
          missing: list(
            "Some of those that have not.",
            object("A proxy.", { proxy: string("CLUSTER/NAMESPACE/POD."), reason: string("What it lacks.") }, {}),
            { maxItems: mostMissing },
          ),
        },
      ),
      conditions: mergeList("The rotation's state, by aspect.", Condition, "type"),
      observedGeneration: int64("The newest generation of the rotation that the status speaks of."),
    },
  ),
);

/** How a rotation stands. */
export type RootRotationStatus = Value<typeof RootRotationStatus>;

/** Weft's `mesh.weft.dev/v1alpha1.RootRotation`: the mesh's authority and its root are replaced, in stages. */
export type RootRotation = Resource<{
  readonly spec: Value<typeof RootRotationSpec>;
  readonly status?: RootRotationStatus;
}>;

const skipped = /^(?:\*|[a-z0-9.-]+)\/(?:\*|[a-z0-9-]+)\/(?:\*|[a-z0-9.-]+)$/;

function* validateRotation({ spec }: RootRotation): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  if (spec.secretName !== undefined) yield* validateNamed("subdomain", spec.secretName, path.field("secretName"));
  for (const [index, name] of (spec.skip ?? []).entries()) {
    const at = path.field("skip").item(index);
    if (!skipped.test(name)) yield invalid(at, name, "must be CLUSTER/NAMESPACE/POD, each part a name or *");
    if (spec.skip?.indexOf(name) !== index) yield duplicate(at, name);
  }
}

const provenColumn: Column = {
  name: "Proven",
  type: "string",
  description: "How many proxies have proven what the next step needs, of how many.",
  cell: (rotation: ResourceObject) => {
    const { proxies } = (rotation as unknown as RootRotation).status ?? {};
    return proxies === undefined ? "" : `${proxies.proven}/${proxies.total}`;
  },
};

const description =
  "Replaces the mesh's authority and its root, in stages, each when every proxy has proven what it needs.";

export const rootRotation: Kind = weftKind({
  kind: "RootRotation",
  plural: "rootrotations",
  shortNames: [],
  description,
  schema: object(description, { spec: RootRotationSpec }, { status: RootRotationStatus }),
  columns: [
    fieldColumn("Phase", ["status", "phase"], "Where it is."),
    fieldColumn("Stage", ["status", "stage"], "What holds now."),
    provenColumn,
    ageColumn,
  ],
  nameForm: "label",
  validate: (rotation) => [...validateRotation(rotation as unknown as RootRotation)],
});
