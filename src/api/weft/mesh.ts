import type { FieldError, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn, fieldColumn } from "../columns.ts";
import { meshConfigFields } from "../istio/mesh-config.ts";
import { validateMeshConfig } from "../istio/mesh-config-validation.ts";
import { MeshNetworks, validateMeshNetworks } from "../istio/mesh-networks.ts";
import { duplicate, FieldPath } from "../field.ts";
import { validateNamed } from "../metadata.ts";
import { Condition } from "../kubernetes/meta.ts";
import { choice, definition, duration, int64, list, mergeList, object, string, time, type Value } from "../schema.ts";
import { discoveryField } from "./discovery-mode.ts";
import { hijackField } from "./hijack-mode.ts";
import { profileField } from "./profile.ts";
import { readyColumn, weftKind, weftName } from "./kind.ts";
import { lifecycleSpec, lifecycleStatus, validateLifecycle, validateModeStays } from "./mesh-lifecycle.ts";

/** What Istio keeps in its MeshConfig has the same name and meaning here. */
const MeshSpec = definition(
  weftName("MeshSpec"),
  object(
    "Settings of the whole mesh. Those that Istio's MeshConfig has are called and work as there.",
    { trustDomain: string("The trust domain of the mesh's identities.", { default: "cluster.local" }) },
    {
      clusters: list("Names of the member clusters. All Cluster objects unless set.", string("A Cluster's name.")),
      discovery: discoveryField,
      forgetCallsAfter: duration(
        "How long a host that a workload was seen to call is held where discovery is OnDemand after it was last called: 720h unless set, 0s for ever.",
      ),
      hijack: hijackField,
      profile: profileField,
      ...lifecycleSpec,
      ...meshConfigFields,
      meshNetworks: MeshNetworks,
    },
    { default: {} },
  ),
);
/** A mesh's settings. */
export type MeshSpec = Value<typeof MeshSpec>;

const MeshAuthority = object(
  "The mesh's certificate authority, where a control plane keeps it.",
  {
    secret: string("Its Secret, as NAMESPACE/NAME; empty where there is none."),
    certificates: list(
      "Its certificates: the one that signs, those between it and its root, and the roots that are trusted.",
      object(
        "A certificate.",
        {
          use: choice("What it is for.", ["signs", "between", "trusted"]),
          subject: string("Whom it names."),
          root: string("The first 32 hexadecimal digits of its SHA-256."),
          notAfter: time("When it ends."),
        },
        {},
      ),
    ),
  },
  { problem: string("Why the Secret is not what signs. The last good authority goes on.") },
);

const MeshStatus = definition(
  weftName("MeshStatus"),
  object(
    "How the mesh is.",
    {},
    {
      conditions: mergeList("The mesh's state, by aspect.", Condition, "type"),
      authority: MeshAuthority,
      ...lifecycleStatus,
      observedGeneration: int64("The newest generation of the mesh that the status speaks of."),
    },
  ),
);
/** How a mesh is. */
export type MeshStatus = Value<typeof MeshStatus>;
/** The mesh's certificate authority, as its status tells of it. */
export type MeshAuthority = Value<typeof MeshAuthority>;

/** Weft's `mesh.weft.dev/v1alpha1.Mesh`. */
export type Mesh = Resource<{ readonly spec: MeshSpec; readonly status?: MeshStatus }>;

function* validateMesh({ metadata, spec }: Mesh): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  yield* validateLifecycle(metadata.name, spec, path);
  yield* validateNamed("subdomain", spec.trustDomain, path.field("trustDomain"));
  for (const [index, name] of (spec.clusters ?? []).entries()) {
    const at = path.field("clusters").item(index);
    yield* validateNamed("label", name, at);
    if (spec.clusters?.indexOf(name) !== index) yield duplicate(at, name);
  }
  yield* validateMeshConfig(spec, path);
  if (spec.meshNetworks) yield* validateMeshNetworks(spec.meshNetworks, path.field("meshNetworks"));
}

const description = "A mesh: its settings, and the clusters that belong to it.";

export const mesh: Kind = weftKind({
  kind: "Mesh",
  plural: "meshes",
  shortNames: [],
  description,
  schema: object(description, { spec: MeshSpec }, { status: MeshStatus }),
  columns: [
    fieldColumn("Trust Domain", ["spec", "trustDomain"], "The trust domain of the mesh's identities."),
    fieldColumn("Outbound", ["spec", "outboundTrafficPolicy", "mode"], "What becomes of traffic to unknown hosts."),
    fieldColumn("Mode", ["spec", "mode"], "Who runs its control plane; empty in a mesh's own API."),
    fieldColumn("State", ["status", "state"], "Where it is in its life; empty in a mesh's own API."),
    readyColumn,
    ageColumn,
  ],
  validate: (object) => [...validateMesh(object as Mesh)],
  validateUpdate: (object, before) => {
    const path = FieldPath.root.field("spec");
    return [...validateModeStays((object as Mesh).spec, (before as Mesh).spec, path)];
  },
});
