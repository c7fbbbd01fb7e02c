import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { encodeResource, typeUrls, type EncodedResource, type TypeUrl } from "#proto/encoded.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { frameHead } from "#grpc/frames.ts";

/** The two variants of the protocol. */
export type Variant = "delta" | "sotw";

/** A response in its final bytes, shared by every stream that gets it. */
export interface Message {
  /** Rises with each message encoded, so that nonces rise on every stream. */
  readonly serial: number;
  readonly nonce: string;
  /** `version_info`, or `system_version_info` of the delta variant. */
  readonly version: string;
  /**
   * The bytes as gRPC sends them, with a head before them, in pieces: most of these stand in many messages, and in memory
   * once. What is small is one piece.
   */
  readonly pieces: readonly Uint8Array[];
  /** Bytes of the message, without the head. */
  readonly length: number;
}

/** Envoy waits for a resource that it asked for, unless told that it is empty; this variant cannot say "there is none". */
export function emptyResource(type: TypeUrl, name: string): EncodedResource | undefined {
  if (type === typeUrls.endpoints) {
    const message = create(ClusterLoadAssignmentSchema, { clusterName: name });
    return encodeResource(ClusterLoadAssignmentSchema, message, name);
  }
  if (type === typeUrls.route) {
    return encodeResource(RouteConfigurationSchema, create(RouteConfigurationSchema, { name }), name);
  }
  return undefined;
}

/** Bytes up to which one write is cheaper than to share what the message is made of. */
const onePiece = 8192;

/** Encodes responses and numbers them. */
export class Encoder {
  readonly #epoch: string;
  #serial = 0;
  #bytes = 0;

  /** @param epoch tells this server's versions and nonces from those of the one before. */
  constructor(epoch: string) {
    this.#epoch = epoch;
  }

  /** How many messages were put together, and their bytes: what changes cost, however many proxies got them. */
  get encoded(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#serial, bytes: this.#bytes };
  }

  /** The version text of a revision. */
  versionOf(revision: number): string {
    return `${this.#epoch}/${revision}`;
  }

  /** Puts a response together from what it says. */
  encode(type: TypeUrl, fragments: readonly Uint8Array[], revision: number): Message {
    this.#serial += 1;
    const serial = this.#serial;
    const nonce = `${this.#epoch}-${serial.toString(36)}`;
    const version = this.versionOf(revision);
    const head = new BinaryWriter().tag(1, WireType.LengthDelimited).string(version);
    head.tag(4, WireType.LengthDelimited).string(type).tag(5, WireType.LengthDelimited).string(nonce);
    const parts = [head.finish(), ...fragments];
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#bytes += length;
    const framed = [frameHead(length), ...parts];
    const pieces = length <= onePiece ? [Buffer.concat(framed)] : framed;
    return { serial, nonce, version, pieces, length };
  }
}

// `DiscoveryResponse` and `DeltaDiscoveryResponse` agree on version (1), resources (2), type_url (4) and nonce (5).

/** Resources and removed names (6) as a part of a `DeltaDiscoveryResponse`. */
export function deltaFragment(resources: Iterable<EncodedResource>, removed: Iterable<string>): Uint8Array {
  const writer = new BinaryWriter();
  for (const { resource } of resources) writer.tag(2, WireType.LengthDelimited).bytes(resource);
  for (const name of removed) writer.tag(6, WireType.LengthDelimited).string(name);
  return writer.finish();
}

/** Resources as a part of a `DiscoveryResponse`. */
export function sotwFragment(resources: Iterable<EncodedResource>): Uint8Array {
  const writer = new BinaryWriter();
  for (const { any } of resources) writer.tag(2, WireType.LengthDelimited).bytes(any);
  return writer.finish();
}
