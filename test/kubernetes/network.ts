import { ipBatch } from "#runtime/namespace.ts";
import { TestNetwork } from "../support/network.ts";
import { run } from "./run.ts";

/** A host of a network: a network namespace with an address. */
export interface Host {
  readonly namespace: string;
  readonly address: string;
}

/**
 * A network of a test's own that joins the hosts of some clusters, without a way out. Hosts have addresses of 10.10.0.0/20; Pods of
 * any node reach those of any other by their own addresses.
 */
export class ClusterNetwork implements AsyncDisposable {
  readonly #network: TestNetwork;
  #hosts = 1;

  private constructor(network: TestNetwork) {
    this.#network = network;
  }

  /** @param name tells networks of one process apart. */
  static async create(name: string): Promise<ClusterNetwork> {
    return new ClusterNetwork(await TestNetwork.create(`${run}${name}`));
  }

  /** Adds a host with the next address. */
  async add(name: string): Promise<Host> {
    this.#hosts += 1;
    const address = `10.10.${Math.floor(this.#hosts / 256)}.${this.#hosts % 256}`;
    return { namespace: await this.#network.add(name, address), address };
  }

  /** Sends what is for a node's Pods to the node. */
  async route(pods: string, via: string): Promise<void> {
    await ipBatch(this.#network.outside, [`route replace ${pods} via ${via}`]);
  }

  /** Name of the namespace that joins the hosts: a client there reaches every host and Pod, and is in no cluster. */
  get outside(): string {
    return this.#network.outside;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
  }
}
