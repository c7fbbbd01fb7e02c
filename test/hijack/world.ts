import { execFileSync } from "node:child_process";
import { type Server, createServer } from "node:http";
import { type CaptureOptions, applyCapture, defaultCapture } from "#runtime/capture.ts";
import { Hijack } from "#runtime/hijack.ts";
import { connectInside, listenInside } from "#runtime/namespace-socket.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { NetworkEnvoy } from "../support/envoy.ts";
import { TestNetwork } from "../support/network.ts";

/** How a Pod's traffic is led to its proxy. */
export type Mode = "iptables" | "ebpf";

export const podAddress = "10.10.0.2";
/** A Pod without a proxy, which has a server on every port that is used. */
export const otherAddress = "10.10.0.3";
/** A port whose connections the proxy passes on as they are; all others it answers itself. */
export const rawPort = 9000;
const { proxyId, outboundPort, inboundPort } = defaultCapture;

/** Folder of the compiled programs. */
export const programs = execFileSync(process.execPath, ["setup/bpf.ts"], { encoding: "utf8" }).trim();

/** A listener that answers with its name, where the connection was to go, and whence it came. */
function listener(name: string, port: number) {
  const header = (key: string, value: string) => ({ header: { key, value } });
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    route_config: {
      response_headers_to_add: [
        header("by", name),
        header("original", "%DOWNSTREAM_LOCAL_ADDRESS%"),
        header("peer", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
      ],
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] },
      ],
    },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const originalDestination = {
    name: "envoy.filters.listener.original_dst",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst" },
  };
  return {
    name,
    address: { socket_address: { address: "::", port_value: port, ipv4_compat: true } },
    listener_filters: [originalDestination],
    filter_chains: [
      { filter_chain_match: { destination_port: rawPort }, filters: [passedOn(name)] },
      { filters: [{ name: "http", typed_config: manager }] },
    ],
  };
}

/** What passes a listener's connections on to where they were to go. */
function passedOn(cluster: string) {
  const type = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  return { name: "tcp", typed_config: { "@type": type, stat_prefix: cluster, cluster } };
}

/** Where connections were to go; inbound ones come from the address by which they are told from the application's own. */
function passthrough(name: string) {
  const source = {
    source_address: { address: "127.0.0.6", port_value: 0 },
    extra_source_addresses: [{ address: { address: "::6", port_value: 0 } }],
  };
  return {
    name,
    type: "ORIGINAL_DST",
    connect_timeout: "2s",
    lb_policy: "CLUSTER_PROVIDED",
    ...(name === "inbound" && { upstream_bind_config: source }),
  };
}

/** Who answered a request, where it was to go as they saw it, and whence it came. */
export interface Answer {
  readonly by: string;
  readonly original: string;
  readonly peer: string;
}

/** A server that says what it is. */
async function serve(namespace: string, by: string, port: number): Promise<Server> {
  const at = await listenInside(namespacePath(namespace), { host: "::", port });
  // A connection that stays is closed by nobody else, however slow the machine is.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const { localAddress = "", localPort, remoteAddress = "" } = request.socket;
    const bare = (address: string): string => address.replace("::ffff:", "");
    response.setHeader("by", by).setHeader("original", `${bare(localAddress)}:${localPort}`);
    response.setHeader("peer", bare(remoteAddress)).end();
  });
  at.on("connection", (socket) => server.emit("connection", socket));
  server.on("close", () => at.close());
  return server;
}

/** A Pod with a real Envoy and an application, another without, and what leads the first's traffic. */
export class HijackWorld implements AsyncDisposable {
  readonly network: TestNetwork;
  readonly pod: string;
  readonly other: string;
  readonly hijack: Hijack;
  readonly #stack = new AsyncDisposableStack();
  readonly #servers: Server[] = [];
  #envoy: NetworkEnvoy | undefined;
  #attached: Promise<unknown> | undefined;

  private constructor(network: TestNetwork, pod: string, other: string, name: string) {
    this.network = network;
    this.pod = pod;
    this.other = other;
    this.hijack = new Hijack(programs, name);
    this.#stack.use(network);
  }

  static async create(name: string): Promise<HijackWorld> {
    const network = await TestNetwork.create(name);
    const pod = await network.add("pod", podAddress);
    const other = await network.add("other", otherAddress);
    return new HijackWorld(network, pod, other, `t${process.pid}${name}`);
  }

  /** Gives the application, and the other Pod, servers on these ports. */
  async serve(ports: readonly number[]): Promise<void> {
    for (const port of ports) {
      this.#servers.push(await serve(this.pod, "application", port));
      this.#servers.push(await serve(this.other, "other", port));
    }
  }

  async startEnvoy(): Promise<NetworkEnvoy> {
    const listeners = [listener("outbound", outboundPort), listener("inbound", inboundPort)];
    const resources = { listeners, clusters: [passthrough("outbound"), passthrough("inbound")] };
    this.#envoy = await NetworkEnvoy.start({ namespace: this.pod, resources, workers: 2 });
    return this.#envoy;
  }

  async endEnvoy(): Promise<void> {
    await this.#envoy?.[Symbol.asyncDispose]();
    this.#envoy = undefined;
  }

  /** Leads the Pod's traffic so, in the place of how it was led before. */
  async lead(
    mode: Mode,
    options: Partial<CaptureOptions> = {},
    addresses: readonly string[] = [podAddress],
  ): Promise<void> {
    const capture = { ...defaultCapture, ...options };
    if (mode === "iptables") {
      await applyCapture(this.pod, capture);
      return;
    }
    await (this.#attached ??= this.hijack.attach());
    await this.hijack.add({ network: namespacePath(this.pod), addresses, capture });
  }

  /**
   * Sends a request from a namespace.
   * @param as the proxy, or else an application.
   * @returns who answered; why nobody did.
   */
  async call(
    from: string,
    host: string,
    port: number,
    as: "application" | "proxy" = "application",
  ): Promise<Answer | string> {
    const at = { host, port, ...(as === "proxy" && { uid: proxyId }) };
    const socket = await connectInside(namespacePath(from), at, AbortSignal.timeout(5000)).catch(() => undefined);
    if (!socket) return "refused";
    socket.write("GET / HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    const header = (name: string): string => new RegExp(`^${name}: (.*)$`, "im").exec(text)?.[1]?.trim() ?? "";
    return { by: header("by"), original: header("original"), peer: header("peer") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    await this.endEnvoy();
    if (this.#attached) this.hijack.detach();
    await this.#stack.disposeAsync();
  }
}
