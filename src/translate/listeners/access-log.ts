import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { MeshSettings } from "#model/mesh.ts";
import {
  type AccessLog,
  type AccessLogFilterSchema,
  AccessLogSchema,
} from "#proto/gen/envoy/config/accesslog/v3/accesslog_pb.js";
import { FileAccessLogSchema } from "#proto/gen/envoy/extensions/access_loggers/file/v3/file_pb.js";

/** Istio's line. */
const textFormat =
  `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
  `%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ` +
  `%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
  `"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ` +
  `%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n`;

/** Istio's members of a line in JSON. */
const jsonFormat = {
  start_time: "%START_TIME%",
  route_name: "%ROUTE_NAME%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_flags: "%RESPONSE_FLAGS%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
  user_agent: "%REQ(USER-AGENT)%",
  request_id: "%REQ(X-REQUEST-ID)%",
  authority: "%REQ(:AUTHORITY)%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
} as const;

/** A format of the mesh's configuration as JSON members; undefined when it is no JSON object of texts. */
function jsonMembers(text: string): Record<string, string> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
    const entries = Object.entries(parsed);
    return entries.every(([, value]) => typeof value === "string") ? Object.fromEntries(entries) : undefined;
  } catch {
    return undefined;
  }
}

function format({ accessLogEncoding, accessLogFormat }: MeshSettings) {
  if (accessLogEncoding === "JSON") {
    const value = jsonMembers(accessLogFormat) ?? { ...jsonFormat };
    return { case: "jsonFormat" as const, value };
  }
  const inlineString = accessLogFormat === "" ? textFormat : accessLogFormat;
  return {
    case: "textFormatSource" as const,
    value: { specifier: { case: "inlineString" as const, value: inlineString } },
  };
}

function fileLog(mesh: MeshSettings, filter?: MessageInitShape<typeof AccessLogFilterSchema>): AccessLog[] {
  if (mesh.accessLogFile === "") return [];
  const file = create(FileAccessLogSchema, {
    path: mesh.accessLogFile,
    accessLogFormat: { case: "logFormat", value: { format: format(mesh) } },
  });
  return [
    create(AccessLogSchema, {
      name: "envoy.access_loggers.file",
      configType: { case: "typedConfig", value: anyPack(FileAccessLogSchema, file) },
      ...(filter && { filter }),
    }),
  ];
}

/** The log of requests and connections, where the mesh asks for one. */
export function accessLog(mesh: MeshSettings): AccessLog[] {
  return fileLog(mesh);
}

/** The log of connections for which a listener finds no filter chain, which no other log sees. */
export function listenerAccessLog(mesh: MeshSettings): AccessLog[] {
  if (mesh.disableEnvoyListenerLog) return [];
  return fileLog(mesh, { filterSpecifier: { case: "responseFlagFilter", value: { flags: ["NR"] } } });
}
