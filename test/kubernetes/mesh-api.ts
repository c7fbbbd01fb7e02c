import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kinds } from "#api/kinds.ts";
import { createApiServer, type ApiServer } from "#apiserver/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { memberObjects } from "#controllers/aggregation/objects.ts";
import { serveMember } from "#server/members.ts";
import { openSqliteStore } from "#store/sqlite.ts";
import { Api, version } from "../playground/cluster.ts";
import type { Cluster } from "./cluster.ts";
import { Gate } from "./gate.ts";
import { folderPrefix } from "./run.ts";

/** Whom the mesh's control plane is in its members. */
const account = { kind: "User", name: "weft" } as const;

/** The mesh's API, which real clusters serve as their own. */
export class MeshApi implements AsyncDisposable {
  readonly server: ApiServer;
  /** The mesh's own objects, as one who may do everything. */
  readonly api: Api;
  /** The way from the members' API servers to the mesh's. */
  readonly gate: Gate;
  readonly #stop = new AbortController();
  readonly #serving: Promise<void>[] = [];
  readonly #resources: AsyncDisposableStack;

  private constructor(server: ApiServer, gate: Gate, api: Api, resources: AsyncDisposableStack) {
    this.server = server;
    this.gate = gate;
    this.api = api;
    this.#resources = resources;
  }

  /** Starts the mesh's API, on loopback, without members. */
  static async start(): Promise<MeshApi> {
    await using starting = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}mesh-`));
    starting.defer(() => rmSync(folder, { recursive: true, force: true }));
    const store = starting.use(
      await openSqliteStore({ path: join(folder, "store.db"), clock: systemClock, logger: silentLogger }),
    );
    const socketPath = join(folder, "api-mesh.sock");
    const server = starting.use(
      await createApiServer({
        store,
        kinds,
        endpoints: [{ name: "mesh", view: "mesh", partition: "mesh", listen: [{ socketPath }] }],
        members: { listen: { host: "127.0.0.1", port: 0 } },
        stateDir: join(folder, "api"),
        version,
        clock: systemClock,
        logger: silentLogger,
      }),
    );
    const address = server.members?.address;
    if (address === undefined || !("port" in address)) throw new Error("no members are served");
    const gate = starting.use(await Gate.to(`https://127.0.0.1:${address.port}`));
    const api = new Api({ url: `unix://${socketPath}` });
    starting.defer(() => api.connection[Symbol.dispose]());
    return new MeshApi(server, gate, api, starting.move());
  }

  /** Makes a cluster a member: it gets its objects, and is served. */
  async join(cluster: Cluster): Promise<void> {
    const apis = this.server.members;
    if (apis === undefined) throw new Error("no members are served");
    const reach = { kind: "name", host: "localhost", port: Number(new URL(this.gate.url).port) } as const;
    const items = memberObjects({ member: cluster.name, authority: apis.authority, reach, account, kinds });
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } };
    const list = { apiVersion: "v1", kind: "List", items: [namespace, ...items] };
    const applied = await cluster.kubectl("apply -f -", { input: JSON.stringify(list), patience: 120_000 });
    if (applied.code !== 0) throw new Error(`the objects of a member are refused: ${applied.stderr}`);
    const member = { name: cluster.name, server: cluster.address({ name: account.name }) };
    this.#serving.push(serveMember(member, { apis, clock: systemClock, logger: silentLogger }, this.#stop.signal));
  }

  /** Ends the API and lets its members go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#serving);
    await this.#resources.disposeAsync();
  }
}
