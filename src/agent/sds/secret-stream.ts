import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type EncodedResource, typeUrls } from "#proto/encoded.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import type { Variant } from "../wire.ts";
import { secretNames } from "./proxy-secrets.ts";

/** What a proxy may have, by name; a secret that is not there yet is absent. */
export type Secrets = ReadonlyMap<string, EncodedResource>;

/** What one request leads to. */
export interface Taken {
  /** Why the proxy refuses what it was sent last. */
  readonly refusal?: string;
}

const known: ReadonlySet<string> = new Set(Object.values(secretNames));

/** What a stream of secrets has been asked for and has sent, in one of the two forms of xDS. */
export interface SecretStream {
  /** Versions that the proxy has acknowledged of the secrets that it wants; undefined where it has acknowledged none. */
  readonly held: ReadonlyMap<string, string | undefined>;
  /** Takes in a request. */
  take(bytes: Uint8Array): Taken;
  /** What is to be sent now, as the secrets are; undefined for nothing. */
  next(secrets: Secrets): Uint8Array | undefined;
}

/** Changes only. */
class DeltaSecretStream implements SecretStream {
  /** Versions that the proxy has, of the secrets that it wants; undefined where it has none. */
  readonly #wanted = new Map<string, string | undefined>();
  readonly held = new Map<string, string | undefined>();
  /** What was sent and not answered yet, by nonce. */
  readonly #unanswered = new Map<string, readonly EncodedResource[]>();
  /** Names that it asked for and that do not exist. */
  readonly #absent = new Set<string>();
  #nonce = 0;

  take(bytes: Uint8Array): Taken {
    const request = fromBinary(DeltaDiscoveryRequestSchema, bytes);
    const answered = this.#unanswered.get(request.responseNonce) ?? [];
    this.#unanswered.delete(request.responseNonce);
    if (!request.errorDetail) for (const { name, version } of answered) this.held.set(name, version);
    for (const name of request.resourceNamesUnsubscribe) {
      this.#wanted.delete(name);
      this.held.delete(name);
    }
    for (const name of request.resourceNamesSubscribe) {
      if (!known.has(name)) {
        this.#absent.add(name);
        continue;
      }
      // What it has from a stream before.
      const version = request.initialResourceVersions[name];
      this.#wanted.set(name, version);
      this.held.set(name, version);
    }
    return request.errorDetail ? { refusal: request.errorDetail.message } : {};
  }

  next(secrets: Secrets): Uint8Array | undefined {
    const due = [...this.#wanted].flatMap(([name, version]) => {
      const secret = secrets.get(name);
      return secret === undefined || secret.version === version ? [] : [secret];
    });
    if (due.length === 0 && this.#absent.size === 0) return undefined;
    for (const { name, version } of due) this.#wanted.set(name, version);
    this.#nonce += 1;
    this.#unanswered.set(String(this.#nonce), due);
    const removedResources = [...this.#absent];
    this.#absent.clear();
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl: typeUrls.secret,
      nonce: String(this.#nonce),
      removedResources,
    });
    return withResources(
      toBinary(DeltaDiscoveryResponseSchema, response),
      due.map(({ resource }) => resource),
    );
  }
}

/** The state of the world. */
class WholeSecretStream implements SecretStream {
  #names: readonly string[] = [];
  readonly held = new Map<string, string | undefined>();
  /** What was sent last, or that nothing was. */
  #sent: string | undefined;
  #resources: readonly EncodedResource[] = [];
  #nonce = 0;

  take(bytes: Uint8Array): Taken {
    const request = fromBinary(DiscoveryRequestSchema, bytes);
    // An answer to an earlier response than the last: what it asks for is asked again.
    if (request.responseNonce !== "" && request.responseNonce !== String(this.#nonce)) return {};
    this.#names = [...new Set(request.resourceNames)].slice(0, mostNames).toSorted();
    const answered = request.responseNonce === "" || request.errorDetail ? [] : this.#resources;
    const versions = new Map([...this.held, ...answered.map(({ name, version }) => [name, version] as const)]);
    this.held.clear();
    for (const name of this.#names) if (known.has(name)) this.held.set(name, versions.get(name));
    return request.errorDetail ? { refusal: request.errorDetail.message } : {};
  }

  next(secrets: Secrets): Uint8Array | undefined {
    if (this.#names.length === 0) return undefined;
    const there = this.#names.flatMap((name) => secrets.get(name) ?? []);
    // What does not exist is left out; what is still to come is waited for.
    if (there.length === 0 && this.#names.some((name) => known.has(name))) return undefined;
    const versionInfo = there.map(({ version }) => version).join(".");
    const state = JSON.stringify([this.#names, versionInfo]);
    if (state === this.#sent) return undefined;
    this.#sent = state;
    this.#resources = there;
    this.#nonce += 1;
    const response = create(DiscoveryResponseSchema, {
      typeUrl: typeUrls.secret,
      nonce: String(this.#nonce),
      versionInfo,
    });
    return withResources(
      toBinary(DiscoveryResponseSchema, response),
      there.map(({ any }) => any),
    );
  }
}

/** Names that a request is read for: a proxy asks for two, mostly on streams of their own. */
const mostNames = 16;

/** A response with its `resources`, which are field 2 in both forms. */
function withResources(response: Uint8Array, resources: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter().raw(response);
  for (const each of resources) writer.tag(2, WireType.LengthDelimited).bytes(each);
  return writer.finish();
}

/** A stream that nothing was asked on yet. */
export function newSecretStream(variant: Variant): SecretStream {
  return variant === "delta" ? new DeltaSecretStream() : new WholeSecretStream();
}
