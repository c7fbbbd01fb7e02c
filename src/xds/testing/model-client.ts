import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { WeftError } from "#base/errors.ts";
import { typeUrls, type TypeUrl } from "#proto/encoded.ts";
import { ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { type VirtualHost, VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { HttpConnectionManagerSchema } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { headBytes } from "#grpc/frames.ts";
import type { XdsHub } from "../hub.ts";
import type { Message, Variant } from "../message.ts";
import { RequestReader } from "../request.ts";
import type { Session } from "../session.ts";

/** A resource as a client holds it. */
export interface Held {
  readonly version: string;
  /** The bytes, as text. */
  readonly content: string;
  /** Names of other resources that it waits for when it is new. */
  readonly awaits: readonly string[];
  /** Clusters that a route names. */
  readonly clusters: readonly string[];
  /** Whether the virtual hosts of a route configuration come by themselves. */
  readonly hostless: boolean;
  readonly bad: boolean;
}

/** How a client says no: by the names of what it refuses, taking the rest, or to a response as a whole. */
export type Manner = "names" | "whole";

/** Connect timeout, and port, of what clients refuse. */
export const badNumber = 13;

type Read = (value: Uint8Array) => Partial<Omit<Held, "version" | "content">> & { readonly name: string };

function clustersOf(host: VirtualHost | undefined): readonly string[] {
  const action = host?.routes[0]?.action;
  const target = action?.case === "route" ? action.value.clusterSpecifier : undefined;
  return target?.case === "cluster" ? [target.value] : [];
}

/** The route configuration that a virtual host belongs to. */
function configurationOf(host: string): string {
  return host.slice(0, host.lastIndexOf("/"));
}

const readers: Readonly<Partial<Record<TypeUrl, Read>>> = {
  [typeUrls.cluster]: (value) => {
    const cluster = fromBinary(ClusterSchema, value);
    const awaits = cluster.edsClusterConfig?.serviceName || cluster.name;
    return {
      name: cluster.name,
      awaits: [awaits],
      bad: cluster.connectTimeout?.nanos === badNumber * 1e6,
    };
  },
  [typeUrls.endpoints]: (value) => {
    const assignment = fromBinary(ClusterLoadAssignmentSchema, value);
    const [first] = assignment.endpoints.flatMap((locality) => locality.lbEndpoints);
    const address = first?.hostIdentifier.case === "endpoint" ? first.hostIdentifier.value.address?.address : undefined;
    const port = address?.case === "socketAddress" ? address.value.portSpecifier.value : 0;
    return { name: assignment.clusterName, bad: port === badNumber };
  },
  [typeUrls.listener]: (value) => {
    const listener = fromBinary(ListenerSchema, value);
    const filter = listener.filterChains[0]?.filters[0]?.configType;
    const manager = fromBinary(
      HttpConnectionManagerSchema,
      filter?.case === "typedConfig" ? filter.value.value : new Uint8Array(),
    );
    const route = manager.routeSpecifier.case === "rds" ? manager.routeSpecifier.value.routeConfigName : "";
    return { name: listener.name, awaits: [route] };
  },
  [typeUrls.route]: (value) => {
    const route = fromBinary(RouteConfigurationSchema, value);
    return { name: route.name, clusters: clustersOf(route.virtualHosts[0]), hostless: route.vhds !== undefined };
  },
  [typeUrls.virtualHost]: (value) => {
    const host = fromBinary(VirtualHostSchema, value);
    return { name: host.name, clusters: clustersOf(host) };
  },
};

interface Response {
  readonly type: TypeUrl;
  readonly nonce: string;
  readonly version: string;
  readonly upserts: ReadonlyMap<string, Held>;
  readonly removed: readonly string[];
  /** Names under which resources were asked for, which this answers. */
  readonly answers: readonly string[];
}

/** Types in the order in which Envoy asks for them. */
export const modelTypes = [
  typeUrls.cluster,
  typeUrls.endpoints,
  typeUrls.listener,
  typeUrls.route,
  typeUrls.virtualHost,
] as const;

const awaitedType: Readonly<Partial<Record<TypeUrl, TypeUrl>>> = {
  [typeUrls.cluster]: typeUrls.endpoints,
  [typeUrls.listener]: typeUrls.route,
};

function isWhole(type: TypeUrl): boolean {
  return awaitedType[type] !== undefined || type === typeUrls.virtualHost;
}

/** A client that behaves as Envoy does, as far as the protocol goes, without a network. */
export class ModelClient {
  readonly variant: Variant;
  readonly id: string;
  readonly manner: Manner;
  readonly held = new Map<TypeUrl, Map<string, Held>>(modelTypes.map((type) => [type, new Map()]));
  readonly asked = new Map<TypeUrl, Set<string>>(modelTypes.map((type) => [type, new Set()]));
  /**
   * Names of endpoints and routes that something waits for to become active, and of route configurations that wait for
   * virtual hosts.
   */
  readonly warming = new Map<TypeUrl, Set<string>>(modelTypes.map((type) => [type, new Set()]));
  /** Names asked for again that were not answered yet. */
  readonly unanswered = new Set<string>();
  /** What was ever refused, by type and name. */
  readonly refused = new Set<string>();
  /** Endpoints and routes that Envoy goes on with though the server took them away. */
  readonly stale = new Set<string>();
  /** Responses held a resource that the client had in the same version, without need. */
  readonly needless: string[] = [];
  /** Responses as they came, and their types. */
  readonly messages: Message[] = [];
  readonly types: TypeUrl[] = [];
  /** Virtual hosts that requests want, by the names that they were asked for under; and those that were not answered yet. */
  readonly #wanted = new Set<string>();
  readonly wants = new Set<string>();
  /** Called with such a name when it is answered: the requests go on now, by what is held. */
  onAnswered: (name: string) => void = () => undefined;
  /** Takes responses, but says nothing any more. */
  silent = false;
  readonly #unheard: Response[] = [];
  ended: WeftError | "clean" | undefined;
  #session: Session | undefined;
  #inbox: { message: Message; taken: () => void }[] = [];
  readonly #answeredNonce = new Map<TypeUrl, { nonce: string; version: string }>();
  readonly #repeated = new Set<string>();
  readonly #reader = new RequestReader();
  #wasCut = false;
  /** Whether virtual hosts were asked for on this stream. */
  #asksHosts = false;

  constructor(variant: Variant, id: string, manner: Manner) {
    this.variant = variant;
    this.id = id;
    this.manner = manner;
  }

  get connected(): boolean {
    return this.#session !== undefined && this.ended === undefined;
  }

  get waiting(): number {
    return this.#inbox.length;
  }

  /** Opens a stream and asks for everything, telling what is held. */
  connect(hub: XdsHub): void {
    this.ended = undefined;
    this.#asksHosts = false;
    this.#inbox = [];
    this.#unheard.length = 0;
    this.#answeredNonce.clear();
    this.unanswered.clear();
    // State of the world has no way to tell what is held: all comes again.
    for (const type of this.variant === "sotw" ? modelTypes : []) {
      for (const name of this.#of(this.asked, type)) this.unanswered.add(`${type} ${name}`);
    }
    const inbox = this.#inbox;
    this.#session = hub.open(this.variant, {
      send: (messages, taken) => {
        // What is sent together is taken together.
        const last = messages.at(-1);
        for (const message of messages) inbox.push({ message, taken: message === last ? taken : () => undefined });
      },
      end: (reason) => {
        this.ended = reason ?? "clean";
      },
      abort: () => inbox.splice(0),
      retire: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
    });
    for (const type of modelTypes) this.#first(type);
  }

  /** Drops the stream and what is on the way. */
  disconnect(): void {
    this.#session?.end();
    this.#wasCut = true;
    this.#session = undefined;
    this.#inbox = [];
  }

  /** Takes the oldest response. Returns whether there was one. */
  deliver(): boolean {
    const next = this.#inbox.shift();
    if (!next || !this.connected) return false;
    this.messages.push(next.message);
    const bytes = Buffer.concat(next.message.pieces).subarray(headBytes);
    const response = this.variant === "delta" ? readDeltaResponse(bytes) : readSotwResponse(bytes);
    this.types.push(response.type);
    next.taken();
    if (this.silent) this.#unheard.push(response);
    else this.#take(response);
    return true;
  }

  /** Takes in and answers what came while it was silent. */
  answer(): void {
    this.silent = false;
    for (const response of this.#unheard.splice(0)) this.#take(response);
  }

  /** Asks again for a name that is asked for already. */
  askAgain(type: TypeUrl, name: string): void {
    if (this.variant !== "delta" || !this.connected || !this.asked.get(type)?.has(name)) return;
    this.unanswered.add(`${type} ${name}`);
    this.#repeated.add(`${type} ${name}`);
    this.#request(type, { subscribe: [name] });
  }

  /** A request wants a virtual host that is not held: Envoy asks once, and again on a new stream. */
  want(name: string): void {
    if (this.#wanted.has(name)) return;
    this.#wanted.add(name);
    this.wants.add(name);
    if (this.connected && this.#asksHosts) this.#request(typeUrls.virtualHost, { subscribe: [name] });
  }

  #first(type: TypeUrl): void {
    const names = [...this.#of(this.asked, type)];
    const whole = isWhole(type);
    this.#asksHosts ||= type === typeUrls.virtualHost && this.#hasHostless();
    if (type === typeUrls.virtualHost ? !this.#asksHosts : !whole && names.length === 0) return;
    const versions = Object.fromEntries([...this.#of(this.held, type)].map(([name, { version }]) => [name, version]));
    const wanted = type === typeUrls.virtualHost && this.#wanted.size > 0 ? ["*", ...this.#wanted] : [];
    this.#request(type, { subscribe: whole ? wanted : names, versions, node: true });
  }

  #take(response: Response): void {
    const { type, upserts, removed } = response;
    const bad = [...upserts].filter(([, resource]) => resource.bad).map(([name]) => name);
    for (const name of bad) this.refused.add(`${type} ${name}`);
    if (bad.length === 0 || this.manner === "names") {
      this.#apply(type, new Map([...upserts].filter(([name]) => !bad.includes(name))), removed, bad);
    }
    for (const name of response.answers) if (this.wants.delete(name)) this.onAnswered(name);
    const error = this.manner === "names" ? `Error adding/updating: ${bad.join(": no, ")}: no` : "cannot decode";
    for (const name of bad) this.unanswered.delete(`${type} ${name}`);
    this.#answeredNonce.set(type, { nonce: response.nonce, version: response.version });
    // What the new clusters and listeners need is asked for before the answer leaves, as Envoy does.
    const awaited = awaitedType[type];
    if (awaited)
      this.#subscribe(awaited, new Set([...this.#of(this.held, type).values()].flatMap((held) => held.awaits)));
    if (type === typeUrls.route && !this.#asksHosts) this.#first(typeUrls.virtualHost);
    this.#request(type, { nonce: response.nonce, ...(bad.length > 0 && { error }) });
  }

  /** Whether virtual hosts were asked for on this stream. */
  get asksHosts(): boolean {
    return this.#asksHosts;
  }

  #hasHostless(): boolean {
    return [...this.#of(this.held, typeUrls.route).values()].some(({ hostless }) => hostless);
  }

  /** Envoy keeps virtual hosts with their route configuration. */
  #dropHosts(configuration: string): void {
    const hosts = this.#of(this.held, typeUrls.virtualHost);
    for (const name of hosts.keys()) if (configurationOf(name) === configuration) hosts.delete(name);
    this.#of(this.warming, typeUrls.virtualHost).delete(configuration);
  }

  #apply(type: TypeUrl, upserts: ReadonlyMap<string, Held>, removed: readonly string[], bad: readonly string[]): void {
    const held = this.#of(this.held, type);
    const waitedFor = this.#of(this.warming, type);
    const awaited = awaitedType[type];
    const isHost = type === typeUrls.virtualHost;
    const wantedHosts = new Set(waitedFor);
    for (const [name, resource] of upserts) {
      // What belongs to a configuration that is not there is lost on Envoy.
      if (isHost && !this.#of(this.held, typeUrls.route).get(configurationOf(name))?.hostless) continue;
      if (!isWhole(type) && !this.#of(this.asked, type).has(name)) continue;
      const known = held.get(name);
      const wanted = isHost ? wantedHosts.has(configurationOf(name)) : waitedFor.has(name);
      waitedFor.delete(isHost ? configurationOf(name) : name);
      const answered = this.unanswered.delete(`${type} ${name}`) || this.#repeated.has(`${type} ${name}`);
      const same = known?.content === resource.content;
      const whole = this.variant === "sotw" && awaited !== undefined;
      // Whoever was cut off may get again what the server owed then.
      const owed = this.#wasCut && !awaited;
      if (resource.hostless) this.#of(this.warming, typeUrls.virtualHost).add(name);
      if (same && !wanted && !answered && !whole && !owed) this.needless.push(`${type} ${name}`);
      held.set(name, resource);
      if (awaited && !same) for (const other of resource.awaits) this.#of(this.warming, awaited).add(other);
    }
    for (const name of removed) {
      if (held.delete(name)) this.stale.add(`${type} ${name}`);
      if (type === typeUrls.route) this.#dropHosts(name);
      waitedFor.delete(name);
      this.unanswered.delete(`${type} ${name}`);
    }
    if (this.variant === "sotw" && awaited) {
      for (const name of held.keys()) if (!upserts.has(name) && !bad.includes(name)) held.delete(name);
    }
  }

  #subscribe(type: TypeUrl, names: ReadonlySet<string>): void {
    const asked = this.#of(this.asked, type);
    const more = [...names].filter((name) => !asked.has(name));
    const fewer = [...asked].filter((name) => !names.has(name));
    if (more.length === 0 && fewer.length === 0) return;
    const first = asked.size === 0 && !this.#answeredNonce.has(type);
    this.asked.set(type, new Set(names));
    for (const name of fewer) {
      this.#of(this.held, type).delete(name);
      if (type === typeUrls.route) this.#dropHosts(name);
      this.#of(this.warming, type).delete(name);
      this.stale.delete(`${type} ${name}`);
      this.unanswered.delete(`${type} ${name}`);
    }
    this.#request(type, first ? { subscribe: more } : { subscribe: more, unsubscribe: fewer });
  }

  #of<V>(map: ReadonlyMap<TypeUrl, V>, type: TypeUrl): V {
    return map.get(type) as V;
  }

  #request(
    type: TypeUrl,
    parts: {
      subscribe?: readonly string[];
      unsubscribe?: readonly string[];
      versions?: Readonly<Record<string, string>>;
      nonce?: string;
      error?: string;
      node?: boolean;
    },
  ): void {
    const common = {
      typeUrl: type,
      node: {
        id: this.id,
        metadata: {},
        userAgentVersionType: {
          case: "userAgentBuildVersion" as const,
          value: { version: { majorNumber: 1, minorNumber: 40, patch: 0 } },
        },
      },
      ...(parts.error !== undefined && { errorDetail: { code: 13, message: parts.error } }),
    };
    if (this.variant === "delta") {
      const bytes = toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          ...common,
          responseNonce: parts.nonce ?? "",
          resourceNamesSubscribe: [...(parts.subscribe ?? [])],
          resourceNamesUnsubscribe: [...(parts.unsubscribe ?? [])],
          initialResourceVersions: { ...parts.versions },
        }),
      );
      this.#session?.receive(() => this.#reader.delta(Buffer.from(bytes)));
      return;
    }
    const last = this.#answeredNonce.get(type);
    const bytes = toBinary(
      DiscoveryRequestSchema,
      create(DiscoveryRequestSchema, {
        ...common,
        responseNonce: last?.nonce ?? "",
        versionInfo: last?.version ?? "",
        resourceNames: awaitedType[type] ? [] : [...this.#of(this.asked, type)],
      }),
    );
    this.#session?.receive(() => this.#reader.sotw(bytes));
  }
}

function heldOf(type: TypeUrl, version: string, value: Uint8Array): [string, Held] {
  const read = readers[type];
  if (!read) throw new Error(`a response of type ${type}`);
  const { name, ...rest } = read(value);
  const content = Buffer.from(value).toString("base64");
  return [name, { version, content, awaits: [], clusters: [], hostless: false, bad: false, ...rest }];
}

function readDeltaResponse(bytes: Buffer): Response {
  const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
  const type = response.typeUrl as TypeUrl;
  const upserts = response.resources.map((resource) => {
    const [name, held] = heldOf(type, resource.version, resource.resource?.value ?? new Uint8Array());
    if (name !== resource.name) throw new Error(`resource ${resource.name} holds ${name}`);
    return [name, held] as const;
  });
  const names = [...upserts.map(([name]) => name), ...response.removedResources];
  if (new Set(names).size !== names.length) throw new Error(`a name stands twice in ${names.join()}`);
  return {
    type,
    nonce: response.nonce,
    version: response.systemVersionInfo,
    upserts: new Map(upserts),
    removed: response.removedResources,
    answers: response.resources.flatMap(({ aliases }) => aliases),
  };
}

function readSotwResponse(bytes: Buffer): Response {
  const response = fromBinary(DiscoveryResponseSchema, bytes);
  const type = response.typeUrl as TypeUrl;
  const upserts = response.resources.map((any) => heldOf(type, response.versionInfo, any.value));
  if (new Map(upserts).size !== upserts.length) throw new Error("a name stands twice");
  return {
    type,
    nonce: response.nonce,
    version: response.versionInfo,
    upserts: new Map(upserts),
    removed: [],
    answers: [],
  };
}

/** What a client would hold of an encoded resource, given the `Any` in it. */
export function contentOf(type: TypeUrl, any: Uint8Array): Held {
  return heldOf(type, "", fromBinary(AnySchema, any).value)[1];
}
