import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { join } from "node:path";
import { systemClock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { listenOn } from "#grpc/listen.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import type { Layout } from "./layout.ts";
import type { DemoStatus } from "./status.ts";
import type { DemoSupervisor } from "./supervisor.ts";

/** Most requests a second that the demonstration's load may have: it shares the machine with what it loads. */
export const maxLoad = 2_000;

function socketOf(layout: Layout): string {
  return join(layout.run, "supervisor.sock");
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > 1024) throw new WeftError("InvalidArgument", "the request is too long");
  }
  return text;
}

async function answer(supervisor: DemoSupervisor, request: IncomingMessage): Promise<object> {
  if (request.method === "GET" && request.url === "/status") return supervisor.status;
  if (request.method === "PUT" && request.url === "/load") {
    const { rps } = JSON.parse(await bodyOf(request)) as { readonly rps?: unknown };
    if (typeof rps !== "number" || !(rps >= 0 && rps <= maxLoad)) {
      throw new WeftError("InvalidArgument", `the load must be 0 to ${maxLoad} requests a second`);
    }
    supervisor.adjustLoad(rps);
    return { rps };
  }
  throw new WeftError("NotFound", `no such request: ${request.method} ${request.url}`);
}

async function serve(supervisor: DemoSupervisor, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const body = await answer(supervisor, request);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  } catch (error) {
    const status = error instanceof WeftError && error.code === "NotFound" ? 404 : 400;
    // The form of a Kubernetes Status, which the client reads.
    const body = { kind: "Status", apiVersion: "v1", status: "Failure", message: messageOf(error), code: status };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }
}

/** Serves a supervisor's status and takes changes of its load, on a Unix socket of its own. */
export async function serveControl(layout: Layout, supervisor: DemoSupervisor): Promise<AsyncDisposable> {
  const server = createServer((request, response) => void serve(supervisor, request, response));
  await listenOn(server, { socketPath: socketOf(layout) });
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A running supervisor, from another process. */
export class DemoControl implements Disposable {
  readonly #client: Client;

  constructor(layout: Layout) {
    this.#client = new Client(new Connection({ url: `unix://${socketOf(layout)}` }, { clock: systemClock }));
  }

  /** The state as the supervisor last read it. */
  async status(): Promise<DemoStatus> {
    return this.#client.json<DemoStatus>({ method: "GET", path: "/status" });
  }

  /** Sets the load, in requests a second. */
  async setLoad(rps: number): Promise<void> {
    await this.#client.bytes({ method: "PUT", path: "/load", body: { rps } });
  }

  [Symbol.dispose](): void {
    this.#client.connection[Symbol.dispose]();
  }
}
