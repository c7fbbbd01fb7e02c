import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Connection } from "#kube/connection.ts";
import { runPlayground } from "#playground/playground.ts";
import { Api } from "../playground/cluster.ts";
import { TestNode } from "../playground/node-agent.ts";

/** Serves Pods' logs as an agent does: numbered lines; a followed log gets one more, then ends. */
async function startLogs(socketPath: string): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const [, , , , container] = pathname.split("/");
    const stamp = searchParams.has("timestamps") ? "2026-01-01T00:00:00Z " : "";
    const run = searchParams.get("previous") === "true" ? "previous" : "current";
    const lines = [1, 2, 3, 4, 5].map((line) => `${stamp}${container} ${run} line ${line}\n`);
    const tail = Number(searchParams.get("tailLines") ?? lines.length);
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.write(lines.slice(lines.length - tail).join(""));
    if (searchParams.get("follow") === "true") response.write(`${container} one more\n`);
    response.end();
  }).listen(socketPath);
  await once(server, "listening");
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A mesh with two clusters; `east` has the real controllers and a node whose Pods become ready at once. */
export interface World extends AsyncDisposable {
  /** Base URLs by endpoint. */
  readonly urls: ReadonlyMap<string, string>;
}

/** Starts the world that kubectl is tried on. */
export async function startWorld(): Promise<World> {
  await using starting = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "weft-kubectl-world-"));
  starting.defer(() => rmSync(folder, { recursive: true, force: true }));
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const namespaces = ["default", "kube-system", "kube-node-lease"];
  const server = starting.use(
    await startTestServer({
      endpoints: [
        { name: "mesh", view: "mesh", partition: "mesh", listen },
        { name: "east", view: "cluster", partition: "cluster/east", listen, serviceRange: "10.110.0.0/16", namespaces },
        { name: "west", view: "cluster", partition: "cluster/west", listen, serviceRange: "10.120.0.0/16", namespaces },
      ],
    }),
  );
  const urls = new Map(["mesh", "east", "west"].map((name) => [name, server.url(name)]));
  const east = server.url("east");
  const api = new Api(east);
  starting.defer(() => api.connection[Symbol.dispose]());
  const socketPath = join(folder, "agent.sock");
  starting.use(await startLogs(socketPath));
  starting.use(await TestNode.join(api, "n1"));
  const annotations = { "mesh.weft.dev/agent-socket": socketPath };
  await api.nodes.patch({ name: "n1" }, { kind: "merge", body: { metadata: { annotations } } });
  const stop = new AbortController();
  const connection = new Connection({ url: east }, { clock: systemClock });
  const options = { cluster: "east", connection, clock: systemClock, logger: silentLogger, podRange: "10.10.0.0/16" };
  const controllers = runPlayground(options, stop.signal);
  starting.defer(async () => {
    stop.abort();
    await controllers;
    connection[Symbol.dispose]();
  });
  const owned = starting.move();
  return { urls, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
