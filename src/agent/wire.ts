import { fromBinary, toBinary, create, type JsonObject } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import type { TypeUrl } from "#proto/encoded.ts";

/** The two forms of ADS: changes only, or the state of the world. */
export type Variant = "delta" | "sotw";

/** Field of `type_url` in both kinds of responses. */
const typeUrlField = 4;

/**
 * The `type_url` of a discovery response, without decoding the rest; empty when there is none.
 * @throws RangeError when the bytes are no message.
 */
export function responseType(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === typeUrlField && type === WireType.LengthDelimited) return reader.string();
    reader.skip(type, field);
  }
  return "";
}

/** Who a proxy says that it is: what decides which Secrets the control plane gives it. */
export interface ProxyIdentity {
  /** The node id. */
  readonly id: string;
  readonly namespace: string;
  readonly cluster: string;
}

/** The identity in the first request of a stream, as far as it says one. Both kinds of requests are understood. */
export function requestIdentity(variant: Variant, bytes: Uint8Array): Partial<ProxyIdentity> {
  const request =
    variant === "delta" ? fromBinary(DeltaDiscoveryRequestSchema, bytes) : fromBinary(DiscoveryRequestSchema, bytes);
  const { id, metadata = {} } = request.node ?? {};
  const { NAMESPACE: namespace, CLUSTER_ID: cluster } = metadata;
  return {
    ...(id !== undefined && { id }),
    ...(typeof namespace === "string" && { namespace }),
    ...(typeof cluster === "string" && { cluster }),
  };
}

/** The first request of a stream, whose node says more of itself than the proxy does. */
export function sayingMore(variant: Variant, bytes: Uint8Array, more: JsonObject): Uint8Array {
  const said = <T extends DeltaDiscoveryRequest | DiscoveryRequest>(request: T): T => {
    if (request.node) request.node.metadata = { ...request.node.metadata, ...more };
    return request;
  };
  return variant === "delta"
    ? toBinary(DeltaDiscoveryRequestSchema, said(fromBinary(DeltaDiscoveryRequestSchema, bytes)))
    : toBinary(DiscoveryRequestSchema, said(fromBinary(DiscoveryRequestSchema, bytes)));
}

/** The request that subscribes a stream to all of a type, such as its name table. */
export function ownRequest(variant: Variant, typeUrl: TypeUrl): Uint8Array {
  return variant === "delta"
    ? toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl }))
    : toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { typeUrl }));
}

/** A response that is the agent's own, of a type with one resource, and the request that acknowledges it. */
export interface OwnResponse {
  /** The resource; undefined when the response holds none: nothing changed. */
  readonly value: Uint8Array | undefined;
  readonly acknowledgement: Uint8Array;
}

/** Reads a response of a type with one resource. */
export function readOwn(variant: Variant, typeUrl: TypeUrl, bytes: Uint8Array): OwnResponse {
  if (variant === "delta") {
    const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    const request = create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: response.nonce });
    return {
      value: response.resources.at(-1)?.resource?.value,
      acknowledgement: toBinary(DeltaDiscoveryRequestSchema, request),
    };
  }
  const response = fromBinary(DiscoveryResponseSchema, bytes);
  const request = create(DiscoveryRequestSchema, {
    typeUrl,
    responseNonce: response.nonce,
    versionInfo: response.versionInfo,
  });
  return {
    value: response.resources.at(-1)?.value,
    acknowledgement: toBinary(DiscoveryRequestSchema, request),
  };
}
