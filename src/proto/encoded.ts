import { createHash } from "node:crypto";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Kinds of resource that Envoy (and Istio's agent, for names) asks for. */
export const typeUrls = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoints: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  virtualHost: "type.googleapis.com/envoy.config.route.v3.VirtualHost",
  extension: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
  /** What a proxy's agent puts into the bootstrap that it writes. */
  bootstrap: "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap",
  nameTable: "type.googleapis.com/istio.networking.nds.v1.NameTable",
} as const;

/** One of the type URLs that are served. */
export type TypeUrl = (typeof typeUrls)[keyof typeof typeUrls];

/**
 * An xDS resource in its final bytes, made once and shared by every proxy that gets it. Two with the same `version`
 * hold the same bytes.
 */
export interface EncodedResource {
  readonly name: string;
  readonly typeUrl: TypeUrl;
  /** Hash of the content. */
  readonly version: string;
  /** A serialized `envoy.service.discovery.v3.Resource`, for delta responses. */
  readonly resource: Uint8Array;
  /** The serialized `google.protobuf.Any` inside `resource`, for state-of-the-world responses. */
  readonly any: Uint8Array;
  /**
   * Names of the resources that Envoy will wait for when it warms this one: the endpoints of a cluster, the route
   * configurations of a listener. Of a virtual host, for which Envoy waits for nothing, the clusters that it names, or
   * `anyCluster`: it is sent when the proxy has those.
   */
  readonly awaits: readonly string[];
}

/** Stands for clusters that only a request names. */
export const anyCluster = "*";

/** `Any.type_url` = 1, `Any.value` = 2. */
function encodeAny(typeUrl: string, value: Uint8Array): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(2, WireType.LengthDelimited)
    .bytes(value)
    .finish();
}

/** `Resource.version` = 1, `Resource.resource` = 2, `Resource.name` = 3. The `Any` stands last, so that it is a tail of the bytes. */
function encodeEnvelope(name: string, version: string, any: Uint8Array): Uint8Array {
  return new BinaryWriter()
    .tag(3, WireType.LengthDelimited)
    .string(name)
    .tag(1, WireType.LengthDelimited)
    .string(version)
    .tag(2, WireType.LengthDelimited)
    .bytes(any)
    .finish();
}

/** Encodes a message as an xDS resource, its version being a hash of its bytes. */
export function encodeResource<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  name: string,
  awaits: readonly string[] = [],
): EncodedResource {
  return encodeResourceBytes(schema, toBinary(schema, message), name, awaits);
}

/** The same for a message that is encoded already. */
export function encodeResourceBytes(
  schema: DescMessage,
  message: Uint8Array,
  name: string,
  awaits: readonly string[] = [],
): EncodedResource {
  const typeUrl = `type.googleapis.com/${schema.typeName}` as TypeUrl;
  const inner = encodeAny(typeUrl, message);
  const version = createHash("sha256").update(inner).digest("base64url").slice(0, 16);
  const resource = encodeEnvelope(name, version, inner);
  return { name, typeUrl, version, resource, any: resource.subarray(resource.length - inner.length), awaits };
}

/** Parts of one message as the message: it is its fields one after the other, in any order. */
export function joinedFields(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether two encoded resources are the same to a proxy: the early cut-off of every query that yields one. */
export function sameResource(a: EncodedResource | undefined, b: EncodedResource | undefined): boolean {
  return a?.version === b?.version && a?.name === b?.name;
}
