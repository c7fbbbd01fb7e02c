import type { HTTPDirectResponse } from "#api/istio/http-route.ts";
import { create } from "@bufbuild/protobuf";
import { type DataSource, DataSourceSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import {
  type DirectResponseAction,
  DirectResponseActionSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";

function body(from: NonNullable<HTTPDirectResponse["body"]>): DataSource | undefined {
  if (from.string !== undefined) {
    return create(DataSourceSchema, { specifier: { case: "inlineString", value: from.string } });
  }
  if (from.bytes === undefined) return undefined;
  // JSON has bytes as base64.
  return create(DataSourceSchema, { specifier: { case: "inlineBytes", value: Buffer.from(from.bytes, "base64") } });
}

/** A response that the proxy gives itself. */
export function directResponseAction(response: HTTPDirectResponse): DirectResponseAction {
  return create(DirectResponseActionSchema, { status: response.status, body: response.body && body(response.body) });
}
