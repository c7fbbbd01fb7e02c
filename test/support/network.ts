import { ensureBridge, ensureFabric, fabricName, removeFabric } from "#runtime/fabric.ts";
import { ipBatch } from "#runtime/namespace.ts";
import { createSandbox, killSandbox, removeSandbox, type Sandbox, sandboxName } from "#runtime/sandbox.ts";

const cluster = "east";
const prefix = 20;

/**
 * A network of a test's own: hosts in network namespaces, joined by one bridge, without a way out. Addresses are of
 * 10.10.0.0/20; what else a host calls goes nowhere.
 */
export class TestNetwork implements AsyncDisposable {
  readonly #instance: string;
  readonly #sandboxes: Sandbox[] = [];

  private constructor(instance: string) {
    this.#instance = instance;
  }

  /** @param name tells networks of one process apart. */
  static async create(name: string): Promise<TestNetwork> {
    const network = new TestNetwork(`t${process.pid}${name}`);
    await ensureFabric(network.#instance);
    await ensureBridge({ instance: network.#instance, cluster, podCidr: `10.10.0.0/${prefix}` });
    return network;
  }

  /** Adds a host and gives back its network namespace's name. */
  async add(pod: string, address: string, moreAddresses: readonly string[] = []): Promise<string> {
    const sandbox = { instance: this.#instance, cluster, pod, address, prefix, gateway: "10.10.0.1" };
    this.#sandboxes.push(sandbox);
    await createSandbox(sandbox);
    const name = sandboxName(sandbox);
    if (moreAddresses.length > 0) {
      await ipBatch(
        name,
        moreAddresses.map((each) => `address add ${each}/${prefix} dev eth0`),
      );
    }
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sandbox of this.#sandboxes) {
      killSandbox(sandboxName(sandbox));
      await removeSandbox(sandbox);
    }
    await removeFabric(this.#instance);
  }

  /** Name of the namespace that joins the hosts: a client there is outside of every host. */
  get outside(): string {
    return fabricName(this.#instance);
  }
}
