import { create, fromBinary, fromJson, type JsonObject, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import { type HijackMode, hijackMode } from "#api/weft/hijack-mode.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { adsService } from "#proto/ads.ts";
import { typeUrls } from "#proto/encoded.ts";
import { BootstrapSchema } from "#proto/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { DeltaDiscoveryRequestSchema } from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { mergeMessage } from "#proto/merge.ts";
import type { Bootstrap } from "./bootstrap.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ProxyNode } from "./node-metadata.ts";
import { readOwn } from "./wire.ts";

/** What the control plane says of a proxy: how it is to be started, and how connections are led to it. */
export interface ProxySettings {
  readonly config: MeshProxyConfig;
  /** As its namespace or the mesh says; absent where both say nothing. */
  readonly hijack?: HijackMode;
  /** What is merged into its bootstrap: a serialized `envoy.config.bootstrap.v3.Bootstrap` in base64; absent for nothing. */
  readonly patch?: string;
}

/** Reads settings from the part of a bootstrap that the control plane sends. */
export function readSettings(bytes: Uint8Array): ProxySettings {
  const part = fromBinary(BootstrapSchema, bytes);
  const { PROXY_CONFIG: config = {}, HIJACK, ...metadata } = part.node?.metadata ?? {};
  if (part.node) part.node.metadata = metadata;
  const empty = toBinary(BootstrapSchema, create(BootstrapSchema, { node: { metadata: {} } }));
  const patch = Buffer.from(toBinary(BootstrapSchema, part));
  const hijack = typeof HIJACK === "string" ? hijackMode(HIJACK) : undefined;
  return {
    config: config as MeshProxyConfig,
    ...(hijack && { hijack }),
    ...(!patch.equals(empty) && { patch: patch.toString("base64") }),
  };
}

/** Whether a proxy is started alike with both. */
export function startsAlike(a: ProxySettings | undefined, b: ProxySettings | undefined): boolean {
  return equal(a?.config ?? {}, b?.config ?? {}) && a?.patch === b?.patch;
}

/** Milliseconds that the control plane gets to answer; without its word a proxy is started as it was before. */
const answerMs = 2000;

/**
 * Asks the control plane how a proxy is to be started.
 * @param upstream where it serves xDS.
 * @throws WeftError `Unavailable` when it does not answer in time.
 */
export async function fetchSettings(upstream: ControlPlane, node: ProxyNode, clock: Clock): Promise<ProxySettings> {
  using connection = upstream.connect();
  const { path, requestSerialize, responseDeserialize } = adsService.deltaAggregatedResources;
  const deadline = { deadline: new Date(clock.now() + answerMs) };
  const { client } = connection;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, upstream.metadata(), deadline);
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  call.once("data", (bytes: Buffer) => resolve(bytes));
  call.on("error", reject);
  const { id, cluster, locality, metadata } = node;
  const request = create(DeltaDiscoveryRequestSchema, {
    typeUrl: typeUrls.bootstrap,
    node: { id, cluster, locality, metadata: metadata as JsonObject },
  });
  call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)));
  try {
    const { value } = readOwn("delta", typeUrls.bootstrap, await promise);
    return value === undefined ? { config: {} } : readSettings(value);
  } catch (error) {
    throw new WeftError("Unavailable", "the control plane does not say how the proxy is to be started", error);
  } finally {
    call.cancel();
  }
}

/** Metadata of a node by which the relay knows its proxy, beside its id. */
const identityMetadata = ["NAMESPACE", "CLUSTER_ID"] as const;

/**
 * A bootstrap with a patch merged into it. What the relay knows the proxy by stays: under another name it would get no
 * configuration. Envoy's messages are loaded for this alone.
 */
export async function patchedBootstrap(bootstrap: Bootstrap, patch: string): Promise<object> {
  const { loadRegistry } = await import("#proto/registry.ts");
  const registry = loadRegistry();
  const whole = fromJson(BootstrapSchema, bootstrap as object as JsonValue, { registry });
  mergeMessage(BootstrapSchema, whole, fromBinary(BootstrapSchema, Buffer.from(patch, "base64")));
  const { id, metadata } = bootstrap.node;
  const proven = Object.fromEntries(identityMetadata.map((name) => [name, metadata[name]])) as JsonObject;
  if (whole.node) Object.assign(whole.node, { id, metadata: { ...whole.node.metadata, ...proven } });
  return toJson(BootstrapSchema, whole, { registry }) as object;
}
