import { Misconduct } from "./conduct.ts";
import type { NameSet } from "./names.ts";

/** Bounds on what one proxy may cost, and on what all may at once. */
export interface XdsLimits {
  /** Requests a second that one stream may send for long. */
  readonly requestsPerSecond: number;
  /** Requests that it may send at once. */
  readonly requestBurst: number;
  /** Bytes of requests a second, and at once, that a proxy may send. */
  readonly requestBytesPerSecond: number;
  readonly requestBytesBurst: number;
  /** Names in subscriptions a second, and at once: a proxy that changes one spends as many as it then has. */
  readonly namesPerSecond: number;
  readonly nameBurst: number;
  /** Bytes a second, and at once, that a proxy may be sent because it asks, and not because something changed. */
  readonly answeredBytesPerSecond: number;
  readonly answeredBytesBurst: number;
  /** Streams a second, and at once, that a proxy may open. */
  readonly streamsPerSecond: number;
  readonly streamBurst: number;
  /** Streams within a minute beyond which it is said that a proxy reconnects too often. */
  readonly reconnectsPerMinute: number;
  /** Refusals at once, and one a second, beyond which it is said that a proxy refuses for ever. */
  readonly refusalBurst: number;
  /** Milliseconds that a proxy is held up at most before it is listened to again. */
  readonly longestHoldMs: number;
  /** Streams that proxies of one node id may have; of more the oldest is ended. */
  readonly streamsPerProxy: number;
  /** Node ids that may be connected over one listening address. */
  readonly nodesPerAddress: number;
  /** Node ids a second, and at once, that nobody has seen before and that are served over one address without a wait. */
  readonly newNodesPerSecond: number;
  readonly newNodeBurst: number;
  /** Milliseconds that two streams of one node id may last side by side, as in a hot restart, before it is said. */
  readonly twinMs: number;
  /** Milliseconds within which a stream must say whose it is. */
  readonly introductionMs: number;
  /** Names that one stream may ask for, for each type. */
  readonly namesPerType: number;
  /** Those of them of which there may be nothing; four times as many where the proxy says that it holds them. */
  readonly unknownNamesPerType: number;
  /** Names that all streams may ask for together; a list that many ask for counts once. */
  readonly namesInAll: number;
  /** Characters of one name. */
  readonly nameLength: number;
  /** Characters of all names that one stream asks for, for each type. */
  readonly nameCharactersPerType: number;
  /** Bytes of one request. */
  readonly requestBytes: number;
  /** Bytes of what a proxy says of itself. */
  readonly nodeBytes: number;
  /** Bytes of requests that are begun and not complete, over all streams. */
  readonly partialBytes: number;
  /** Streams on one connection. */
  readonly streamsPerConnection: number;
  /** Bytes that may wait, over all streams, for peers to take them: a quarter for changes. A stalled peer stops counting. */
  readonly unsentBytes: number;
  /** Bytes up to which responses, and parts of them, are remembered for the next proxy at the same point. */
  readonly rememberedBytes: number;
  /** Milliseconds after which a peer that takes nothing stops counting against `unsentBytes`. */
  readonly stalledMs: number;
  /** Milliseconds after which a peer that takes nothing is disconnected. */
  readonly takeTimeoutMs: number;
  /** Milliseconds that routes wait for the clusters (and clusters' removal for the routes) of a silent proxy. */
  readonly orderTimeoutMs: number;
  /** Milliseconds after which what a proxy did is forgotten, unless it does it again. */
  readonly findingMs: number;
}

const mebibyte = 1024 * 1024;

/** What a mesh of thousands of services stays far below. */
export const defaultLimits: XdsLimits = {
  requestsPerSecond: 200,
  requestBurst: 2000,
  requestBytesPerSecond: 4 * mebibyte,
  requestBytesBurst: 64 * mebibyte,
  namesPerSecond: 50_000,
  nameBurst: 500_000,
  answeredBytesPerSecond: 2 * mebibyte,
  answeredBytesBurst: 128 * mebibyte,
  streamsPerSecond: 2,
  streamBurst: 100,
  reconnectsPerMinute: 10,
  refusalBurst: 1000,
  longestHoldMs: 10_000,
  streamsPerProxy: 64,
  nodesPerAddress: 20_000,
  newNodesPerSecond: 100,
  newNodeBurst: 20_000,
  twinMs: 20 * 60_000,
  introductionMs: 30_000,
  namesPerType: 100_000,
  namesInAll: 3_000_000,
  unknownNamesPerType: 5000,
  nameLength: 2048,
  nameCharactersPerType: 8 * mebibyte,
  requestBytes: 32 * mebibyte,
  nodeBytes: 256 * 1024,
  partialBytes: 128 * mebibyte,
  streamsPerConnection: 1000,
  unsentBytes: 32 * mebibyte,
  rememberedBytes: 32 * mebibyte,
  stalledMs: 5000,
  takeTimeoutMs: 60_000,
  orderTimeoutMs: 5000,
  findingMs: 5 * 60_000,
};

function tooMuch(what: string): Misconduct {
  const hint = "limit what its workload sees with a Sidecar resource, or find out what speaks for it";
  return new Misconduct("ProxyAsksTooMuch", "ResourceExhausted", `${what}; ${hint}`);
}

/** @throws Misconduct when a list of names is too long or holds one that is. */
export function checkNames(names: readonly string[], { namesPerType, nameLength }: XdsLimits): void {
  if (names.length > namesPerType) {
    throw tooMuch(`asked for ${names.length} names of one type at once, of which it may have ${namesPerType}`);
  }
  const long = names.find((name) => name.length > nameLength);
  if (long !== undefined) throw tooMuch(`asked for a name of ${long.length} characters; the limit is ${nameLength}`);
}

/** @throws Misconduct when a subscription has become too large. */
export function checkSubscription(names: NameSet, { namesPerType, nameCharactersPerType }: XdsLimits): void {
  if (names.size > namesPerType) {
    throw tooMuch(`asks for ${names.size} names of one type; the limit is ${namesPerType}`);
  }
  if (names.characters > nameCharactersPerType) {
    throw tooMuch(`asks for names of ${names.characters} characters in all; the limit is ${nameCharactersPerType}`);
  }
}
