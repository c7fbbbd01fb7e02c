import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

// Bytes in, bytes out: who serves or relays a stream encodes once for all streams, or not at all.
const same = (bytes: Buffer): Buffer => bytes;

function bidi(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const secrets = "/envoy.service.secret.v3.SecretDiscoveryService";

/** `envoy.service.discovery.v3.AggregatedDiscoveryService` over raw bytes. */
export const adsService = {
  deltaAggregatedResources: bidi(`${service}/DeltaAggregatedResources`),
  streamAggregatedResources: bidi(`${service}/StreamAggregatedResources`),
} as const satisfies ServiceDefinition;

/** The streams of `envoy.service.secret.v3.SecretDiscoveryService` over raw bytes. */
export const sdsService = {
  deltaSecrets: bidi(`${secrets}/DeltaSecrets`),
  streamSecrets: bidi(`${secrets}/StreamSecrets`),
} as const satisfies ServiceDefinition;
