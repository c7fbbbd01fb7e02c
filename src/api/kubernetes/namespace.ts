import type { Kind } from "../kind.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { definition, list, mergeList, object, string, time, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { coreName } from "./meta.ts";

const NamespaceSpec = definition(
  coreName("NamespaceSpec"),
  object(
    "Settings of the namespace.",
    {},
    { finalizers: list("What must be done before the namespace goes; set by the server.", string("Who does it.")) },
    { default: {} },
  ),
);

const NamespaceStatus = definition(
  coreName("NamespaceStatus"),
  object(
    "How the namespace is.",
    {},
    {
      phase: string("Active, or Terminating while its objects go."),
      conditions: mergeList(
        "What keeps the namespace from going.",
        object(
          "One aspect of the namespace's state.",
          { type: string("What the condition tells."), status: string("True, False or Unknown.") },
          {
            lastTransitionTime: time("When the status last changed."),
            reason: string("One word: why the condition has this status."),
            message: string("The same for people."),
          },
        ),
        "type",
      ),
    },
  ),
);

/** Kubernetes' `core/v1.Namespace`. */
export type Namespace = Resource<{
  readonly spec: Value<typeof NamespaceSpec>;
  readonly status?: Value<typeof NamespaceStatus>;
}>;

/** The label that every namespace has, so that selectors can name one. */
const nameLabel = "kubernetes.io/metadata.name";

const description = "A space of names: most objects belong to one, and their names differ only within it.";

export const namespace: Kind = kubernetesKind({
  kind: "Namespace",
  plural: "namespaces",
  shortNames: ["ns"],
  namespaced: false,
  nameForm: "label",
  home: "both",
  description,
  schema: object(description, { spec: NamespaceSpec }, { status: NamespaceStatus }),
  columns: [
    {
      name: "Status",
      type: "string",
      description: "Active, or Terminating while its objects go.",
      cell: (object: ResourceObject) => (object as Namespace).status?.phase ?? "Active",
    },
    ageColumn,
  ],
  status: true,
  complete: (object) => ({
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, [nameLabel]: object.metadata.name } },
  }),
});
