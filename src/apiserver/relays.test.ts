import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { created, createNamespace, pod } from "./testing/objects.ts";
import { startTestServer, type Json, type TestServer } from "./testing/server.ts";

/** A server on a Unix socket that stands where an agent, or another API, would. */
interface Neighbour extends AsyncDisposable {
  readonly socketPath: string;
  readonly server: Server;
}

async function neighbour(
  socketPath: string,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Neighbour> {
  const server = createServer(answer).listen(socketPath);
  await once(server, "listening");
  return { ...closing(server), socketPath };
}

function closing(server: Server): Pick<Neighbour, "server" | typeof Symbol.asyncDispose> {
  return {
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** The same on a port of the loopback address. */
async function remote(): Promise<Neighbour & { readonly url: string }> {
  const server = createServer(echo).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { ...closing(server), socketPath: "", url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Tells what it was asked; `follow` never ends, `/echo` gives the body back, `/cut` breaks off. */
function echo(request: IncomingMessage, response: ServerResponse): void {
  const { method, url = "", headers } = request;
  if (url.includes("/cut")) {
    response.writeHead(200, { "Content-Length": "100" });
    response.write("half", () => response.destroy());
  } else if (url.includes("follow=true")) {
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.write("first line\n");
    request.socket.once("close", () => response.emit("left"));
  } else if (url.includes("/echo")) {
    response.writeHead(201, { "Content-Type": "application/x-echo", Connection: "close", "X-Own": "yes" });
    request.pipe(response);
  } else {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ method, url, via: headers["x-test"] ?? null, upgrade: headers["upgrade"] ?? null }));
  }
}

let server: TestServer;
let agent: Neighbour;
const resources = new AsyncDisposableStack();

beforeAll(async () => {
  const place = mkdtempSync(join(tmpdir(), "weft-relay-"));
  resources.defer(() => rmSync(place, { recursive: true, force: true }));
  // A test replaces it: the last one is disposed of.
  resources.defer(() => agent[Symbol.asyncDispose]());
  agent = await neighbour(join(place, "agent.sock"), echo);
  const other = resources.use(await neighbour(join(place, "other.sock"), echo));
  const far = resources.use(await remote());
  const widgets = [
    { name: "widgets", singularName: "widget", namespaced: true, kind: "Widget", verbs: ["get", "list"] },
    { name: "widgets/status", singularName: "", namespaced: true, kind: "Widget", verbs: ["get"] },
  ];
  server = await startTestServer({
    aggregated: [
      {
        group: "widgets.example.com",
        versions: ["v1"],
        resources: widgets,
        upstream: { socketPath: other.socketPath },
      },
      { group: "far.example.com", versions: ["v1"], resources: [], upstream: { url: new URL(far.url) } },
      {
        group: "gone.example.com",
        versions: ["v1"],
        resources: [],
        upstream: { socketPath: join(place, "none.sock") },
      },
    ],
  });
  resources.use(server);
  await createNamespace(server, "east", "shop");
  const annotations = { "mesh.weft.dev/agent-socket": agent.socketPath };
  await created(server, "east", "/api/v1/nodes", { metadata: { name: "n1", annotations } });
  await created(server, "east", "/api/v1/nodes", { metadata: { name: "silent" } });
  const pods = "/api/v1/namespaces/shop/pods";
  await created(server, "east", pods, pod("web", { nodeName: "n1" }));
  await created(server, "east", pods, pod("waiting"));
  await created(server, "east", pods, pod("lost", { nodeName: "silent" }));
  const containers = ["main", "side"].map((name) => ({ name, image: "web" }));
  await created(server, "east", pods, pod("two", { nodeName: "n1", containers }));
  const chosen = { "kubectl.kubernetes.io/default-container": "side" };
  await created(server, "east", pods, pod("chosen", { nodeName: "n1", containers }, { annotations: chosen }));
});
afterAll(() => resources.disposeAsync());

async function get(path: string): Promise<Json> {
  return (await server.ask("east", `/api/v1/namespaces/shop/pods/${path}`)).json;
}

test("a path of any length is passed on in another server's group, and names nothing in this one's", async () => {
  const long = "/apis/widgets.example.com/v1/namespaces/shop/widgets/w/admin/stats/prometheus";
  expect((await server.ask("east", `${long}?filter=x`)).json).toMatchObject({ url: `${long}?filter=x` });
  expect((await server.ask("east", "/api/v1/namespaces/shop/pods/web/status/more")).json).toMatchObject({ code: 404 });
});

describe("logs", () => {
  test("are asked of the node's agent with the options that it knows", async () => {
    expect((await get("web/log?tailLines=5&timestamps=true&pretty=true&limitBytes=10&sinceSeconds=3")).url).toBe(
      "/containerLogs/shop/web/main?tailLines=5&timestamps=true&limitBytes=10&sinceSeconds=3",
    );
    expect((await get("two/log?container=side&previous=true")).url).toBe("/containerLogs/shop/two/side?previous=true");
    expect((await get("chosen/log")).url).toBe("/containerLogs/shop/chosen/side");
  });

  test.each([
    ["two/log", 400, "a container name must be specified for pod two, choose one of: [main side]"],
    ["web/log?container=none", 400, "container none is not valid for pod web"],
    ["waiting/log", 400, "pod waiting does not have a host assigned"],
    ["lost/log", 503, 'the agent of node "silent" is not registered'],
    ["none/log", 404, 'pods "none" not found'],
  ])("of %s answer %d", async (path, code, message) => {
    expect(await get(path)).toMatchObject({ kind: "Status", code, message });
  });

  test("that are followed come as they are written, and the agent learns when nobody reads any more", async () => {
    const left = new Promise<void>((resolve) => {
      agent.server.once("request", (_, response: ServerResponse) => response.once("left", resolve));
    });
    const controller = new AbortController();
    const url = `${server.url("east")}/api/v1/namespaces/shop/pods/web/log?follow=true`;
    const response = await fetch(url, { signal: controller.signal });
    const reader = response.body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("first line\n");
    controller.abort();
    await left;
  });
});

describe("the proxy to a Pod", () => {
  test("passes method, path, query and headers on, and the answer back", async () => {
    const base = "/api/v1/namespaces/shop/pods";
    const headers = { "X-Test": "t", Upgrade: "nothing" };
    const answer = await server.ask("east", `${base}/web:9090/proxy/a%2Fb/c?x=1&y=%20`, {
      method: "PUT",
      body: "hi",
      headers,
    });
    expect(answer.json).toEqual({
      method: "PUT",
      url: "/proxy/shop/web/9090/a%2Fb/c?x=1&y=+",
      via: "t",
      upgrade: null,
    });
    const echoed = await server.ask("east", `${base}/web/proxy/echo`, { method: "POST", body: "x".repeat(5_000_000) });
    expect([echoed.status, echoed.text.length, echoed.headers["content-type"], echoed.headers["x-own"]]).toEqual([
      201,
      5_000_000,
      "application/x-echo",
      "yes",
    ]);
  });

  test("takes the Pod's first port unless told", async () => {
    expect((await get("web/proxy")).url).toBe("/proxy/shop/web/8080/");
    expect((await get("web/proxy/")).url).toBe("/proxy/shop/web/8080/");
    expect((await get("http:two:81/proxy/x")).url).toBe("/proxy/shop/two/81/x");
    expect((await get("two/proxy/x")).url).toBe("/proxy/shop/two/80/x");
    expect((await get("web:99999/proxy/")).code).toBe(400);
    expect((await get("https:web:443/proxy/")).code).toBe(400);
  });

  test("breaks off where the Pod does", async () => {
    await expect(server.ask("east", "/api/v1/namespaces/shop/pods/web/proxy/cut")).rejects.toThrow(/aborted|reset/);
  });
});

describe("groups of other servers", () => {
  test("are in discovery and answer for themselves", async () => {
    const { json } = await server.ask("mesh", "/apis/widgets.example.com/v1");
    expect(json.resources[0]).toMatchObject({ name: "widgets", kind: "Widget" });
    const path = "/apis/widgets.example.com/v1/namespaces/a/widgets/w";
    expect((await server.ask("west", `${path}?watch=1`)).json).toMatchObject({ method: "GET", url: `${path}?watch=1` });
    expect((await server.ask("east", "/apis/widgets.example.com/v2/widgets")).status).toBe(404);
  });

  test("may be elsewhere, by URL", async () => {
    const body = "x".repeat(100_000);
    const answer = await server.ask("east", "/apis/far.example.com/v1/echo", { method: "POST", body });
    expect([answer.status, answer.text === body]).toEqual([201, true]);
  });

  test("that are not there answer 503", async () => {
    const { status, json } = await server.ask("east", "/apis/gone.example.com/v1/things");
    expect([status, json.reason]).toEqual([503, "ServiceUnavailable"]);
  });
});

test("an agent that is gone answers 503, and one that comes back is found", async () => {
  await agent[Symbol.asyncDispose]();
  expect(await get("web/log")).toMatchObject({ code: 503, reason: "ServiceUnavailable" });
  agent = await neighbour(agent.socketPath, echo);
  await vi.waitFor(async () => expect((await get("web/log")).url).toBe("/containerLogs/shop/web/main"), 60_000);
});
