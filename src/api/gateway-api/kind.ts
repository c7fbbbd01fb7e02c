import type { TObject } from "typebox";
import type { Column, FieldError, Kind } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
import type { Condition } from "../kubernetes/meta.ts";
import { ageColumn, valueAt } from "../columns.ts";
import { gatewayApiGroup } from "./names.ts";

/** What tells one kind of the Gateway API from another. */
interface GatewayApiKind extends Pick<
  Kind,
  "versions" | "kind" | "plural" | "shortNames" | "description" | "validateUpdate"
> {
  /** The whole object but `apiVersion`, `kind` and `metadata`. */
  readonly schema: TObject;
  readonly namespaced?: boolean;
  /** Has a status; unless told. */
  readonly status?: boolean;
  /** Columns between the name and the age. */
  readonly columns?: readonly Column[];
  /** Columns after the age. */
  readonly wideColumns?: readonly Column[];
  readonly validate?: (object: ResourceObject) => Iterable<FieldError>;
  /** Types of the conditions that wait for a controller. */
  readonly waiting?: readonly string[];
}

/** What the status of an object says that no controller has looked at. */
function waitingStatus(types: readonly string[]): object {
  const rest = { status: "Unknown", reason: "Pending", message: "Waiting for controller" };
  return { conditions: types.map((type) => ({ type, ...rest, lastTransitionTime: "1970-01-01T00:00:00Z" })) };
}

/** A kind of the Gateway API: its objects belong to the mesh. */
export function gatewayApiKind(parts: GatewayApiKind): Kind {
  const { columns = [], wideColumns = [], validate, waiting = [], namespaced = true, status = true, ...rest } = parts;
  return {
    ...rest,
    group: gatewayApiGroup,
    singular: parts.kind.toLowerCase(),
    categories: ["gateway-api"],
    namespaced,
    home: "mesh",
    status,
    columns: [...columns, ageColumn, ...wideColumns],
    ...(validate === undefined ? {} : { validate: (object) => [...validate(object)] }),
    ...(waiting.length === 0
      ? {}
      : { complete: (object) => ({ ...object, status: object["status"] ?? waitingStatus(waiting) }) }),
  };
}

/** A column with the status of one of an object's conditions. */
export function conditionColumn(type: string): Column {
  return {
    name: type,
    type: "string",
    description: `What the condition ${type} says.`,
    cell: (object) => {
      const conditions = (valueAt(object, "status", "conditions") ?? []) as readonly Condition[];
      return conditions.find((condition) => condition.type === type)?.status ?? "";
    },
  };
}
