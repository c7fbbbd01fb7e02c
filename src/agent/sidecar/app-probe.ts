import { connect as connectHttp2 } from "node:http2";
import { type IncomingHttpHeaders, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Container } from "#api/kubernetes/container.ts";
import { messageOf } from "#base/errors.ts";

type Probe = NonNullable<Container["readinessProbe"]>;

/** A question to the application, as the injection tells the agent in `ISTIO_KUBE_APP_PROBERS`. */
export interface AppProbe {
  readonly httpGet?: Partial<Omit<NonNullable<Probe["httpGet"]>, "port">> & { readonly port: number };
  readonly tcpSocket?: { readonly host?: string; readonly port: number };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly timeoutSeconds?: number;
}

/** How the application answered, as an HTTP status. */
export interface AppAnswer {
  readonly status: number;
  /** For people. */
  readonly text: string;
}

/** The source address of what comes from the proxy itself: rules of capture let it through to the application, as Istio's do. */
const ownSource = "127.0.0.6";
/** Bytes of an answer that are passed on. */
const mostText = 10_240;
const mostRedirects = 10;

/** Whom to ask. */
export interface ProbeAim {
  /** The Pod's address, or loopback. */
  readonly address: string;
  /** Headers of the kubelet's question. */
  readonly headers: IncomingHttpHeaders;
  readonly signal: AbortSignal;
}

function dial(aim: ProbeAim, port: number, host = aim.address): Socket {
  // Loopback has no other source than itself.
  const from = host === "localhost" || host.startsWith("127.") ? {} : { localAddress: ownSource };
  return connect({ host, port, ...from });
}

interface Reply extends AppAnswer {
  readonly location: string | undefined;
}

function getOnce(url: URL, headers: IncomingHttpHeaders, aim: ProbeAim, host: string | undefined): Promise<Reply> {
  const secure = url.protocol === "https:";
  const send = secure ? httpsRequest : httpRequest;
  const to = host ?? aim.address;
  const from = to === "localhost" || to.startsWith("127.") ? {} : { localAddress: ownSource };
  const options = {
    host: to,
    port: url.port,
    path: `${url.pathname}${url.search}`,
    headers,
    signal: aim.signal,
    agent: false,
    ...from,
  };
  return new Promise((resolve, reject) => {
    // Like the kubelet, which does not check the certificate of an application.
    const request = send({ ...options, ...(secure && { rejectUnauthorized: false }) });
    request.once("error", reject);
    request.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        if (text.length < mostText) text += chunk;
      });
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 500,
          text: text.slice(0, mostText),
          location: response.headers.location,
        }),
      );
    });
    request.end();
  });
}

async function askHttp(get: NonNullable<AppProbe["httpGet"]>, aim: ProbeAim): Promise<AppAnswer> {
  const { host: _host, connection: _connection, ...passed } = aim.headers;
  const own = Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name.toLowerCase(), value]));
  const headers = { ...passed, ...own, connection: "close" };
  const path = get.path === undefined || get.path.startsWith("/") ? (get.path ?? "/") : `/${get.path}`;
  let url = new URL(`${get.scheme === "HTTPS" ? "https" : "http"}://probe:${get.port}${path}`);
  for (let redirects = 0; ; redirects += 1) {
    const reply = await getOnce(url, headers, aim, get.host);
    const next = reply.status >= 300 && reply.status < 400 && reply.location ? new URL(reply.location, url) : undefined;
    // As with the kubelet, one that leads elsewhere is an answer like any other.
    const here = next && (next.hostname === "probe" || next.hostname === (get.host ?? aim.address));
    if (!next || !here || redirects === mostRedirects) return reply;
    url = next;
  }
}

function askTcp({ host, port }: NonNullable<AppProbe["tcpSocket"]>, aim: ProbeAim): Promise<AppAnswer> {
  const socket = dial(aim, port, host);
  return new Promise((resolve, reject) => {
    aim.signal.addEventListener("abort", () => socket.destroy(aim.signal.reason as Error), { once: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.destroy();
      resolve({ status: 200, text: "" });
    });
  });
}

/** Asks by gRPC's health protocol (`grpc.health.v1.Health/Check`). */
function askGrpc({ port, service = "" }: NonNullable<AppProbe["grpc"]>, aim: ProbeAim): Promise<AppAnswer> {
  const session = connectHttp2(`http://${aim.address}:${port}`, { createConnection: () => dial(aim, port) });
  const answer = new Promise<AppAnswer>((resolve, reject) => {
    session.once("error", reject);
    aim.signal.addEventListener("abort", () => reject(aim.signal.reason as Error), { once: true });
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("error", reject);
    stream.once("end", () => {
      const message = Buffer.concat(chunks).subarray(5);
      resolve(isServing(message) ? { status: 200, text: "" } : { status: 500, text: "the application is not serving" });
    });
    stream.end(framed(service));
  });
  return answer.finally(() => session.destroy());
}

/** A `grpc.health.v1.HealthCheckRequest` in gRPC's frame. */
function framed(service: string): Buffer {
  const message = new BinaryWriter().tag(1, WireType.LengthDelimited).string(service).finish();
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Whether a `grpc.health.v1.HealthCheckResponse` says `SERVING`. */
function isServing(message: Uint8Array): boolean {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.Varint) return reader.int32() === 1;
    reader.skip(type, field);
  }
  return false;
}

/** Puts a question of the kubelet's to the application; what goes wrong is an answer too. */
export async function askApplication(probe: AppProbe, aim: ProbeAim): Promise<AppAnswer> {
  try {
    if (probe.httpGet) return await askHttp(probe.httpGet, aim);
    if (probe.tcpSocket) return await askTcp(probe.tcpSocket, aim);
    if (probe.grpc) return await askGrpc(probe.grpc, aim);
    return { status: 404, text: "there is no such question" };
  } catch (error) {
    return { status: 500, text: messageOf(error) };
  }
}
