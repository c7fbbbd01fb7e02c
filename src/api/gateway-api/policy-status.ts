import { Condition } from "../kubernetes/meta.ts";
import { keyedList, list, object } from "../schema.ts";
import { controllerName, ParentReference } from "./names.ts";

const conditions = keyedList("The object's state for it, by aspect.", Condition, ["type"], {
  minItems: 1,
  maxItems: 8,
});

/** Gateway API's `RouteStatus`. */
export const RouteStatus = object(
  "What each parent made of the route.",
  {
    parents: list(
      "The route's state, by parent and controller.",
      object("What a parent made of the route.", { parentRef: ParentReference, controllerName, conditions }, {}),
      { maxItems: 32 },
    ),
  },
  {},
);

/** Gateway API's `PolicyStatus`. */
export const PolicyStatus = object(
  "What each ancestor of the policy's targets made of it.",
  {
    ancestors: list(
      "The policy's state, by ancestor and controller.",
      object("What an ancestor made of the policy.", { ancestorRef: ParentReference, controllerName, conditions }, {}),
      { maxItems: 16 },
    ),
  },
  {},
);
