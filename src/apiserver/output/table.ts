import { ageColumn } from "#api/columns.ts";
import { formatAge } from "#base/duration.ts";
import type { Column, Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { ApiError } from "../status.ts";
import { partial } from "./partial.ts";

/** How much of each object stands in a row. */
export type IncludeObject = "None" | "Metadata" | "Object";

/** Reads `includeObject` of a query. @throws ApiError `BadRequest`. */
export function parseInclude(query: URLSearchParams): IncludeObject {
  const value = query.get("includeObject") || "Metadata";
  if (value === "None" || value === "Metadata" || value === "Object") return value;
  throw new ApiError("BadRequest", `unrecognized includeObject value: "${value}"`);
}

const nameColumn: Column = {
  name: "Name",
  type: "string",
  description: "The object's name, unique in its namespace.",
  cell: (object) => object.metadata.name,
};

function columnsOf(kind: Kind): readonly Column[] {
  const columns = kind.columns.length === 0 ? [ageColumn] : kind.columns;
  return kind.unnamedTable === true ? columns : [nameColumn, ...columns];
}

function definition(column: Column): object {
  return {
    name: column.name,
    // An age is printed here, so that it follows this server's clock and not the client's.
    type: column.type === "date" ? "string" : column.type,
    format: column === nameColumn ? "name" : "",
    description: column.description,
    priority: column.wide === true ? 1 : 0,
  };
}

function cell(column: Column, object: ResourceObject, now: number): string | number {
  const value = column.cell(object, now);
  if (value === undefined) return "<none>";
  if (column.type !== "date") return value;
  const time = typeof value === "number" ? value : Date.parse(value);
  return Number.isNaN(time) ? "<unknown>" : formatAge(now - time);
}

/** What a table is made for. */
export interface TableOptions {
  readonly kind: Kind;
  /** The `apiVersion` that objects in rows show. */
  readonly apiVersion: string;
  /** `v1` or `v1beta1` of `meta.k8s.io`. */
  readonly tableVersion: string;
  readonly include: IncludeObject;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Leave out the columns: the later events of a watch. */
  readonly headless?: boolean;
}

/** Objects as a table, which kubectl prints as it is. Kubernetes' `meta/v1.Table`. */
export function table(objects: readonly ResourceObject[], metadata: object, options: TableOptions): object {
  const columns = columnsOf(options.kind);
  const rows = objects.map((object) => ({
    cells: columns.map((column) => cell(column, object, options.now)),
    ...(options.include === "None"
      ? {}
      : {
          object:
            options.include === "Object"
              ? { ...object, apiVersion: options.apiVersion }
              : partial(object, options.tableVersion),
        }),
  }));
  return {
    kind: "Table",
    apiVersion: `meta.k8s.io/${options.tableVersion}`,
    metadata,
    columnDefinitions: options.headless === true ? [] : columns.map(definition),
    rows,
  };
}
