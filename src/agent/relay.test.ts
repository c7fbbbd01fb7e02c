import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, Metadata, Server, ServerCredentials, credentials, status } from "@grpc/grpc-js";
import type { ClientDuplexStream, ServerDuplexStream, ServiceError } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { adsService } from "#proto/ads.ts";
import { NameTableSchema } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import type { NameTable } from "#proto/gen/istio/networking/nds/v1/nds_pb.js";
import { typeUrls } from "#proto/encoded.ts";
import { ControlPlane } from "./control-plane.ts";
import { ProxySocket } from "./proxy-socket.ts";
import { Relay } from "./relay.ts";

const paths = {
  delta: adsService.deltaAggregatedResources.path,
  sotw: adsService.streamAggregatedResources.path,
} as const;
const nodeId = "sidecar~10.10.0.5~a.shop~shop.svc.cluster.local";
const same = (bytes: Buffer): Buffer => bytes;
const size = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

const root = mkdtempSync(join(tmpdir(), "weft-relay-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Call = ServerDuplexStream<Buffer, Buffer>;

/** A control plane that is played by the test. */
class Upstream {
  readonly socket = join(root, `ads-${Math.random()}.sock`);
  readonly calls: { readonly path: string; readonly call: Call }[] = [];
  #server = new Server(size);

  async start(): Promise<void> {
    this.#server = new Server(size);
    const handler = (path: string) => (call: Call) => {
      call.on("error", () => undefined);
      this.calls.push({ path, call });
    };
    this.#server.addService(adsService, {
      deltaAggregatedResources: handler(paths.delta),
      streamAggregatedResources: handler(paths.sotw),
    });
    await new Promise((resolve, reject) => {
      this.#server.bindAsync(`unix:${this.socket}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve(undefined) : reject(error),
      );
    });
  }

  stop(): void {
    this.#server.forceShutdown();
    this.calls.length = 0;
  }

  async call(): Promise<Call> {
    return vi.waitUntil(() => this.calls.at(-1)?.call, { timeout: 60_000 });
  }
}

async function next(stream: Call | ClientDuplexStream<Buffer, Buffer>): Promise<Buffer> {
  const [bytes] = (await once(stream, "data")) as [Buffer];
  return bytes;
}

const first = Buffer.from(
  toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, { node: { id: nodeId, cluster: "a.shop" }, typeUrl: typeUrls.cluster }),
  ),
);

function response(typeUrl: string, value: Uint8Array, nonce = "n1"): Buffer {
  const message = create(DeltaDiscoveryResponseSchema, {
    typeUrl,
    nonce,
    resources: [{ name: "one", version: "1", resource: { typeUrl, value } }],
  });
  return Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message));
}

const names = create(NameTableSchema, { table: { "reviews.shop": { ips: ["10.110.0.5"], registry: "Kubernetes" } } });

describe("a proxy's relay", () => {
  const upstream = new Upstream();
  const socket = join(root, "proxy", "xds.sock");
  const tables: NameTable[] = [];
  let opened: ProxySocket;
  let relay: Relay;
  let proxy: Client;

  const open = (path: keyof typeof paths = "delta"): ClientDuplexStream<Buffer, Buffer> => {
    const stream = proxy.makeBidiStreamRequest(paths[path], same, same, new Metadata());
    stream.on("error", () => undefined);
    return stream;
  };

  beforeEach(async () => {
    tables.length = 0;
    await upstream.start();
    relay = new Relay({
      identity: { id: nodeId, namespace: "shop", cluster: "east" },
      upstream: new ControlPlane({ address: `unix:${upstream.socket}`, logger }),
      onNames: (table) => tables.push(table),
      clock: systemClock,
      logger,
    });
    opened = await ProxySocket.open({ socket, uid: 1337, gid: 1337, services: [relay] });
    proxy = new Client(`unix:${socket}`, credentials.createInsecure(), size);
  });

  afterEach(async () => {
    proxy.close();
    await opened[Symbol.asyncDispose]();
    upstream.stop();
  });

  it("passes bytes on as they are, both ways, and asks for names beside them", async () => {
    const stream = open();
    stream.write(first);
    const call = await upstream.call();
    expect(await next(call)).toEqual(first);
    const own = fromBinary(DeltaDiscoveryRequestSchema, await next(call));
    expect(own).toMatchObject({ typeUrl: typeUrls.nameTable });
    expect(own.node).toBeUndefined();
    // Unknown fields and any order of fields must come through.
    const odd = Buffer.concat([Buffer.from([0xfa, 0x3e, 3, 1, 2, 3]), response(typeUrls.cluster, Buffer.from("x"))]);
    call.write(odd);
    expect(await next(stream)).toEqual(odd);
    stream.write(Buffer.from([0x1a, 1, 0x61]));
    expect(await next(call)).toEqual(Buffer.from([0x1a, 1, 0x61]));
    stream.end();
    await once(call, "end");
  });

  it("goes on trying for a proxy that comes while nobody takes connections, such as the one that died behind a Service", async () => {
    upstream.stop();
    const stream = open();
    const ended = vi.fn<() => void>();
    stream.on("error", ended);
    stream.write(first);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await upstream.start();
    expect(await next(await upstream.call())).toEqual(first);
    expect(ended).not.toHaveBeenCalled();
    stream.end();
  });

  it.each(["delta", "sotw"] as const)(
    "says more of a proxy than it says itself, from its next stream on: %s",
    async (variant) => {
      const schema = variant === "delta" ? DeltaDiscoveryRequestSchema : DiscoveryRequestSchema;
      const node = { id: nodeId, metadata: { NAMESPACE: "shop" } };
      const request = Buffer.from(toBinary(schema, create(schema, { node, typeUrl: typeUrls.cluster })));
      const stream = open(variant);
      const ended = once(stream, "end");
      stream.write(request);
      stream.resume();
      expect(await next(await upstream.call())).toEqual(request);
      relay.say({ WEFT_LENIENT: "true" });
      // The proxy opens another stream by itself.
      await ended;
      upstream.calls.length = 0;
      const again = open(variant);
      again.write(request);
      const told = fromBinary(schema, await next(await upstream.call()));
      expect(told.node?.metadata).toEqual({ NAMESPACE: "shop", WEFT_LENIENT: "true" });
      expect(told.typeUrl).toBe(typeUrls.cluster);
      // Nothing new to say.
      const kept = new Promise((resolve) => {
        setTimeout(() => resolve("open"), 200);
      });
      relay.say({ WEFT_LENIENT: "true" });
      expect(await Promise.race([kept, once(again, "end")])).toBe("open");
      again.cancel();
    },
  );

  it("keeps name tables to itself and acknowledges them", async () => {
    const stream = open();
    const seen: Buffer[] = [];
    stream.on("data", (bytes: Buffer) => seen.push(bytes));
    stream.write(first);
    const call = await upstream.call();
    await next(call);
    await next(call);
    call.write(response(typeUrls.nameTable, toBinary(NameTableSchema, names), "names-1"));
    const acknowledgement = fromBinary(DeltaDiscoveryRequestSchema, await next(call));
    expect(acknowledgement).toMatchObject({ typeUrl: typeUrls.nameTable, responseNonce: "names-1" });
    expect(acknowledgement.errorDetail).toBeUndefined();
    expect(tables.map(({ table }) => table["reviews.shop"]?.ips)).toEqual([["10.110.0.5"]]);
    call.write(response(typeUrls.cluster, Buffer.from("x")));
    await expect.poll(() => seen.length).toBe(1);
    stream.cancel();
  });

  it("leads to another control plane when it is told: the proxy comes anew, and the streams before end", async () => {
    const other = new Upstream();
    await other.start();
    try {
      const stream = open();
      const ended = once(stream.resume(), "status");
      stream.write(first);
      const call = await upstream.call();
      await next(call);
      const left = once(call, "cancelled");
      relay.move(new ControlPlane({ address: `unix:${other.socket}`, logger }));
      await ended;
      await left;
      const again = open();
      again.write(first);
      expect(await next(await other.call())).toEqual(first);
      expect(upstream.calls).toHaveLength(1);
      again.cancel();
    } finally {
      other.stop();
    }
  });

  it("does the same for the state of the world", async () => {
    const stream = open("sotw");
    const request = create(DiscoveryRequestSchema, { node: { id: nodeId }, typeUrl: typeUrls.cluster });
    stream.write(Buffer.from(toBinary(DiscoveryRequestSchema, request)));
    const call = await upstream.call();
    await next(call);
    expect(fromBinary(DiscoveryRequestSchema, await next(call)).typeUrl).toBe(typeUrls.nameTable);
    const value = toBinary(NameTableSchema, names);
    const message = create(DiscoveryResponseSchema, {
      typeUrl: typeUrls.nameTable,
      nonce: "n",
      versionInfo: "v7",
      resources: [{ typeUrl: typeUrls.nameTable, value }],
    });
    call.write(Buffer.from(toBinary(DiscoveryResponseSchema, message)));
    expect(fromBinary(DiscoveryRequestSchema, await next(call))).toMatchObject({
      responseNonce: "n",
      versionInfo: "v7",
    });
    expect(tables).toHaveLength(1);
    stream.cancel();
  });

  it.each([
    { id: "sidecar~10.10.0.9~other.shop~x" },
    { id: nodeId, metadata: { NAMESPACE: "bank", CLUSTER_ID: "east" } },
    { id: nodeId, metadata: { NAMESPACE: "shop", CLUSTER_ID: "west" } },
  ])("refuses a proxy that says it is another one, and asks nobody for it: %o", async (node) => {
    const stream = open();
    const claim = create(DeltaDiscoveryRequestSchema, { node });
    stream.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, claim)));
    const [error] = (await once(stream, "error")) as [ServiceError];
    expect(error.code).toBe(status.PERMISSION_DENIED);
    expect(upstream.calls.flatMap(({ call }) => (call.readableLength > 0 ? [call] : []))).toEqual([]);
  });

  it("ends the proxy's stream while the control plane is away, and goes on when it is back", async () => {
    const stream = open();
    stream.write(first);
    await next(await upstream.call());
    upstream.stop();
    const [lost] = (await once(stream, "error")) as [ServiceError];
    expect(lost.code).toBe(status.UNAVAILABLE);
    const early = open();
    early.write(first);
    const [away] = (await once(early, "error")) as [ServiceError];
    expect(away.code).toBe(status.UNAVAILABLE);
    await upstream.start();
    await expect
      .poll(
        async () => {
          const again = open();
          again.write(first);
          const call = await Promise.race([upstream.call(), once(again, "error").then(() => undefined)]);
          again.cancel();
          return call !== undefined;
        },
        { timeout: 60_000 },
      )
      .toBe(true);
  });

  it("reads from the control plane no faster than the proxy does", async () => {
    const stream = open();
    stream.write(first);
    const call = await upstream.call();
    const big = response(typeUrls.cluster, Buffer.alloc(64 * 1024));
    // gRPC's client holds nothing back before its first read.
    call.write(big);
    await next(stream);
    stream.pause();
    let written = 0;
    const flood = async (): Promise<void> => {
      for (; written < 500; written += 1) if (!call.write(big)) await once(call, "drain");
    };
    const flooding = flood();
    await new Promise((resolve) => {
      setTimeout(resolve, 700);
    });
    const held = written;
    // 32 MB would come if nobody held them back; windows and buffers take a few.
    expect(held).toBeLessThan(150);
    let read = 0;
    for await (const bytes of stream as AsyncIterable<Buffer>) {
      expect(bytes.length).toBe(big.length);
      read += 1;
      if (read === 500) break;
    }
    await flooding;
    expect(read).toBe(500);
  });

  it("opens its socket for the proxy's user alone", () => {
    expect(statSync(join(root, "proxy"))).toMatchObject({ uid: 1337, gid: 1337 });
    expect(statSync(join(root, "proxy")).mode & 0o777).toBe(0o700);
    expect(statSync(socket).uid).toBe(1337);
  });
});
