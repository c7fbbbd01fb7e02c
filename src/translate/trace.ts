import type { JsonObject } from "@bufbuild/protobuf";
import type { ObjectRef } from "#api/meta.ts";
import { type Metadata } from "#proto/gen/envoy/config/core/v3/base_pb.js";

/**
 * A trace says, in a resource's own metadata, which field of which object made it. Those who explain a
 * configuration translate with traces; proxies get none, so that a moved line of an object sends nothing.
 */
export interface TraceStep {
  readonly ref: ObjectRef;
  /** Path of the field in the object: `spec.http[0].match[1]`. */
  readonly field: string;
}

const name = "weft.trace";

/** Traces as filter metadata; nothing where there are none. */
export function traceMetadata(steps: readonly TraceStep[]): Readonly<Record<string, JsonObject>> {
  return steps.length === 0 ? {} : { [name]: { steps: steps.map(({ ref, field }) => ({ ref: { ...ref }, field })) } };
}

/** The traces that a resource's metadata holds. */
export function tracesOf(metadata: Metadata | undefined): readonly TraceStep[] {
  const { steps = [] } = (metadata?.filterMetadata[name] ?? {}) as unknown as { readonly steps?: readonly TraceStep[] };
  return steps;
}
