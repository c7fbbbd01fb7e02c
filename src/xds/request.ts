import { type DescMessage, fromBinary } from "@bufbuild/protobuf";
import { WeftError } from "#base/errors.ts";
import { Misconduct } from "./conduct.ts";
import { defaultLimits, type XdsLimits } from "./limits.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import type { Node } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import type { Variant } from "./message.ts";
import { NameLists } from "./name-lists.ts";
import { readPlain } from "./plain-request.ts";
import { scanned } from "./scan.ts";
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

/** What requests of both variants say; a refusal that was read apart goes before the one in the message. */
function commonOf(
  { node, typeUrl, responseNonce, errorDetail }: DiscoveryRequest | DeltaDiscoveryRequest,
  refusal: string | undefined,
): CommonRequest {
  return { node: node && proxyNode(node), typeUrl, nonce: responseNonce, refusal: refusal ?? errorDetail?.message };
}

const noVersions = {} as const;

/** Bytes that remembered long lists of names may cost. */
const rememberedBytes = 16 * 1024 * 1024;

/** Reads the requests of one server. */
export class RequestReader {
  readonly #lists = new NameLists(rememberedBytes);
  readonly #limits: XdsLimits;

  constructor(limits: XdsLimits = defaultLimits) {
    this.#limits = limits;
  }

  /**
   * Reads a `DeltaDiscoveryRequest`.
   * @throws Misconduct when the bytes are none, or ask for too much.
   */
  delta(bytes: Buffer): Request {
    const plain = readPlain(bytes);
    if (plain) return { kind: "delta", node: undefined, refusal: undefined, versions: noVersions, ...plain };
    const { message, names, refusal } = this.#read(DeltaDiscoveryRequestSchema, bytes, "delta");
    return {
      kind: "delta",
      ...commonOf(message, refusal),
      subscribe: joined(names, message.resourceNamesSubscribe),
      unsubscribe: message.resourceNamesUnsubscribe,
      versions: message.initialResourceVersions,
    };
  }

  /**
   * Reads a `DiscoveryRequest`.
   * @throws Misconduct when the bytes are none, or ask for too much.
   */
  sotw(bytes: Uint8Array): Request {
    const { message, names, refusal } = this.#read(DiscoveryRequestSchema, bytes, "sotw");
    return {
      kind: "sotw",
      ...commonOf(message, refusal),
      names: joined(names, message.resourceNames),
    };
  }

  /** A message, and the long list of names and the long refusal that were taken out of it. */
  #read<D extends DescMessage>(schema: D, bytes: Uint8Array, variant: Variant) {
    try {
      const { bytes: scannedBytes, refusal } = scanned(bytes, variant, this.#limits);
      const taken = this.#lists.take(scannedBytes);
      return { message: fromBinary(schema, taken?.rest ?? scannedBytes), names: taken?.names ?? [], refusal };
    } catch (fault) {
      if (fault instanceof WeftError) throw fault;
      const what = "sent bytes that are no discovery request; find out what speaks for it";
      throw new Misconduct("ProxyInvalidRequest", "InvalidArgument", what, fault);
    }
  }
}

/** Two lists as one; one alone as it is. */
function joined(first: readonly string[], second: readonly string[]): readonly string[] {
  if (first.length === 0) return second;
  return second.length === 0 ? first : [...first, ...second];
}
