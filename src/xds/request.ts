import { fromBinary } from "@bufbuild/protobuf";
import { WeftError } from "#base/errors.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import type { Node } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import type { ProxyNode } from "./port.ts";

interface CommonRequest {
  /** Present on the first request of a stream. */
  readonly node: ProxyNode | undefined;
  readonly typeUrl: string;
  /** The response that is answered; empty when none is. */
  readonly nonce: string;
  /** Why that response was refused. */
  readonly refusal: string | undefined;
}

/** A request of either variant, less what the server does not read. */
export type Request =
  | (CommonRequest & {
      readonly kind: "delta";
      readonly subscribe: readonly string[];
      readonly unsubscribe: readonly string[];
      /** Versions that the client holds, told on the first request of a type. */
      readonly versions: Readonly<Record<string, string>>;
    })
  | (CommonRequest & { readonly kind: "sotw"; readonly names: readonly string[] });

/** Reads a node as the source wants it. */
function proxyNode(node: Node): ProxyNode {
  const build = node.userAgentVersionType;
  const version = build.case === "userAgentBuildVersion" ? build.value.version : undefined;
  const { region = "", zone = "", subZone: subzone = "" } = node.locality ?? {};
  return {
    id: node.id,
    cluster: node.cluster,
    metadata: node.metadata ?? {},
    version: version ? `${version.majorNumber}.${version.minorNumber}.${version.patch}` : "",
    locality: { region, zone, subzone },
  };
}

/**
 * Reads a `DeltaDiscoveryRequest`.
 * @throws WeftError `InvalidArgument` when the bytes are none.
 */
export function readDelta(bytes: Uint8Array): Request {
  const message = decoded(() => fromBinary(DeltaDiscoveryRequestSchema, bytes));
  return {
    kind: "delta",
    node: message.node && proxyNode(message.node),
    typeUrl: message.typeUrl,
    nonce: message.responseNonce,
    refusal: message.errorDetail?.message,
    subscribe: message.resourceNamesSubscribe,
    unsubscribe: message.resourceNamesUnsubscribe,
    versions: message.initialResourceVersions,
  };
}

/**
 * Reads a `DiscoveryRequest`.
 * @throws WeftError `InvalidArgument` when the bytes are none.
 */
export function readSotw(bytes: Uint8Array): Request {
  const message = decoded(() => fromBinary(DiscoveryRequestSchema, bytes));
  return {
    kind: "sotw",
    node: message.node && proxyNode(message.node),
    typeUrl: message.typeUrl,
    nonce: message.responseNonce,
    refusal: message.errorDetail?.message,
    names: message.resourceNames,
  };
}

function decoded<M>(decode: () => M): M {
  try {
    return decode();
  } catch (fault) {
    throw new WeftError("InvalidArgument", "the request is no discovery request", fault);
  }
}
