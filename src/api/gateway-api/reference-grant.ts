import type { Kind } from "../kind.ts";
import { definition, list, object, string, type Value } from "../schema.ts";
import { gatewayApiKind } from "./kind.ts";
import { gatewayName, group, kind, objectName } from "./names.ts";

const ReferenceGrantSpec = definition(
  gatewayName("ReferenceGrantSpec"),
  object(
    "Who may refer to what.",
    {
      from: list(
        "Who may refer, one of these.",
        object(
          "Objects of another namespace.",
          {
            group,
            kind,
            namespace: string("The objects' namespace.", { minLength: 1, maxLength: 63, format: "dns-label" }),
          },
          {},
        ),
        { minItems: 1, maxItems: 16 },
      ),
      to: list(
        "What may be referred to in the grant's own namespace, one of these.",
        object(
          "Objects of the grant's namespace; all of the kind unless one is named.",
          { group, kind },
          { name: objectName },
        ),
        { minItems: 1, maxItems: 16 },
      ),
    },
    {},
  ),
);

/** A ReferenceGrant's `spec`. */
export type ReferenceGrantSpec = Value<typeof ReferenceGrantSpec>;

/** Gateway API's `v1.ReferenceGrant`. */
export const referenceGrant: Kind = gatewayApiKind({
  versions: [{ name: "v1" }, { name: "v1beta1" }],
  kind: "ReferenceGrant",
  plural: "referencegrants",
  shortNames: ["refgrant"],
  description: "Lets objects of other namespaces refer to objects of this one.",
  status: false,
  schema: object("Leave to refer to objects.", { spec: ReferenceGrantSpec }, {}),
});
