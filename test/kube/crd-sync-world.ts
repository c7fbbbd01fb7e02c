import assert from "node:assert/strict";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import { type TestServer, startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { type FindDefinition, definitionName } from "#controllers/crd-sync/definition.ts";
import { type DriftReport, readDrift } from "#controllers/crd-sync/drift.ts";
import { type KeptVersion, keptVersions } from "#controllers/crd-sync/kept.ts";
import { MemberSync } from "#controllers/crd-sync/member-sync.ts";
import { SideObjects } from "#controllers/crd-sync/objects.ts";
import { Client, type KindClient } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";
import { ApiFront } from "./api-front.ts";

/** Where the mesh remembers things. */
export const root = "istio-system";
/** The name of the member. */
const member = "east";

/** Who vouches for both fronts. */
export const authority = createAuthority("an API");

/** One of two APIs: as a user asks it, and behind a front that can be broken, as it is asked by who keeps both the same. */
export class World {
  readonly server: TestServer;
  readonly client: Client;
  readonly front: ApiFront;
  readonly entries: KindClient<ResourceObject>;

  private constructor(server: TestServer, client: Client, front: ApiFront) {
    this.server = server;
    this.client = client;
    this.front = front;
    this.entries = client.of(serviceEntry);
  }

  static async start(stack: AsyncDisposableStack): Promise<World> {
    const server = stack.use(await startTestServer());
    const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
    const front = stack.use(await ApiFront.of(server.url("mesh"), authority));
    return new World(server, client, front);
  }

  /** The API behind the front. */
  behind(stack: DisposableStack): Client {
    const { url, token } = this.front;
    const address = { url, ca: authority.certificate, token };
    return new Client(stack.use(new Connection(address, { clock: systemClock })));
  }

  async makeNamespace(name: string): Promise<void> {
    await this.client.of(namespaceKind).create({ metadata: { name } });
  }

  /** Deletes a namespace, and returns when it is gone. */
  async removeNamespace(name: string): Promise<void> {
    const namespaces = this.client.of(namespaceKind);
    await namespaces.delete({ name });
    await eventually(`namespace ${name} goes`, async () => (await namespaces.find({ name })) === undefined);
  }

  /** Creates an entry that says one word. */
  async make(name: string, word: string, namespace = "shop"): Promise<void> {
    await this.entries.create(entry(namespace, name, word));
  }

  /** Makes an entry say another word. */
  async say(name: string, word: string, namespace = "shop"): Promise<void> {
    const { spec } = entry(namespace, name, word);
    await this.entries.patch({ namespace, name }, { kind: "merge", body: { spec } });
  }

  /** What all entries say, by namespace and name. */
  async words(): Promise<Readonly<Record<string, string>>> {
    const { items } = await this.entries.list();
    const said = items.map((object) => [`${object.metadata.namespace ?? ""}/${object.metadata.name}`, wordOf(object)]);
    return Object.fromEntries(said) as Record<string, string>;
  }

  /** Waits until all entries say what they are to. */
  async become(wanted: Readonly<Record<string, string>>): Promise<void> {
    await eventually(`entries are ${JSON.stringify(wanted)}`, async () => {
      assert.deepEqual(await this.words(), wanted);
      return true;
    });
  }
}

/** An entry that says a word. */
export function entry(
  namespace: string,
  name: string,
  word: string,
): { metadata: { namespace: string; name: string }; spec: object } {
  const spec = { hosts: [`${word}.example.com`], ports: [{ name: "http", number: 80 }], resolution: "DNS" };
  return { metadata: { namespace, name }, spec };
}

/** The word that an entry says. */
export function wordOf(object: Readonly<Record<string, unknown>>): string {
  const { hosts = [] } = (object["spec"] ?? {}) as { readonly hosts?: readonly string[] };
  return hosts[0]?.split(".")[0] ?? "";
}

/** Who keeps two APIs the same; it can be killed and started again. */
export class Keeper implements AsyncDisposable {
  readonly mesh: World;
  readonly member: World;
  /** The UID of the member's definition; undefined while it has none. */
  definition: string | undefined = "first";
  readonly mostKept: number;
  #end: (() => Promise<void>) | undefined;

  constructor(mesh: World, ofMember: World, mostKept = 500) {
    this.mesh = mesh;
    this.member = ofMember;
    this.mostKept = mostKept;
  }

  start(): void {
    const stop = new AbortController();
    const connections = new DisposableStack();
    const told = { clock: systemClock, logger: silentLogger };
    const api = this.mesh.behind(connections);
    const objects = new SideObjects({ client: api, kind: serviceEntry, ...told });
    const findDefinition: FindDefinition = async () =>
      this.definition === undefined ? undefined : { uid: this.definition, version: "v1" };
    const running = Promise.all([
      objects.run(stop.signal),
      this.#keep({ api, client: this.member.behind(connections), objects, findDefinition }, stop.signal),
    ]);
    this.#end = async () => {
      stop.abort();
      connections.dispose();
      await running;
    };
  }

  /** Ends it, wherever it is: what it was about to write is cut off. */
  async kill(): Promise<void> {
    await this.#end?.();
    this.#end = undefined;
  }

  async kept(): Promise<readonly KeptVersion[]> {
    return keptVersions({ client: this.mesh.client, namespace: root, member });
  }

  async drift(): Promise<DriftReport | undefined> {
    return readDrift({ client: this.mesh.client, namespace: root, member });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** As the controller does: again when what is remembered cannot be read. */
  async #keep(
    {
      api,
      client,
      objects,
      findDefinition,
    }: { api: Client; client: Client; objects: SideObjects; findDefinition: FindDefinition },
    signal: AbortSignal,
  ): Promise<void> {
    const { mostKept } = this;
    const shared = new Map([[definitionName(serviceEntry), objects]]);
    const told = { clock: systemClock, logger: silentLogger };
    const options = { member, mesh: api, namespace: root, objects: shared, client, findDefinition, mostKept, ...told };
    while (!signal.aborted) {
      await MemberSync.run(options, signal).catch(() => undefined);
      await systemClock.sleep(50, signal).catch(() => undefined);
    }
  }
}

/** Two APIs with the namespaces that tests use. */
export class Worlds {
  readonly mesh: World;
  readonly member: World;

  private constructor(mesh: World, ofMember: World) {
    this.mesh = mesh;
    this.member = ofMember;
  }

  static async start(stack: AsyncDisposableStack): Promise<Worlds> {
    const [mesh, ofMember] = [await World.start(stack), await World.start(stack)];
    await mesh.makeNamespace(root);
    return new Worlds(mesh, ofMember);
  }

  /** Who keeps them the same, not started; what tests before left is gone. */
  async keeper(mostKept?: number): Promise<Keeper> {
    const maps = this.mesh.client.of(configMap);
    for (const { metadata } of (await maps.list({ namespace: root })).items) await maps.delete(metadata);
    for (const world of [this.mesh, this.member]) {
      for (const { metadata } of (await world.entries.list()).items) await world.entries.delete(metadata);
      for (const name of ["shop", "till"]) {
        if (!(await world.client.of(namespaceKind).find({ name }))) await world.makeNamespace(name);
      }
    }
    return new Keeper(this.mesh, this.member, mostKept);
  }
}
