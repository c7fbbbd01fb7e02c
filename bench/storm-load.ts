import { destinationRule } from "#api/istio/destination-rule.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { service } from "#api/kubernetes/service.ts";
import { typeUrls } from "#proto/encoded.ts";
import { monotonicMs } from "./monotonic.ts";
import type { ServedMesh } from "./served.ts";

/** One change of a storm, and by which resource of theirs proxies learn of it. */
export interface StormChange {
  /** `type name`, with `-` before it where the resource goes away. */
  readonly resource: string;
  /** The namespace of the service that is changed, whose proxies see it even behind a Sidecar. */
  readonly namespace: number;
  /** Milliseconds of the monotonic clock at which it was sent, and at which the API had acknowledged it. */
  readonly sent: number;
  readonly acknowledged: number;
}

/** Of twenty changes in turn so many are of each kind; the others add and remove Services. */
const routesOf20 = 7;
const endpointsOf20 = 6;
const policiesOf20 = 4;
/** Services that were added and are not removed yet. */
const extraServices = 10;
/** Requests at once while the rules are created that the storm then changes. */
const creators = 16;

interface Name {
  readonly name: string;
  readonly namespace: string;
}

/**
 * What happens to a mesh in a storm: of a hundred changes 35 of VirtualServices, 30 of EndpointSlices, 20 of
 * DestinationRules, and 15 Services that come (with endpoints) or go. It goes round the services, so that each is
 * changed again only after seconds.
 */
export class StormLoad {
  readonly #served: ServedMesh;
  /** Services that have a VirtualService and a DestinationRule: the first so many. */
  readonly #ruled: number;
  readonly #turns = { route: 0, endpoints: 0, policy: 0, service: 0 };
  #made = 0;

  constructor(served: ServedMesh, ruled: number) {
    this.#served = served;
    this.#ruled = ruled;
  }

  /** Creates the rules. */
  async prepare(): Promise<void> {
    const left = Array.from({ length: this.#ruled }, (_, index) => index).values();
    const work = async (): Promise<void> => {
      for (const index of left) {
        await this.#served.addRoute(index);
        const metadata = this.#name(index);
        await this.#served.mesh.of(destinationRule).create({ metadata, spec: { host: metadata.name } });
      }
    };
    await Promise.all(Array.from({ length: creators }, work));
  }

  /** Makes the next change. */
  async next(): Promise<StormChange> {
    const at = this.#made % 20;
    this.#made += 1;
    if (at < routesOf20) return await this.#route(this.#turns.route++);
    if (at < routesOf20 + endpointsOf20) return await this.#endpoints(this.#turns.endpoints++);
    if (at < routesOf20 + endpointsOf20 + policiesOf20) return await this.#policy(this.#turns.policy++);
    return await this.#service(this.#turns.service++);
  }

  async #timed(namespace: number, resource: string, work: () => Promise<unknown>): Promise<StormChange> {
    const sent = monotonicMs();
    await work();
    return { resource, namespace, sent, acknowledged: monotonicMs() };
  }

  #namespaceOf(index: number): number {
    return index % this.#served.scale.namespaces;
  }

  #name(index: number, prefix = "svc"): Name {
    return { name: `${prefix}-${index}`, namespace: `ns-${this.#namespaceOf(index)}` };
  }

  #host({ name, namespace }: Name): string {
    return `${name}.${namespace}.svc.cluster.local`;
  }

  async #route(turn: number): Promise<StormChange> {
    const index = turn % this.#ruled;
    const name = this.#name(index);
    return await this.#timed(this.#namespaceOf(index), `${typeUrls.virtualHost} 80/${this.#host(name)}:80`, () =>
      this.#served.change("route", index, 1 + Math.floor(turn / this.#ruled)),
    );
  }

  async #endpoints(turn: number): Promise<StormChange> {
    const { services } = this.#served.scale;
    const index = turn % services;
    const name = this.#name(index);
    return await this.#timed(this.#namespaceOf(index), `${typeUrls.endpoints} outbound|80||${this.#host(name)}`, () =>
      this.#served.change("endpoints", index, 1 + Math.floor(turn / services)),
    );
  }

  async #policy(turn: number): Promise<StormChange> {
    const index = turn % this.#ruled;
    const name = this.#name(index);
    const spec = { trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 + Math.floor(turn / this.#ruled) } } } };
    return await this.#timed(this.#namespaceOf(index), `${typeUrls.cluster} outbound|80||${this.#host(name)}`, () =>
      this.#served.mesh.of(destinationRule).patch(name, { kind: "merge", body: { spec } }),
    );
  }

  /** At first Services are added; then one goes for each that comes. */
  async #service(turn: number): Promise<StormChange> {
    const late = turn - extraServices;
    if (late > 0 && late % 2 === 1) return await this.#remove((late - 1) / 2);
    return await this.#add(late > 0 ? extraServices + late / 2 : turn);
  }

  async #add(index: number): Promise<StormChange> {
    const { cluster } = this.#served;
    const metadata = this.#name(index, "extra");
    const ports = [{ name: "http", port: 80 }];
    const labels = {
      "kubernetes.io/service-name": metadata.name,
      "endpointslice.kubernetes.io/managed-by": "weft-bench",
    };
    const endpoints = [
      { addresses: [`10.23.${Math.floor(index / 250) % 250}.${(index % 250) + 1}`], conditions: { ready: true } },
    ];
    const resource = `${typeUrls.cluster} outbound|80||${this.#host(metadata)}`;
    return await this.#timed(this.#namespaceOf(index), resource, async () => {
      await cluster.of(service).create({ metadata, spec: { selector: { app: metadata.name }, ports } });
      await cluster
        .of(endpointSlice)
        .create({ metadata: { ...metadata, labels }, addressType: "IPv4", ports, endpoints });
    });
  }

  async #remove(index: number): Promise<StormChange> {
    const { cluster } = this.#served;
    const name = this.#name(index, "extra");
    const resource = `-${typeUrls.virtualHost} 80/${this.#host(name)}:80`;
    return await this.#timed(this.#namespaceOf(index), resource, async () => {
      await cluster.of(service).delete(name);
      await cluster.of(endpointSlice).delete(name);
    });
  }
}
