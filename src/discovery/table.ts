/** A column of a table of objects. */
export interface TableColumn<O> {
  readonly name: string;
  /** `string` unless told. */
  readonly type?: string;
  readonly format?: string;
  readonly description: string;
  /** Shown with `-o wide` only. */
  readonly wide?: boolean;
  /** @param age the time since a timestamp, for people. */
  readonly cell: (object: O, age: (since: string) => string) => string;
}

/**
 * Objects as a `meta.k8s.io/v1.Table`.
 * @param whole whether rows have all of an object, and not its metadata alone.
 */
export function tableOf<O extends { readonly metadata: object }>(
  objects: readonly O[],
  columns: readonly TableColumn<O>[],
  age: (since: string) => string,
  whole = false,
): object {
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: { resourceVersion: "" },
    columnDefinitions: columns.map(({ name, type = "string", format = "", description, wide = false }) => ({
      name,
      type,
      format,
      description,
      priority: wide ? 1 : 0,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object, age)),
      object: whole
        ? object
        : { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata },
    })),
  };
}
