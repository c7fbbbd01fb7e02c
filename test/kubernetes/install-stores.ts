import { readFileSync } from "node:fs";
import { join } from "node:path";
import { listenInside } from "#runtime/namespace-socket.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { Credentials } from "./credentials.ts";
import { Etcd } from "./etcd.ts";
import { leadOn } from "./gate.ts";
import type { ClusterNetwork } from "./network.ts";

/** An etcd that speaks TLS alone, as Pods of a network reach it. */
export interface ReachedEtcd extends AsyncDisposable {
  /** HOST:PORT. */
  readonly address: string;
  /** What proves a client, by the names of a Secret's keys, in base64. */
  readonly secret: Readonly<Record<string, string>>;
}

/** Starts an etcd and gives it an address in a network. @param folder for its certificates. */
export async function reachedEtcd(network: ClusterNetwork, folder: string): Promise<ReachedEtcd> {
  await using resources = new AsyncDisposableStack();
  const host = await network.add("etcd");
  const credentials = new Credentials(folder);
  credentials.server("etcd", [host.address, "127.0.0.1"]);
  credentials.client("store", { name: "store" });
  const path = (name: string): string => join(folder, name);
  const tls = { certificate: path("etcd.crt"), key: path("etcd.key"), ca: path("ca/ca.crt") };
  const etcd = resources.use(await Etcd.start({ tls }));
  const port = 2379;
  const own = Number(etcd.members[0]?.endpoint.split(":").at(-1));
  const front = await listenInside(namespacePath(host.namespace), { host: host.address, port });
  resources.defer(() => void front.close());
  front.on("connection", (from) => void leadOn(from, own));
  const encoded = (name: string): string => readFileSync(path(name)).toString("base64");
  const secret = { "ca.crt": encoded("ca/ca.crt"), "tls.crt": encoded("store.crt"), "tls.key": encoded("store.key") };
  const held = resources.move();
  return { address: `${host.address}:${port}`, secret, [Symbol.asyncDispose]: async () => held.disposeAsync() };
}
