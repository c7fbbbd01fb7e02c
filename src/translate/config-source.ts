import { create } from "@bufbuild/protobuf";
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from "#proto/gen/envoy/config/core/v3/config_source_pb.js";
import { noDuration } from "./duration.ts";

/** From the stream that everything comes from. */
export const adsSource: ConfigSource = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: "ads", value: {} },
  // Wait for as long as it takes rather than begin without.
  initialFetchTimeout: noDuration,
  resourceApiVersion: ApiVersion.V3,
});
