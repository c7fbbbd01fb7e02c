import { create } from "@bufbuild/protobuf";
import { parseDuration } from "#base/duration.ts";
import { type Duration, DurationSchema } from "#proto/gen/google/protobuf/duration_pb.js";

/** Milliseconds as protobuf has them. */
export function protoMilliseconds(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) });
}

/**
 * A duration of the API (`1.5s`, `250ms`) as protobuf has it.
 * @throws WeftError `InvalidArgument` when the text is no duration.
 */
export function protoDuration(text: string): Duration {
  return protoMilliseconds(parseDuration(text));
}

/** Zero, which Envoy mostly reads as "without limit". */
export const noDuration: Duration = create(DurationSchema);
