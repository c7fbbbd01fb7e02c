import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { encodeResource, typeUrls, type EncodedResource, type TypeUrl } from "#proto/encoded.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";

/** The two variants of the protocol. */
export type Variant = "delta" | "sotw";

/** A response in its final bytes, shared by every stream that gets it. */
export interface Message {
  /** Rises with each message encoded, so that nonces rise on every stream. */
  readonly serial: number;
  readonly nonce: string;
  /** `version_info`, or `system_version_info` of the delta variant. */
  readonly version: string;
  readonly bytes: Buffer;
}

/** What a response says. */
export interface Content {
  readonly type: TypeUrl;
  readonly resources: readonly EncodedResource[];
  /** Only of the delta variant. */
  readonly removed: Iterable<string>;
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

/** Encodes responses and numbers them. */
export class Encoder {
  readonly #epoch: string;
  #serial = 0;
  #bytes = 0;

  /** @param epoch tells this server's versions and nonces from those of the one before. */
  constructor(epoch: string) {
    this.#epoch = epoch;
  }

  /** How many messages were encoded, and their bytes: what changes cost, however many proxies got them. */
  get encoded(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#serial, bytes: this.#bytes };
  }

  /** The version text of a revision. */
  versionOf(revision: number): string {
    return `${this.#epoch}/${revision}`;
  }

  encode(variant: Variant, content: Content, revision: number): Message {
    this.#serial += 1;
    const serial = this.#serial;
    const nonce = `${this.#epoch}-${serial.toString(36)}`;
    const version = this.versionOf(revision);
    const bytes = variant === "delta" ? delta(content, version, nonce) : sotw(content, version, nonce);
    this.#bytes += bytes.length;
    return { serial, nonce, version, bytes };
  }
}

function finished(writer: BinaryWriter): Buffer {
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `DeltaDiscoveryResponse`: system_version_info = 1, resources = 2, type_url = 4, nonce = 5, removed_resources = 6. */
function delta(content: Content, version: string, nonce: string): Buffer {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(version);
  for (const { resource } of content.resources) writer.tag(2, WireType.LengthDelimited).bytes(resource);
  writer.tag(4, WireType.LengthDelimited).string(content.type).tag(5, WireType.LengthDelimited).string(nonce);
  for (const name of content.removed) writer.tag(6, WireType.LengthDelimited).string(name);
  return finished(writer);
}

/** `DiscoveryResponse`: version_info = 1, resources = 2, type_url = 4, nonce = 5. */
function sotw(content: Content, version: string, nonce: string): Buffer {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(version);
  for (const { any } of content.resources) writer.tag(2, WireType.LengthDelimited).bytes(any);
  writer.tag(4, WireType.LengthDelimited).string(content.type).tag(5, WireType.LengthDelimited).string(nonce);
  return finished(writer);
}
