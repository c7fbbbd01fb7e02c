import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { boolean, list, mergeList, object, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { LocalObjectReference, ObjectReference } from "./meta.ts";

const description = "An identity for Pods.";

const schema = object(
  description,
  {},
  {
    secrets: mergeList("Secrets that its Pods may use.", ObjectReference, "name"),
    imagePullSecrets: list("Secrets for fetching its Pods' images.", LocalObjectReference),
    automountServiceAccountToken: boolean("Whether its Pods' containers get its token."),
  },
);

/** Kubernetes' `core/v1.ServiceAccount`. */
type ServiceAccount = Resource<Value<typeof schema>>;

export const serviceAccount: Kind = kubernetesKind({
  kind: "ServiceAccount",
  plural: "serviceaccounts",
  shortNames: ["sa"],
  description,
  schema,
  columns: [
    {
      name: "Secrets",
      type: "integer",
      description: "How many Secrets.",
      cell: (object) => (object as ServiceAccount).secrets?.length ?? 0,
    },
    ageColumn,
  ],
  status: false,
});
