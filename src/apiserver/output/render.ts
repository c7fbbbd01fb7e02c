import { apiVersionOf, type ResourceObject } from "#api/meta.ts";
import type { Kind } from "#api/kind.ts";
import type { Body } from "../reply.ts";
import { asVersion, textOf } from "./json.ts";
import { partial } from "./partial.ts";
import type { Shape } from "./shape.ts";
import { table, type IncludeObject } from "./table.ts";

/** How objects of one request are shown. */
export interface View {
  readonly kind: Kind;
  /** The version asked for. */
  readonly version: string;
  readonly shape: Shape;
  readonly include: IncludeObject;
  /** Milliseconds since the epoch, for ages. */
  readonly now: number;
  /** A stored object as the endpoint shows it. */
  readonly seen: (object: ResourceObject) => ResourceObject;
}

/** Metadata of a list. Kubernetes' `meta/v1.ListMeta`. */
export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

function tableOf(view: View, objects: readonly ResourceObject[], metadata: object, headless = false): object {
  const { kind, version, shape, include, now } = view;
  const apiVersion = apiVersionOf(kind.group, version);
  return table(objects, metadata, { kind, apiVersion, tableVersion: shape.version, include, now, headless });
}

/** One object, in the shape asked for. */
export function renderObject(view: View, stored: ResourceObject): Body {
  const { kind, version, shape } = view;
  const object = view.seen(stored);
  const apiVersion = apiVersionOf(kind.group, version);
  switch (shape.kind) {
    case "object":
      return { value: asVersion(object, apiVersion), text: () => textOf(object, apiVersion) };
    case "partial":
      return { value: partial(object, shape.version) };
    case "table":
      return { value: tableOf(view, [object], { resourceVersion: object.metadata.resourceVersion }) };
  }
}

/** A list, in the shape asked for. */
export function renderList(view: View, stored: readonly ResourceObject[], metadata: ListMeta): Body {
  const { kind, version, shape } = view;
  const objects = stored.map(view.seen);
  const apiVersion = apiVersionOf(kind.group, version);
  switch (shape.kind) {
    case "object": {
      const head = { kind: `${kind.kind}List`, apiVersion, metadata };
      const items = (): string => objects.map((object) => textOf(object, apiVersion)).join(",");
      return {
        value: { ...head, items: objects.map((object) => asVersion(object, apiVersion)) },
        text: () => `${JSON.stringify(head).slice(0, -1)},"items":[${items()}]}`,
      };
    }
    case "partial": {
      const items = objects.map((object) => partial(object, shape.version));
      return {
        value: { kind: "PartialObjectMetadataList", apiVersion: `meta.k8s.io/${shape.version}`, metadata, items },
      };
    }
    case "table":
      return { value: tableOf(view, objects, metadata) };
  }
}

/** An object of a watch event as JSON text. The first table of a watch has the columns, later ones do not repeat them. */
export function renderEvent(view: View, stored: ResourceObject, first: boolean): string {
  const { kind, version, shape } = view;
  const object = view.seen(stored);
  switch (shape.kind) {
    case "object":
      return textOf(object, apiVersionOf(kind.group, version));
    case "partial":
      return JSON.stringify(partial(object, shape.version));
    case "table":
      return JSON.stringify(tableOf(view, [object], { resourceVersion: object.metadata.resourceVersion }, !first));
  }
}

/** The object of a bookmark: nothing but how far the watch is. */
export function renderBookmark(view: View, revision: number, annotations?: Readonly<Record<string, string>>): string {
  const { kind, version, shape } = view;
  const metadata = {
    resourceVersion: String(revision),
    creationTimestamp: null,
    ...(annotations === undefined ? {} : { annotations }),
  };
  switch (shape.kind) {
    case "object":
      return JSON.stringify({ kind: kind.kind, apiVersion: apiVersionOf(kind.group, version), metadata });
    case "partial":
      return JSON.stringify({ kind: "PartialObjectMetadata", apiVersion: `meta.k8s.io/${shape.version}`, metadata });
    case "table":
      return JSON.stringify(tableOf(view, [], metadata, true));
  }
}
