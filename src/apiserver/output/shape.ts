import { encodingOf, notAcceptable, parseAccept, type Encoding } from "../media.ts";

/** The shape in which a client wants objects. */
export interface Shape {
  readonly kind: "object" | "table" | "partial";
  /** Version of `meta.k8s.io`, for tables and partial objects. */
  readonly version: string;
  readonly encoding: Encoding;
}

const metaVersions = new Set(["v1", "v1beta1"]);

/** What `as` asks for in an answer of one object, and of several. */
const shapes: ReadonlyMap<string, { readonly kind: Shape["kind"]; readonly list: boolean | undefined }> = new Map([
  ["Table", { kind: "table", list: undefined }],
  ["PartialObjectMetadata", { kind: "partial", list: false }],
  ["PartialObjectMetadataList", { kind: "partial", list: true }],
]);

/**
 * The first shape of an `Accept` header that this server has.
 * @param list whether the answer is a list.
 * @throws ApiError `NotAcceptable`.
 */
export function parseShape(accept: string | undefined, list: boolean): Shape {
  for (const range of parseAccept(accept)) {
    const encoding = encodingOf(range);
    if (encoding === undefined) continue;
    const { as, g = "", v = "" } = range.parameters;
    if (as === undefined) return { kind: "object", version: "", encoding };
    const shape = shapes.get(as);
    if (shape === undefined || g !== "meta.k8s.io" || !metaVersions.has(v)) continue;
    if (shape.list === undefined || shape.list === list) return { kind: shape.kind, version: v, encoding };
  }
  throw notAcceptable();
}
