import type { Kind } from "../kind.ts";
import type { Resource, ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { boolean, map, object, string, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { validateDataUpdate, validateSecret } from "./data-validation.ts";

const description = "Passwords, keys and certificates for programs.";

const schema = object(
  description,
  { type: string("What the Secret holds, such as kubernetes.io/tls.", { default: "Opaque" }) },
  {
    data: map("The contents, by key.", string("Bytes in base64.", { format: "byte" })),
    stringData: map("The same as texts, for writing only: the server moves them to data.", string("A text.")),
    immutable: boolean("Whether the contents may never change."),
  },
);

/** Kubernetes' `core/v1.Secret`. */
export type Secret = Resource<Value<typeof schema>>;

/** Moves `stringData` to `data`, whose keys it replaces. */
function complete(object: ResourceObject): ResourceObject {
  const { stringData, ...rest } = object as Secret;
  if (stringData === undefined) return object;
  const texts = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text).toString("base64")] as const);
  return { ...rest, data: { ...rest.data, ...Object.fromEntries(texts) } };
}

export const secret: Kind = kubernetesKind({
  kind: "Secret",
  plural: "secrets",
  shortNames: [],
  home: "both",
  description,
  schema,
  columns: [
    { name: "Type", type: "string", description: "What the Secret holds.", cell: (object) => (object as Secret).type },
    {
      name: "Data",
      type: "integer",
      description: "How many keys.",
      cell: (object) => Object.keys((object as Secret).data ?? {}).length,
    },
    ageColumn,
  ],
  status: false,
  complete,
  validate: (object) => [...validateSecret(object as Secret)],
  validateUpdate: (object, before) => [...validateDataUpdate(object as Secret, before as Secret)],
});
