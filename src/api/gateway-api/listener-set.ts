import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { FieldPath } from "../field.ts";
import { Condition } from "../kubernetes/meta.ts";
import { definition, keyedList, object, type Value } from "../schema.ts";
import { conditionColumn, gatewayApiKind } from "./kind.ts";
import { Listener, listenerStatuses } from "./listener.ts";
import { validateListeners } from "./listener-validation.ts";
import { gatewayApiGroup, gatewayName, groupAndKind, namespace, objectName } from "./names.ts";

export const ListenerSetSpec = definition(
  gatewayName("ListenerSetSpec"),
  object(
    "The Gateway, and what it listens on besides its own listeners.",
    {
      parentRef: object(
        "The Gateway.",
        { ...groupAndKind(gatewayApiGroup, "Gateway"), name: objectName },
        { namespace },
      ),
      listeners: keyedList("What the Gateway listens on too.", Listener, ["name"], { minItems: 1, maxItems: 64 }),
    },
    {},
  ),
);
export type ListenerSetSpec = Value<typeof ListenerSetSpec>;

const ListenerSetStatus = object(
  "What became of the listeners.",
  {},
  {
    conditions: keyedList("The set's state, by aspect.", Condition, ["type"], { maxItems: 8 }),
    listeners: listenerStatuses,
  },
);

/** Gateway API's `v1.ListenerSet`. */
export type ListenerSet = Resource<{ readonly spec: ListenerSetSpec }>;

export const listenerSet: Kind = gatewayApiKind({
  versions: [{ name: "v1" }],
  kind: "ListenerSet",
  plural: "listenersets",
  shortNames: ["lset"],
  description: "Listeners that are added to a Gateway.",
  schema: object("Listeners of a Gateway.", { spec: ListenerSetSpec }, { status: ListenerSetStatus }),
  columns: [conditionColumn("Accepted"), conditionColumn("Programmed")],
  waiting: ["Accepted", "Programmed"],
  validate: (object) =>
    validateListeners((object as ListenerSet).spec.listeners, FieldPath.root.field("spec", "listeners")),
});
