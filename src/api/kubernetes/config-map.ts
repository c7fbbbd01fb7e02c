import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { boolean, map, object, string, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { validateConfigMap, validateDataUpdate } from "./data-validation.ts";

const description = "Texts and files for programs.";

const schema = object(
  description,
  {},
  {
    data: map("Texts, by key.", string("A text.")),
    binaryData: map("Any bytes, by key.", string("Bytes in base64.", { format: "byte" })),
    immutable: boolean("Whether the contents may never change."),
  },
);

/** Kubernetes' `core/v1.ConfigMap`. */
export type ConfigMap = Resource<Value<typeof schema>>;

export const configMap: Kind = kubernetesKind({
  kind: "ConfigMap",
  plural: "configmaps",
  shortNames: ["cm"],
  home: "both",
  description,
  schema,
  columns: [
    {
      name: "Data",
      type: "integer",
      description: "How many keys.",
      cell: (object) => {
        const { data = {}, binaryData = {} } = object as ConfigMap;
        return Object.keys(data).length + Object.keys(binaryData).length;
      },
    },
    ageColumn,
  ],
  status: false,
  validate: (object) => [...validateConfigMap(object)],
  validateUpdate: (object, before) => [...validateDataUpdate(object as ConfigMap, before as ConfigMap)],
});
