import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyUnpack, AnySchema } from "@bufbuild/protobuf/wkt";
import type { EncodedResource } from "#proto/encoded.ts";
import { ClusterSchema, type Cluster } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import {
  ClusterLoadAssignmentSchema,
  type ClusterLoadAssignment,
} from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema, type Listener } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import type { FilterChain } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { RouteConfigurationSchema, type RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import {
  type TcpProxy,
  TcpProxySchema,
} from "#proto/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import { type NameTable, NameTableSchema } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import type { ProxyResources } from "#translate/proxy-resources.ts";

/** What a proxy gets, read when it is asked for. */
export interface DecodedResources {
  readonly listeners: () => readonly Listener[];
  readonly routes: (name: string) => RouteConfiguration | undefined;
  readonly cluster: (name: string) => Cluster | undefined;
  readonly endpoints: (name: string) => ClusterLoadAssignment | undefined;
  readonly names: () => NameTable | undefined;
}

function decode<D extends DescMessage>(schema: D, { any }: EncodedResource): MessageShape<D> {
  return fromBinary(schema, fromBinary(AnySchema, any).value);
}

function named<D extends DescMessage>(schema: D, resources: ReadonlyMap<string, EncodedResource>) {
  return (name: string): MessageShape<D> | undefined => {
    const found = resources.get(name);
    return found && decode(schema, found);
  };
}

/** A listener as a message. */
export function decodedListener(listener: EncodedResource): Listener {
  return decode(ListenerSchema, listener);
}

/** A proxy's resources as messages. */
export function decoded(resources: ProxyResources): DecodedResources {
  return {
    listeners: () => [...resources.listener.values()].map(decodedListener),
    routes: named(RouteConfigurationSchema, resources.route),
    cluster: named(ClusterSchema, resources.cluster),
    endpoints: named(ClusterLoadAssignmentSchema, resources.endpoints),
    names: () => [...resources.nameTable.values()].map((each) => decode(NameTableSchema, each))[0],
  };
}

/** What the last filter of a chain does. */
export type Terminal =
  | { readonly kind: "http"; readonly manager: HttpConnectionManager }
  | { readonly kind: "tcp"; readonly proxy: TcpProxy }
  | { readonly kind: "unknown" };

function unpacked<D extends DescMessage>(any: Any | undefined, schema: D): MessageShape<D> | undefined {
  return any && anyUnpack(any, schema);
}

/** The filter of a chain that decides where connections or requests go. */
export function terminalOf({ filters }: FilterChain): Terminal {
  for (const { configType } of filters) {
    const any = configType.case === "typedConfig" ? configType.value : undefined;
    const manager = unpacked(any, HttpConnectionManagerSchema);
    if (manager) return { kind: "http", manager };
    const proxy = unpacked(any, TcpProxySchema);
    if (proxy) return { kind: "tcp", proxy };
  }
  return { kind: "unknown" };
}
