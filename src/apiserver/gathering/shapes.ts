import { ApiError } from "../status.ts";
import type { Shape } from "../output/shape.ts";
import type { IncludeObject } from "../output/table.ts";
import type { GatheredObject, VersionedRow } from "./state.ts";

/** How a client wants objects. */
export interface Wanted {
  readonly shape: Shape;
  readonly include: IncludeObject;
  /** A version as clients see it. */
  readonly shown: (version: number) => string;
}

function versioned({ object, version }: VersionedRow, { shown }: Wanted): GatheredObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: shown(version) } as GatheredObject["metadata"] };
}

function partial(row: VersionedRow, wanted: Wanted): object {
  const apiVersion = `meta.k8s.io/${wanted.shape.version}`;
  return { kind: "PartialObjectMetadata", apiVersion, metadata: versioned(row, wanted).metadata };
}

function tableRow(row: VersionedRow, wanted: Wanted): object {
  const { cells } = row;
  if (wanted.include === "None") return { cells };
  return { cells, object: wanted.include === "Object" ? versioned(row, wanted) : partial(row, wanted) };
}

/** Rows as a table. */
export function tableOf(
  rows: readonly VersionedRow[],
  columns: readonly object[],
  version: number,
  wanted: Wanted,
): object {
  return {
    kind: "Table",
    apiVersion: `meta.k8s.io/${wanted.shape.version}`,
    metadata: { resourceVersion: wanted.shown(version) },
    columnDefinitions: columns,
    rows: rows.map((row) => tableRow(row, wanted)),
  };
}

/** A row as the object of an event. */
export function eventObject(row: VersionedRow, columns: readonly object[], wanted: Wanted): object {
  if (wanted.shape.kind === "table") return tableOf([row], columns, row.version, wanted);
  return wanted.shape.kind === "partial" ? partial(row, wanted) : versioned(row, wanted);
}

/** Rows as a list of objects. */
export function listOf(
  rows: readonly VersionedRow[],
  kind: string,
  apiVersion: string,
  version: number,
  wanted: Wanted,
): object {
  const metadata = { resourceVersion: wanted.shown(version) };
  if (wanted.shape.kind === "partial")
    return {
      kind: "PartialObjectMetadataList",
      apiVersion: `meta.k8s.io/${wanted.shape.version}`,
      metadata,
      items: rows.map((row) => partial(row, wanted)),
    };
  return { kind: `${kind}List`, apiVersion, metadata, items: rows.map((row) => versioned(row, wanted)) };
}

/** What was asked for began before anything that is known here. */
export function tooOld(version: string): ApiError {
  return new ApiError("Expired", `too old resource version: ${version}: list again`);
}
