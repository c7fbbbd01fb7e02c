/**
 * Just enough of the xDS protocol to play many Envoys in one process without spending more than the server under
 * test: responses are scanned, not decoded, and a response that many streams get is scanned once.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { typeUrls } from "#proto/encoded.ts";
import { ClusterSchema, Cluster_DiscoveryType } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { HttpConnectionManagerSchema } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";

/** The two variants of the protocol. */
export type Variant = "delta" | "sotw";

/** A resource as far as a client needs it. */
export interface Seen {
  readonly name: string;
  /** Empty in the state-of-the-world variant. */
  readonly version: string;
  /**
   * Names of endpoints (of a cluster) or routes (of a listener) to ask for; of a route configuration whose virtual hosts
   * come apart, what their names begin with.
   */
  readonly awaits: readonly string[];
}

/** A response as far as a client needs it. */
export interface Response {
  readonly type: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly Seen[];
  /** What all of the resources await, each name once. */
  readonly awaits: readonly string[];
  readonly removed: readonly string[];
}

const managerType =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

function clusterOf(value: Uint8Array): Omit<Seen, "version"> {
  const cluster = fromBinary(ClusterSchema, value);
  const eds =
    cluster.clusterDiscoveryType.case === "type" && cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.EDS;
  return { name: cluster.name, awaits: eds ? [cluster.edsClusterConfig?.serviceName || cluster.name] : [] };
}

function listenerOf(value: Uint8Array): Omit<Seen, "version"> {
  const listener = fromBinary(ListenerSchema, value);
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  const awaits = chains.flatMap(({ filters }) =>
    filters.flatMap(({ configType }) => {
      if (configType.case !== "typedConfig" || configType.value.typeUrl !== managerType) return [];
      const { routeSpecifier } = fromBinary(HttpConnectionManagerSchema, configType.value.value);
      return routeSpecifier.case === "rds" ? [routeSpecifier.value.routeConfigName] : [];
    }),
  );
  return { name: listener.name, awaits };
}

/** A route configuration: name = 1, virtual_hosts = 2, vhds = 9. */
function routesOf(value: Uint8Array): Omit<Seen, "version"> {
  const reader = new BinaryReader(value);
  let name = "";
  let apart = false;
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === WireType.LengthDelimited) name = reader.string();
    else reader.skip(wire);
    apart ||= field === 9;
  }
  return { name, awaits: apart ? [`${name}/`] : [] };
}

/** The name stands first in endpoints and virtual hosts: field 1 of both. */
function namedOf(value: Uint8Array): Omit<Seen, "version"> {
  const reader = new BinaryReader(value);
  let name = "";
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === WireType.LengthDelimited) {
      name = reader.string();
      break;
    }
    reader.skip(wire);
  }
  return { name, awaits: [] };
}

const readers: Readonly<Record<string, (value: Uint8Array) => Omit<Seen, "version">>> = {
  [typeUrls.cluster]: clusterOf,
  [typeUrls.listener]: listenerOf,
  [typeUrls.route]: routesOf,
};

/** `Any`: type_url = 1, value = 2. */
function seenOfAny(any: Uint8Array, version: string): Seen {
  const reader = new BinaryReader(any);
  let type = "";
  let value = new Uint8Array();
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1) type = reader.string();
    else if (field === 2) value = reader.bytes() as Uint8Array<ArrayBuffer>;
    else reader.skip(wire);
  }
  return { ...(readers[type] ?? namedOf)(value), version };
}

/** Resources by name and version, of all types: equal version, equal bytes. */
type Known = Map<string, Seen>;

/** `Resource`: version = 1, resource = 2, name = 3. */
function seenOfResource(bytes: Uint8Array, known: Known): Seen {
  const reader = new BinaryReader(bytes);
  let name = "";
  let version = "";
  let any: Uint8Array = new Uint8Array();
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1) version = reader.string();
    else if (field === 2) any = reader.bytes();
    else if (field === 3) name = reader.string();
    else reader.skip(wire);
  }
  const key = `${version} ${name}`;
  let seen = known.get(key);
  if (!seen) {
    seen = { ...seenOfAny(any, version), name };
    known.set(key, seen);
  }
  return seen;
}

/** A response before its resources are read. */
interface Head extends Omit<Response, "resources" | "awaits"> {
  /** Where each resource begins and ends, one after the other. */
  readonly bounds: readonly number[];
}

/** Both responses: version = 1, resources = 2, type_url = 4, nonce = 5; delta alone: removed_resources = 6. */
function headOf(bytes: Buffer): Head {
  const reader = new BinaryReader(bytes);
  const texts: Record<number, string> = {};
  const removed: string[] = [];
  const bounds: number[] = [];
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1 || field === 4 || field === 5) texts[field] = reader.string();
    else if (field === 6) removed.push(reader.string());
    else if (field === 2) {
      const length = reader.uint32();
      bounds.push(reader.pos, reader.pos + length);
      reader.pos += length;
    } else reader.skip(wire);
  }
  return { type: texts[4] ?? "", version: texts[1] ?? "", nonce: texts[5] ?? "", removed, bounds };
}

/** The resources of a response, and its bytes with their places. */
interface Body {
  readonly bytes: Buffer;
  readonly bounds: readonly number[];
  readonly resources: readonly Seen[];
  readonly awaits: readonly string[];
}

const nobody: Body = { bytes: Buffer.alloc(0), bounds: [], resources: [], awaits: [] };

/** A response as it came, and what was read in it. */
interface Read {
  readonly bytes: Buffer;
  readonly response: Response;
}

/** Responses of one length that are remembered, names in a request that is, and requests. */
const mostAlike = 32;
const fewNames = 16;
const mostRequests = 1024;

/**
 * Scans responses: one that many streams get is read once, and of others a resource that stood at the same place of one like
 * it. What many streams ask is encoded once.
 */
export class Scanner {
  readonly #variant: Variant;
  readonly #seen: Known = new Map();
  /** The last response of each type and number of resources. */
  readonly #last = new Map<string, Body>();
  readonly #acknowledgements = new WeakMap<Response, Buffer>();
  readonly #subscriptions = new WeakMap<readonly string[], Buffer>();
  readonly #read = new Map<number, Read[]>();
  readonly #requests = new Map<string, Buffer>();

  constructor(variant: Variant) {
    this.#variant = variant;
  }

  /** The same bytes, which are only lent, are the same response. */
  scan(bytes: Buffer): Response {
    let alike = this.#read.get(bytes.length);
    const known = alike?.find((read) => read.bytes.equals(bytes));
    if (known) return known.response;
    const kept = Buffer.from(bytes);
    const response = this.#scan(kept);
    if (!alike || alike.length >= mostAlike) alike = [];
    alike.push({ bytes: kept, response });
    this.#read.set(bytes.length, alike);
    return response;
  }

  #scan(bytes: Buffer): Response {
    const { bounds, ...head } = headOf(bytes);
    const key = `${head.type} ${bounds.length}`;
    const body = this.#bodyOf(bytes, bounds, this.#last.get(key) ?? nobody);
    this.#last.set(key, body);
    return { ...head, resources: body.resources, awaits: body.awaits };
  }

  /** The delta request for names. The same list is encoded once. */
  subscription(type: string, names: readonly string[]): Buffer {
    if (names.length <= fewNames) return this.#request({ type, names });
    const known = this.#subscriptions.get(names) ?? encodeAsk("delta", { type, names });
    this.#subscriptions.set(names, known);
    return known;
  }

  /** The delta request that takes names back. */
  unsubscription(type: string, gone: readonly string[]): Buffer {
    return gone.length <= fewNames ? this.#request({ type, gone }) : encodeAsk("delta", { type, gone });
  }

  /** The delta request that acknowledges a response. The same response's is encoded once. */
  acknowledgement(response: Response): Buffer {
    const { type, nonce } = response;
    const known = this.#acknowledgements.get(response) ?? encodeAsk("delta", { type, nonce });
    this.#acknowledgements.set(response, known);
    return known;
  }

  #request(ask: Ask): Buffer {
    const key = JSON.stringify(ask);
    let request = this.#requests.get(key);
    if (!request) {
      request = encodeAsk("delta", ask);
      if (this.#requests.size >= mostRequests) this.#requests.clear();
      this.#requests.set(key, request);
    }
    return request;
  }

  #bodyOf(bytes: Buffer, bounds: readonly number[], like: Body): Body {
    let other = 0;
    let waiting = like.resources.length === 0;
    const resources: Seen[] = [];
    for (let at = 0; at < bounds.length; at += 2) {
      const [from = 0, to = 0, start = 0, end = 0] = [bounds[at], bounds[at + 1], like.bounds[at], like.bounds[at + 1]];
      const known = like.resources[at / 2];
      if (known && to - from === end - start && bytes.compare(like.bytes, start, end, from, to) === 0) {
        resources.push(known);
        continue;
      }
      const seen = this.#seenOf(bytes.subarray(from, to));
      resources.push(seen);
      other += 1;
      waiting ||= seen.awaits.join() !== known?.awaits.join();
    }
    if (other === 0 && like !== nobody) return like;
    const awaits = waiting ? [...new Set(resources.flatMap((each) => each.awaits))] : like.awaits;
    return { bytes, bounds, resources, awaits };
  }

  #seenOf(part: Uint8Array): Seen {
    return this.#variant === "delta" ? seenOfResource(part, this.#seen) : seenOfAny(part, "");
  }
}

/** What a request says. */
export interface Ask {
  readonly type: string;
  /** A serialized `envoy.config.core.v3.Node`, on the first request of a stream. */
  readonly node?: Uint8Array;
  /** Names newly asked for (delta), or all of them (state of the world). */
  readonly names?: readonly string[];
  readonly gone?: readonly string[];
  /** Versions of what is held from before, by name: `initial_resource_versions` of the delta variant. */
  readonly versions?: ReadonlyMap<string, string>;
  readonly nonce?: string;
  readonly version?: string;
}

/** Encodes a request of either variant. */
export function encodeAsk(variant: Variant, ask: Ask): Buffer {
  const writer = new BinaryWriter();
  const text = (field: number, value: string | undefined): void => {
    if (value) writer.tag(field, WireType.LengthDelimited).string(value);
  };
  if (variant === "delta") {
    if (ask.node) writer.tag(1, WireType.LengthDelimited).bytes(ask.node);
    text(2, ask.type);
    for (const name of ask.names ?? []) text(3, name);
    for (const name of ask.gone ?? []) text(4, name);
    for (const [name, version] of ask.versions ?? []) {
      writer.tag(5, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.LengthDelimited).string(name).tag(2, WireType.LengthDelimited).string(version).join();
    }
    text(6, ask.nonce);
  } else {
    text(1, ask.version);
    if (ask.node) writer.tag(2, WireType.LengthDelimited).bytes(ask.node);
    for (const name of ask.names ?? []) text(3, name);
    text(4, ask.type);
    text(5, ask.nonce);
  }
  return Buffer.from(writer.finish());
}
