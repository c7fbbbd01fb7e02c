import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RouteActionSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { noDuration, protoDuration } from "../duration.ts";

/**
 * How long a request may take in all, retries included; without a timeout Istio switches Envoy's own of 15 s off.
 * A gRPC client's `grpc-timeout` header counts as far as it is within the timeout.
 */
export function timeouts(
  timeout: string | undefined,
): Pick<MessageInitShape<typeof RouteActionSchema>, "timeout" | "maxGrpcTimeout"> {
  const limit = timeout === undefined ? noDuration : protoDuration(timeout);
  return { timeout: limit, maxGrpcTimeout: limit };
}
