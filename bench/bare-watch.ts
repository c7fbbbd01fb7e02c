/**
 * What following clusters costs at least in Node: lists every kind that the control plane reads of its members and watches it, over
 * Node's own https and JSON.parse, keeps the objects, and does nothing with them. `bare-watch.ts FILE`, a file that holds the addresses.
 */
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { monotonicMs } from "./monotonic.ts";

/** How an API server is reached; certificates and keys are PEM. */
export interface WatchedServer {
  readonly url: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** What it says. Times are milliseconds of the monotonic clock. */
export type WatchAnswer =
  /** All lists have been read. */
  | { readonly kind: "synced"; readonly at: number; readonly objects: number; readonly bytes: number }
  /** When the slice of a service was told of last, a change of it. */
  | { readonly kind: "changed"; readonly at: number };

/** Asks to be told of the next change of a service's slice. */
export interface WatchRequest {
  readonly kind: "next";
  readonly server: number;
  readonly service: string;
}

interface Item {
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly Item[];
}

const slices = "/apis/discovery.k8s.io/v1/endpointslices";
const paths = ["/api/v1/services", slices, "/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces", "/api/v1/secrets"];

const servers = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as readonly WatchedServer[];
const held = new Map<string, Item>();
let bytes = 0;
/** The slices that are waited for, `SERVER/SERVICE`. */
const awaited = new Set<string>();

function say(answer: WatchAnswer): void {
  process.send?.(answer);
}

async function open(server: WatchedServer, agent: Agent, path: string): Promise<IncomingMessage> {
  const { ca, certificate: cert, key } = server;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(new URL(path, server.url), { agent, ca, cert, key }, resolve).on("error", reject).end();
  });
  if (response.statusCode !== 200) throw new Error(`${path} was answered with ${response.statusCode}`);
  return response;
}

async function list(server: WatchedServer, agent: Agent, path: string): Promise<List> {
  const chunks: Buffer[] = [];
  for await (const chunk of await open(server, agent, path)) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  bytes += body.length;
  return JSON.parse(body.toString()) as List;
}

async function follow(at: number, agent: Agent, path: string, resourceVersion: string): Promise<void> {
  const query = `?watch=true&resourceVersion=${resourceVersion}`;
  const response = await open(servers[at]!, agent, path + query);
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) {
    const told = monotonicMs();
    const lines = (text + String(chunk)).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: Item };
      const { namespace = "", name, labels } = object.metadata;
      const key = `${at}${path}/${namespace}/${name}`;
      if (type === "DELETED") held.delete(key);
      else held.set(key, object);
      const service = `${at}/${labels?.["kubernetes.io/service-name"] ?? ""}`;
      if (path === slices && awaited.delete(service)) say({ kind: "changed", at: told });
    }
  }
}

process.on("message", ({ server, service }: WatchRequest) => awaited.add(`${server}/${service}`));
const follows = servers.flatMap((server, at) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return paths.map(async (path) => {
    const { items, metadata } = await list(server, agent, path);
    for (const item of items) held.set(`${at}${path}/${item.metadata.namespace ?? ""}/${item.metadata.name}`, item);
    return { at, agent, path, resourceVersion: metadata.resourceVersion };
  });
});
const lists = await Promise.all(follows);
say({ kind: "synced", at: monotonicMs(), objects: held.size, bytes });
await Promise.all(lists.map(async ({ at, agent, path, resourceVersion }) => follow(at, agent, path, resourceVersion)));
