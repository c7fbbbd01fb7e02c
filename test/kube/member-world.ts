import { type Clock, systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { Engine, type Observation } from "#incremental/engine.ts";
import type { Client } from "#kube/client.ts";
import { createModel } from "#model/model.ts";
import { Intake } from "#sources/intake.ts";
import { Members } from "#sources/members/members.ts";
import { ClusterStatusWriter } from "#status/cluster.ts";
import { eventually } from "../support/eventually.ts";

/** The mesh's own namespace. */
export const root = "istio-system";

/** A control plane's sources and the clusters' statuses. */
export class MemberWorld implements AsyncDisposable {
  readonly engine = new Engine();
  readonly model = createModel(this.engine);
  /** What callers of the service were led to, each time that it changed. */
  readonly seen: string[] = [];
  readonly members: Members;
  /** What was logged as a warning or worse. */
  readonly warnings: string[] = [];
  readonly #addresses = this.engine.stringQuery("led-to", () => {
    const { endpoints, tables, services } = this.model;
    const all = services.keysIn.get("shop").flatMap((service) => endpoints.endpoints.get({ service, port: 80 }));
    const led = all.filter(({ cluster }) => tables.drained.get(cluster) !== true);
    return led
      .map(({ address }) => address)
      .toSorted()
      .join(" ");
  });
  readonly #led: Observation<string>;
  readonly #stop = new AbortController();
  readonly #intake: Intake;
  readonly #statuses: ClusterStatusWriter;
  readonly #running: Promise<void>;

  /**
   * @param mesh the mesh's API.
   * @param sockets whether objects may name Unix sockets.
   */
  constructor(mesh: Client, sockets: boolean = true, clock: Clock = systemClock) {
    const write = (line: string): void => void this.warnings.push(line);
    const told = { clock, logger: jsonLogger({ level: "warn", write, now: () => clock.now() }) };
    this.#intake = new Intake({ engine: this.engine, ...told });
    this.#statuses = new ClusterStatusWriter({
      client: mesh,
      standing: (name) => this.members.standing(name),
      ...told,
    });
    const { model } = this;
    const changed = (name: string): void => this.#statuses.changed(name);
    const context = { client: mesh, model, namespace: root, intake: this.#intake, changed, sockets, ...told };
    this.members = new Members(context, this.#stop.signal);
    this.#running = this.#statuses.run(this.#stop.signal);
    this.#led = this.engine.observe(this.#addresses, "", () => this.seen.push(this.addresses));
  }

  /** Addresses of the service's endpoints now, of clusters that callers elsewhere are led to. */
  get addresses(): string {
    return this.#led.current;
  }

  async become(addresses: string): Promise<void> {
    await eventually(`endpoints are ${addresses || "none"}`, () => this.addresses === addresses);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.members.done, this.#running]);
    this.#intake[Symbol.dispose]();
  }
}
