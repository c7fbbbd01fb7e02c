import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#base/free-port.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { KV } from "#proto/gen/etcdserverpb/rpc_pb.js";
import { parseEtcdAddress } from "#store/etcd/address.ts";
import { EtcdConnection } from "#store/etcd/connection.ts";
import { flags, kubernetesProgram } from "./control-plane.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import { folderPrefix } from "./run.ts";

/** What an etcd is made of. */
export interface EtcdOptions {
  /** Members; one unless told. */
  readonly members?: number;
  /** More flags of each member. */
  readonly flags?: Readonly<Record<string, string | number | boolean>>;
  /** Clients speak TLS, and prove themselves: files of its own certificate, its key, and the authority of theirs. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly ca: string };
  /** Forces writes to the disk as etcd does; a test that kills processes alone needs none of that. */
  readonly fsync?: boolean;
}

/** One process of an etcd. */
export interface Member {
  readonly daemon: Daemon;
  /** HOST:PORT for clients. */
  readonly endpoint: string;
}

async function memberUrls(index: number): Promise<{ name: string; endpoint: string; peer: string }> {
  const [client, peer] = [await freePort(), await freePort()];
  return { name: `m${index}`, endpoint: `127.0.0.1:${client}`, peer: `http://127.0.0.1:${peer}` };
}

/** A real etcd on loopback. */
export class Etcd implements AsyncDisposable {
  readonly members: readonly Member[];
  readonly #folder: string;
  readonly #secure: boolean;

  private constructor(folder: string, members: readonly Member[], secure: boolean) {
    this.#folder = folder;
    this.members = members;
    this.#secure = secure;
  }

  /** Starts one and waits until it serves. */
  static async start({ members: count = 1, flags: more = {}, tls, fsync = false }: EtcdOptions = {}): Promise<Etcd> {
    const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}etcd-`));
    const all = await Promise.all(Array.from({ length: count }, async (_, index) => memberUrls(index)));
    const scheme = tls === undefined ? "http" : "https";
    const members = all.map(({ name, endpoint, peer }) => {
      const client = `${scheme}://${endpoint}`;
      const args = flags({
        name,
        "data-dir": join(folder, name),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": all.map((one) => `${one.name}=${one.peer}`).join(","),
        "log-level": "warn",
        ...(fsync ? {} : { "unsafe-no-fsync": true }),
        ...(tls && {
          "cert-file": tls.certificate,
          "key-file": tls.key,
          "trusted-ca-file": tls.ca,
          "client-cert-auth": true,
        }),
        ...more,
      });
      const argv = [kubernetesProgram(), "etcd", ...args] as const;
      return { endpoint, daemon: new Daemon({ name, argv: [...argv], log: join(folder, `${name}.log`) }).start() };
    });
    const etcd = new Etcd(folder, members, tls !== undefined);
    try {
      await etcd.ready();
    } catch (error) {
      await etcd[Symbol.asyncDispose]();
      throw error;
    }
    return etcd;
  }

  /** The address of a store in it. @param through other ways to its members. */
  url(prefix: string, through: readonly string[] = this.members.map(({ endpoint }) => endpoint)): string {
    return `${this.#secure ? "etcds" : "etcd"}://${through.join(",")}${prefix}`;
  }

  /** A client without a user. */
  connect(): EtcdConnection {
    const address = parseEtcdAddress(this.url("/all"));
    return new EtcdConnection({ address, files: {}, clock: systemClock, logger: silentLogger });
  }

  /** Everything that it holds under a prefix, as bytes. */
  async bytes(prefix: string): Promise<string> {
    using connection = this.connect();
    const range = { key: Buffer.from(`${prefix}/`), rangeEnd: Buffer.from(`${prefix}0`) };
    const { kvs } = await connection.call(KV.method.range, range);
    return kvs.map(({ key, value }) => Buffer.concat([key, value]).toString("latin1")).join("\n");
  }

  /** Waits until all members serve. */
  async ready(): Promise<void> {
    const daemons = this.members.map(({ daemon }) => daemon);
    const asked = this.members.map(async ({ endpoint, daemon }) => {
      const serves = async (): Promise<boolean> =>
        // A member that asks for certificates serves when it answers at all.
        this.#secure ? isListening(endpoint) : (await fetch(`http://${endpoint}/health`)).ok;
      await whileRunning(daemons, `${daemon.name} of etcd serves`, serves);
    });
    await Promise.all(asked);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(async ({ daemon }) => daemon.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function isListening(endpoint: string): Promise<boolean> {
  const [host = "", port = ""] = endpoint.split(":");
  const { connect } = await import("node:net");
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
