/** Several `weft server`s over an etcd of three members, any of which may die. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { freePort } from "#base/free-port.ts";
import { silentLogger } from "#base/logger.ts";
import { Client, type KindClient } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { parseEtcdAddress } from "#store/etcd/address.ts";
import { openEtcdStore } from "#store/etcd/store.ts";
import type { ResourceStore } from "#store/port.ts";
import { busy, eventually } from "../support/eventually.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import { Etcd } from "./etcd.ts";
import { folderPrefix } from "./run.ts";

const prefix = "/meshes/shop";

/** One `weft server`, and clients of it. */
interface Server {
  readonly daemon: Daemon;
  readonly client: Client;
  readonly maps: KindClient<ConfigMap>;
}

const resources = new AsyncDisposableStack();
let etcd: Etcd;
let servers: readonly Server[];
/** A store that looks on. */
let store: ResourceStore;

async function startServer(folder: string, name: string): Promise<Server> {
  const port = await freePort();
  const [runDir, stateDir] = [join(folder, name, "run"), join(folder, name, "state")];
  mkdirSync(runDir, { recursive: true });
  const argv = [
    process.execPath,
    join(import.meta.dirname, "../../src/cli/weft.ts"),
    "server",
    "--store",
    etcd.url(prefix),
    "--mesh-port",
    String(port),
    "--run-dir",
    runDir,
    "--state-dir",
    stateDir,
  ] as const;
  const daemon = resources.use(new Daemon({ name, argv: [...argv], log: join(folder, `${name}.log`) }).start());
  const connection = resources.use(new Connection({ url: `http://127.0.0.1:${port}` }, { clock: systemClock }));
  const client = new Client(connection);
  return { daemon, client, maps: client.of<ConfigMap>(configMap) };
}

const serves = async ({ daemon, client }: Server): Promise<void> =>
  whileRunning([daemon], `${daemon.name} serves`, async () => client.bytes({ method: "GET", path: "/readyz" }));

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}servers-`));
  resources.defer(() => rmSync(folder, { recursive: true, force: true }));
  etcd = resources.use(await Etcd.start({ members: 3 }));
  servers = [await startServer(folder, "one"), await startServer(folder, "two")];
  await Promise.all(servers.map(serves));
  const address = parseEtcdAddress(etcd.url(prefix));
  store = resources.use(await openEtcdStore({ address, clock: systemClock, logger: silentLogger }));
});
afterAll(() => resources.disposeAsync());

const inDefault = (name: string) => ({ namespace: "default", name });
const turns = {
  partition: "mesh",
  resource: "leases.coordination.k8s.io",
  namespace: "istio-system",
  name: "weft-server",
};
const holder = async (): Promise<string> => {
  const spec = (await store.get(turns))?.object["spec"] as { holderIdentity?: string } | undefined;
  return spec?.holderIdentity ?? "";
};
/** By what others find out that the holder's process has ended. */
const mark = async (): Promise<string> =>
  (await store.get(turns))?.object.metadata.annotations?.["mesh.weft.dev/holder-process"] ?? "";

describe("two servers", () => {
  test("answer as one: what one has written the other reads, refuses to overwrite, and tells its watches", async () => {
    const [one, two] = servers as [Server, Server];
    const made = await one.maps.create({ metadata: inDefault("both"), data: { n: "0" } });
    const ended = new AbortController();
    const { resourceVersion } = made.metadata;
    const watch = two.maps.watch({ namespace: "default", resourceVersion }, ended.signal)[Symbol.asyncIterator]();
    for (let n = 1; n <= 20; n += 1) {
      const [writer, reader] = n % 2 === 0 ? [one, two] : [two, one];
      const before = await reader.maps.get(inDefault("both"));
      const after = await writer.maps.replace({ ...before, data: { n: String(n) } });
      expect((await reader.maps.get(inDefault("both"))).metadata.resourceVersion).toBe(after.metadata.resourceVersion);
      await expect(reader.maps.replace({ ...before, data: { n: "lost" } })).rejects.toMatchObject({ code: "Conflict" });
      expect((await watch.next()).value).toMatchObject({ kind: "put", object: { data: { n: String(n) } } });
    }
    ended.abort();
    await watch.return?.(undefined).catch(() => undefined);
  });

  test("have the other lead soon when the process of the one that leads is killed", async () => {
    const leader = await eventually("one of them leads", holder, 60_000);
    const [one, two] = servers as [Server, Server];
    const pidOf = async (): Promise<string> => (await mark()).split("/")[3] ?? "";
    const mine = (await pidOf()) === String(one.daemon.pid) ? one : two;
    expect(await pidOf()).toBe(String(mine.daemon.pid));
    await mine.daemon.stop("SIGKILL");
    const before = performance.now();
    await eventually("another leads", async () => ![leader, ""].includes(await holder()), 10_000);
    console.log(`another led after ${Math.round(performance.now() - before)} ms`);
    expect(await pidOf()).toBe(String((mine === one ? two : one).daemon.pid));
    mine.daemon.start();
    await serves(mine);
  });

  test("have one of them that clears namespaces away, whichever made them", async () => {
    await eventually("one of them leads", holder, 60_000);
    for (const [index, server] of servers.entries()) {
      const name = `brief-${index}`;
      await server.client.of(namespace).create({ metadata: { name } });
      await server.maps.create({ metadata: { namespace: name, name: "in-it" } });
      await server.client.of(namespace).delete({ name });
      await eventually(`${name} is gone`, async () => !(await server.client.of(namespace).find({ name })), 60_000);
    }
  });
});

/** What writers were answered, and how long each had to wait. */
class Load {
  readonly #stop = new AbortController();
  readonly #written = new AbortController();
  readonly #writers: readonly Promise<void>[];
  readonly #watching: Promise<void>;
  /** The newest value of each object that a server has acknowledged. */
  readonly acknowledged = new Map<string, number>();
  /** Values of each object as a watch told them. */
  readonly told = new Map<string, number[]>();
  /** Milliseconds of the longest time without an answer, of all writers. */
  longest = 0;
  writes = 0;

  /** @param from the version after which the watch tells changes. */
  constructor(writers: number, from: string) {
    const names = Array.from({ length: writers }, (_, index) => `load-${index}`);
    this.#writers = names.map((name, index) => this.#write(name, index));
    this.#watching = this.#watch(from);
  }

  /** Stops writing, and watching once all is told that was acknowledged. */
  async stop(): Promise<void> {
    this.#written.abort();
    await Promise.all(this.#writers);
    await eventually("the watch tells all that was acknowledged", () =>
      [...this.acknowledged].every(([name, value]) => (this.told.get(name)?.length ?? 0) >= value),
    );
    this.#stop.abort();
    await this.#watching;
  }

  /** A client that asks the other server when one does not answer, as any client behind a Service does. */
  async #any<Result>(first: number, ask: (server: Server) => Promise<Result>): Promise<Result> {
    for (let turn = first; ; turn += 1) {
      try {
        return await ask(servers[turn % servers.length]!);
      } catch (error) {
        if (!["Unavailable", "DeadlineExceeded", "Cancelled"].includes(codeOf(error))) throw error;
        if (this.#stop.signal.aborted) throw error;
        await systemClock.sleep(20);
      }
    }
  }

  async #write(name: string, first: number): Promise<void> {
    let answered = performance.now();
    for (let value = 1; !this.#written.signal.aborted; value += 1) {
      await this.#any(first, async ({ maps }) => this.#set(maps, name, value)).catch((error: unknown) => {
        if (!this.#written.signal.aborted) throw error;
        value -= 1;
      });
      this.acknowledged.set(name, value);
      this.writes += 1;
      this.longest = Math.max(this.longest, performance.now() - answered);
      answered = performance.now();
    }
  }

  /** Sets a value over the one before; who was not answered finds its own value there. */
  async #set(maps: KindClient<ConfigMap>, name: string, value: number): Promise<void> {
    const found = await maps.find(inDefault(name));
    const before = Number(found?.data?.["value"] ?? 0);
    if (before === value) return;
    if (before !== value - 1) throw new Error(`${name} is ${before}, and ${value - 1} was acknowledged`);
    const data = { value: String(value) };
    if (found) await maps.replace({ ...found, data });
    else await maps.create({ metadata: inDefault(name), data });
  }

  /** Follows all of it with a watch that goes on at another server where it was, without listing again. */
  async #watch(from: string): Promise<void> {
    let resourceVersion = from;
    for (let turn = 0; !this.#stop.signal.aborted; turn += 1) {
      try {
        const watch = { namespace: "default", resourceVersion };
        for await (const event of servers[turn % servers.length]!.maps.watch(watch, this.#stop.signal)) {
          ({ resourceVersion } = event.kind === "bookmark" ? event : event.object.metadata);
          if (event.kind !== "put" || !event.object.metadata.name.startsWith("load-")) continue;
          const { name } = event.object.metadata;
          this.told.set(name, [...(this.told.get(name) ?? []), Number(event.object.data?.["value"])]);
        }
      } catch (error) {
        if (codeOf(error) === "Gone" || codeOf(error) === "Internal") throw error;
      }
      await systemClock.sleep(20);
    }
  }
}

test("no death of one process loses an acknowledged write, skips a change of a watch, or is felt for long", async () => {
  const load = new Load(6, (await servers[0]!.maps.list({ namespace: "default" })).resourceVersion);
  const grows = async (what: string): Promise<void> => {
    const until = load.writes + 60;
    await eventually(`writes go on ${what}`, () => load.writes > until, 60_000);
  };
  await grows("at first");
  for (const { daemon } of etcd.members) {
    await daemon.stop("SIGKILL");
    await grows(`without ${daemon.name} of etcd`);
    daemon.start();
    await etcd.ready();
    await grows(`with ${daemon.name} of etcd again`);
  }
  for (const server of servers) {
    await server.daemon.stop("SIGKILL");
    await grows(`without server ${server.daemon.name}`);
    server.daemon.start();
    await serves(server);
    await grows(`with server ${server.daemon.name} again`);
  }
  await load.stop();
  for (const [name, value] of load.acknowledged) {
    const found = await servers[0]!.maps.get(inDefault(name));
    expect(Number(found.data?.["value"])).toBeGreaterThanOrEqual(value);
    const told = load.told.get(name) ?? [];
    expect(told).toEqual(told.map((_, index) => index + 1));
    expect(told.length).toBeGreaterThanOrEqual(value);
  }
  console.log(`${load.writes} writes, the longest wait for one was ${Math.round(load.longest)} ms`);
  expect(load.longest).toBeLessThan(3_000 * busy);
});
