import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { FieldPath, forbidden } from "../field.ts";
import { Condition } from "../kubernetes/meta.ts";
import { definition, keyedList, object, string, type Value } from "../schema.ts";
import { conditionColumn, gatewayApiKind } from "./kind.ts";
import { controllerName, gatewayName, group, kind, namespace, objectName } from "./names.ts";

export const GatewayClassSpec = definition(
  gatewayName("GatewayClassSpec"),
  object(
    "Who carries out the Gateways of the class.",
    { controllerName },
    {
      description: string("What the class is for.", { maxLength: 64 }),
      parametersRef: object(
        "The controller's own settings of the class.",
        { group, kind, name: objectName },
        { namespace },
      ),
    },
  ),
);
export type GatewayClassSpec = Value<typeof GatewayClassSpec>;

const GatewayClassStatus = object(
  "Whether the class is taken.",
  {},
  {
    conditions: keyedList("The class's state, by aspect.", Condition, ["type"], { maxItems: 8 }),
    supportedFeatures: keyedList(
      "What the controller can do.",
      object("A feature.", { name: string("The feature's name.") }, {}),
      ["name"],
      { maxItems: 64 },
    ),
  },
);

/** Gateway API's `v1.GatewayClass`. */
export type GatewayClass = Resource<{ readonly spec: GatewayClassSpec }>;

export const gatewayClass: Kind = gatewayApiKind({
  versions: [{ name: "v1" }, { name: "v1beta1" }],
  kind: "GatewayClass",
  plural: "gatewayclasses",
  shortNames: ["gc"],
  description: "A sort of Gateways, and the controller that carries them out.",
  namespaced: false,
  schema: object("A class of Gateways.", { spec: GatewayClassSpec }, { status: GatewayClassStatus }),
  columns: [
    fieldColumn("Controller", ["spec", "controllerName"], "Who carries out the Gateways of the class."),
    conditionColumn("Accepted"),
  ],
  wideColumns: [{ ...fieldColumn("Description", ["spec", "description"], "What the class is for."), wide: true }],
  waiting: ["Accepted"],
  validateUpdate: (object, before) =>
    (object as GatewayClass).spec.controllerName === (before as GatewayClass).spec.controllerName
      ? []
      : [forbidden(FieldPath.root.field("spec", "controllerName"), "may not be changed")],
});
