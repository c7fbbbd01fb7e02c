/** Proxies of one node speak mutual TLS past TCP: two real Envoys, an application behind each. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { defaultCapture } from "#runtime/capture.ts";
import { Hijack } from "#runtime/hijack.ts";
import { connectInside, listenInside } from "#runtime/namespace-socket.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { NetworkEnvoy } from "../support/envoy.ts";
import { eventually } from "../support/eventually.ts";
import { TestNetwork } from "../support/network.ts";
import { programs } from "./world.ts";

const addresses = { caller: "10.10.0.2", called: "10.10.0.3" };
const port = 9000;
const mega = 1 << 20;
const authority = createAuthority("the mesh of the test");

const inline = (text: string): object => ({ inline_string: text });
/** Both sides prove themselves. */
function tls(kind: "Upstream" | "Downstream"): object {
  const { certificate, key } = authority.issue("proxy.test");
  const common = {
    tls_certificates: [{ certificate_chain: inline(certificate), private_key: inline(key) }],
    validation_context: { trusted_ca: inline(authority.certificate) },
  };
  const type = `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${kind}TlsContext`;
  const proof = kind === "Downstream" && { require_client_certificate: true };
  return { name: "tls", typed_config: { "@type": type, common_tls_context: common, ...proof } };
}

function listener(name: string, at: number, transport?: object): object {
  const original = "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
  const proxy = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  const filters = [{ name: "tcp", typed_config: { "@type": proxy, stat_prefix: name, cluster: name } }];
  return {
    name,
    address: { socket_address: { address: "0.0.0.0", port_value: at } },
    listener_filters: [{ name: "original_dst", typed_config: { "@type": original } }],
    filter_chains: [{ filters, ...(transport && { transport_socket: transport }) }],
  };
}

const cluster = (name: string, more: object): object => ({
  name,
  type: "ORIGINAL_DST",
  connect_timeout: "2s",
  lb_policy: "CLUSTER_PROVIDED",
  ...more,
});

const resources = {
  listeners: [
    listener("outbound", defaultCapture.outboundPort),
    listener("inbound", defaultCapture.inboundPort, tls("Downstream")),
  ],
  clusters: [
    cluster("outbound", { transport_socket: tls("Upstream") }),
    cluster("inbound", { upstream_bind_config: { source_address: { address: "127.0.0.6", port_value: 0 } } }),
  ],
};

/** Sends so much, and ends its half. */
async function send(socket: Socket, bytes: number): Promise<void> {
  const block = Buffer.alloc(mega, "weft");
  for (let sent = 0; sent < bytes; sent += block.length)
    if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
  socket.end();
}

/** Counts what comes until the other end has nothing more to say; less than nothing where it is not what was sent. */
async function receive(socket: Socket): Promise<number> {
  let got = 0;
  let right = true;
  socket.on("data", (bytes: Buffer) => {
    const word = "weft".slice(got % 4) + "weft".slice(0, got % 4);
    right &&= bytes.equals(Buffer.alloc(bytes.length, word));
    got += bytes.length;
  });
  await once(socket, "end");
  return right ? got : -got;
}

/** All that comes until the other end has nothing more to say; the socket goes on. */
async function heard(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks).toString();
}

describe("with the shortcut", () => {
  const stack = new AsyncDisposableStack();
  const names: { caller: string; called: string } = { caller: "", called: "" };
  let hijack: Hijack;
  let server: Server;

  beforeAll(async () => {
    const network = stack.use(await TestNetwork.create("short"));
    hijack = new Hijack(programs, `t${process.pid}short`);
    await hijack.attach();
    stack.defer(() => hijack.detach());
    for (const who of ["caller", "called"] as const) {
      names[who] = await network.add(who, addresses[who]);
      await shortcut(who, true);
      stack.use(await NetworkEnvoy.start({ namespace: names[who], resources }));
    }
    server = await listenInside(namespacePath(names.called), { host: "0.0.0.0", port });
    stack.defer(() => void server.close());
  });
  afterAll(() => stack.disposeAsync());

  async function shortcut(who: "caller" | "called", sockmap: boolean): Promise<void> {
    const pod = { network: namespacePath(names[who]), addresses: [addresses[who]], capture: defaultCapture };
    await hijack.add({ ...pod, sockmap });
  }

  /** A connection from application to application: both of its ends. */
  async function connection(): Promise<readonly [Socket, Socket]> {
    const accepted = once(server, "connection") as Promise<[Socket]>;
    const own = await connectInside(namespacePath(names.caller), { host: addresses.called, port });
    const [other] = await accepted;
    for (const socket of [own, other]) socket.allowHalfOpen = true;
    return [own, other];
  }

  /** Bytes that went over the wire between the Pods. */
  function wire(): number {
    const words = inside(namespacePath(names.caller), ["cat", "/proc/self/net/dev"]);
    const table = execFileSync(words[0], words.slice(1), { encoding: "utf8" });
    const [received = 0, , , , , , , , sent = 0] = (/eth0:(.*)/.exec(table)?.[1] ?? "").trim().split(/\s+/).map(Number);
    return received + sent;
  }

  test.each([
    [true, true],
    [true, false],
    [false, true],
  ])("much goes both ways at once and arrives as it was sent: caller's %s, called one's %s", async (one, other) => {
    await shortcut("caller", one);
    await shortcut("called", other);
    const before = wire();
    const [own, peer] = await connection();
    const bytes = 48 * mega;
    const [, , here, there] = await Promise.all([send(own, bytes), send(peer, bytes), receive(own), receive(peer)]);
    expect([here, there]).toEqual([bytes, bytes]);
    if (!one || !other) expect(wire() - before).toBeGreaterThan(2 * bytes);
    await shortcut("caller", true);
    await shortcut("called", true);
  });

  test("questions and answers do not go over the wire", async () => {
    const [own, peer] = await connection();
    peer.on("data", (chunk) => peer.write(chunk));
    const [block, rounds] = [Buffer.alloc(16 << 10, "weft"), 200];
    const before = wire();
    for (let round = 0; round < rounds; round += 1) {
      own.write(block);
      for (let got = 0; got < block.length;) got += ((await once(own, "data")) as [Buffer])[0].length;
    }
    expect(wire() - before).toBeLessThan((rounds * block.length) / 10);
    own.end();
    peer.end();
  });

  test("one half is closed long before the other", async () => {
    const [own, peer] = await connection();
    own.end("question");
    expect(await heard(peer)).toBe("question");
    await new Promise((resolve) => setTimeout(resolve, 300));
    peer.end("answer");
    expect(await heard(own)).toBe("answer");
  });

  test("an end that does not read holds the other up, which has not queued much then", async () => {
    const [own, peer] = await connection();
    let sent = 0;
    const block = Buffer.alloc(mega, "weft");
    const writing = (async () => {
      for (let at = 0; at < 128; at += 1) {
        if (!own.write(block)) await new Promise((resolve) => own.once("drain", resolve));
        sent += 1;
      }
      own.end();
    })();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(sent).toBeLessThan(48);
    expect(await receive(peer)).toBe(128 * mega);
    await writing;
    peer.end();
  });

  test("many connections at once keep what is theirs, and a reset ends one alone", async () => {
    const all = await Array.fromAsync({ length: 16 }, () => connection());
    const [reset, ...others] = all;
    const closed = new Promise((resolve) => reset![0].once("close", resolve));
    for (const socket of reset!) socket.on("error", () => undefined);
    reset![0].resume();
    reset![1].resetAndDestroy();
    await closed;
    const answers = others.map(async ([own, peer], at) => {
      own.end(`from ${at} `.repeat(1000));
      const told = await heard(peer);
      peer.end(told);
      return (await heard(own)) === `from ${at} `.repeat(1000);
    });
    expect(await Promise.all(answers)).toEqual(others.map(() => true));
  });

  test("nothing is kept of connections that have ended", async () => {
    const maps = `/sys/fs/bpf/weft-t${process.pid}short/maps`;
    const entries = (name: string): number => {
      const dump = execFileSync("bpftool", ["-j", "map", "dump", "pinned", `${maps}/${name}`], { encoding: "utf8" });
      return (JSON.parse(dump) as unknown[]).length;
    };
    await eventually("all have ended", () => entries("weft_places") === 0 && entries("weft_sockets") === 0);
  });
});
