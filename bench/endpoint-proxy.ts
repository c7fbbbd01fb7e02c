/** A simulated proxy that reads which endpoints it is told of: it asks for clusters, and for the endpoints of those. */
import { fromBinary } from "@bufbuild/protobuf";
import { typeUrls } from "#proto/encoded.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { DeltaDiscoveryResponse } from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { HealthStatus } from "#proto/gen/envoy/config/core/v3/health_check_pb.js";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { monotonicMs } from "./monotonic.ts";

/** One connected proxy. */
export class EndpointProxy implements Disposable {
  readonly #stream: DeltaStream;
  /** How many endpoints requests may go to, by the service's host. */
  readonly #healthy = new Map<string, number>();
  readonly #waiting: (() => void)[] = [];

  constructor(port: number, cluster: string) {
    this.#stream = new DeltaStream({ host: "127.0.0.1", port });
    this.#stream.stream.on("data", () => {
      const at = monotonicMs();
      for (const response of this.#stream.responses.splice(0)) this.#take(response, at);
      for (const look of this.#waiting.splice(0)) look();
    });
    const id = `sidecar~192.0.2.9~caller.${cluster}~ns-0.svc.cluster.local`;
    const metadata = { NAMESPACE: "ns-0", CLUSTER_ID: cluster, LABELS: { app: "caller" } };
    this.#stream.ask({ typeUrl: typeUrls.cluster, node: { id, metadata } });
  }

  /** When it was last told of something, in milliseconds of the monotonic clock. */
  lastAt = 0;

  /** How many services it has so many endpoints of. */
  servicesWith(endpoints: number): number {
    return [...this.#healthy.values()].filter((count) => count === endpoints).length;
  }

  /** Waits until it has so many endpoints of a service. @returns when it was told. */
  async told(host: string, endpoints: number): Promise<number> {
    return this.until(() => this.#healthy.get(host) === endpoints);
  }

  /** Waits until something holds of it, which is looked at when it is told something. @returns when it was told. */
  async until(holds: () => boolean): Promise<number> {
    while (!holds()) {
      const { ended } = this.#stream;
      if (ended) throw new Error(`the stream of a proxy has ended: ${ended.details}`);
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        // A stream that ends tells nothing.
        setTimeout(resolve, 1000).unref();
      });
    }
    return this.lastAt;
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }

  #take({ typeUrl, nonce, resources }: DeltaDiscoveryResponse, at: number): void {
    this.lastAt = at;
    this.#stream.ask({ typeUrl, responseNonce: nonce });
    if (typeUrl === typeUrls.cluster) {
      const names = resources.map(({ name }) => name).filter((name) => name.startsWith("outbound|"));
      if (names.length > 0) this.#stream.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names });
    } else {
      for (const { name, resource } of resources) {
        if (!resource) continue;
        const { endpoints } = fromBinary(ClusterLoadAssignmentSchema, resource.value);
        const all = endpoints.flatMap(({ lbEndpoints }) => lbEndpoints);
        const healthy = all.filter(({ healthStatus }) => healthStatus !== HealthStatus.UNHEALTHY);
        this.#healthy.set(name.split("|").at(-1) ?? "", healthy.length);
      }
    }
  }
}
