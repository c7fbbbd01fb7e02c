import { createServer as createHttp } from "node:http";
import {
  createServer as createHttp2,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type AppProbe, askApplication } from "./app-probe.ts";

const servers: (Server | Http2Server)[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server | Http2Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

const ask = async (probe: AppProbe, signal = AbortSignal.timeout(10_000)) =>
  askApplication(probe, { address: "127.0.0.1", headers: { "user-agent": "kube-probe/1.36", host: "agent" }, signal });

describe("an application is asked by HTTP", () => {
  test("with the kubelet's headers and the probe's, and its status is the answer", async () => {
    const port = await listen(
      createHttp((request, response) => {
        const { "user-agent": agent, "x-own": own, host } = request.headers;
        response.writeHead(request.url === "/ready" ? 207 : 404).end(JSON.stringify({ agent, own, host }));
      }),
    );
    const httpGet = { path: "/ready", port, httpHeaders: [{ name: "X-Own", value: "1" }] };
    const { status, text } = await ask({ httpGet });
    expect(status).toBe(207);
    expect(JSON.parse(text)).toMatchObject({ agent: "kube-probe/1.36", own: "1" });
    expect(text).not.toContain('"agent"}');
  });

  test("redirects are followed on the application, and elsewhere are answers", async () => {
    const port = await listen(
      createHttp((request, response) => {
        if (request.url === "/a") response.writeHead(302, { location: "/b" }).end();
        else if (request.url === "/away") response.writeHead(302, { location: "http://other.example/" }).end();
        else response.writeHead(503).end();
      }),
    );
    const at = (path: string) => ask({ httpGet: { path, port } });
    expect((await at("/a")).status).toBe(503);
    expect((await at("/away")).status).toBe(302);
  });
});

test("an application is asked by TCP", async () => {
  const port = await listen(createServer((socket) => socket.destroy()));
  expect((await ask({ tcpSocket: { port } })).status).toBe(200);
  servers.splice(0)[0]?.close();
  expect((await ask({ tcpSocket: { port } })).status).toBe(500);
});

test("an application is asked by gRPC's health protocol, about a service", async () => {
  const asked: string[] = [];
  const server = createHttp2();
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const service = Buffer.concat(chunks).subarray(7).toString("utf8");
      asked.push(`${headers[":path"]} ${service}`);
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      // HealthCheckResponse: SERVING is 1, NOT_SERVING 2.
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service === "good" ? 1 : 2]));
    });
  });
  const port = await listen(server);
  expect((await ask({ grpc: { port, service: "good" } })).status).toBe(200);
  expect(await ask({ grpc: { port, service: "bad" } })).toEqual({
    status: 500,
    text: "the application is not serving",
  });
  expect(asked).toEqual(["/grpc.health.v1.Health/Check good", "/grpc.health.v1.Health/Check bad"]);
});

test("one that says nothing has failed when its time is over", async () => {
  const port = await listen(createServer(() => undefined));
  const elapsed = new AbortController();
  const answer = ask({ httpGet: { path: "/", port } }, elapsed.signal);
  elapsed.abort(new Error("too late"));
  expect((await answer).status).toBe(500);
});
