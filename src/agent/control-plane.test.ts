import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { jsonLogger, silentLogger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { adsService } from "#proto/ads.ts";
import { ControlPlane, type ControlPlaneConnection } from "./control-plane.ts";
import { type AdsCall, ControlPlaneServer } from "./testing/control-plane-server.ts";

const root = mkdtempSync(join(tmpdir(), "weft-control-plane-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const serverName = "istiod.istio-system.svc";
const [rootsFile, tokenFile] = [join(root, "roots.pem"), join(root, "token")];
const authority = createAuthority("mesh");
const other = createAuthority("another mesh");

describe("the way to a control plane over TLS", () => {
  const server = new ControlPlaneServer(join(root, "tls.sock"));
  let lines: string[];
  let plane: ControlPlane;
  let connection: ControlPlaneConnection;

  const open = (): ClientDuplexStream<Buffer, Buffer> => {
    const { path, requestSerialize, responseDeserialize } = adsService.deltaAggregatedResources;
    const metadata = plane.metadata();
    const call = connection.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    call.on("error", (error) => plane.failed(error));
    call.write(Buffer.from("x"));
    return call;
  };
  const failure = async (): Promise<ServiceError> =>
    new Promise((resolve) => {
      open().on("error", resolve);
    });
  const taken = async (count: number): Promise<AdsCall> => vi.waitUntil(() => server.calls[count - 1], 60_000);

  beforeEach(async () => {
    lines = [];
    server.calls.length = 0;
    writeFileSync(rootsFile, authority.certificate);
    writeFileSync(tokenFile, "first\n");
    const logger = jsonLogger({ level: "info", write: (line) => lines.push(line), now: () => 0 });
    plane = new ControlPlane({ address: server.address, trust: { rootsFile, tokenFile, serverName }, logger });
    connection = plane.connect();
    await server.start(authority.issue(serverName));
  });

  afterEach(() => {
    connection[Symbol.dispose]();
    server.stop();
  });

  it("carries the agent's token as it is when a stream is opened", async () => {
    open();
    expect((await taken(1)).metadata.get("authorization")).toEqual(["Bearer first"]);
    writeFileSync(tokenFile, "second");
    open();
    expect((await taken(2)).metadata.get("authorization")).toEqual(["Bearer second"]);
    rmSync(tokenFile);
    expect(() => plane.metadata()).toThrow(`the agent's token in ${tokenFile} cannot be read`);
  });

  it("refuses a certificate of another authority, and says so once", async () => {
    server.stop();
    await server.start(other.issue(serverName));
    for (let count = 0; count < 4; count += 1) await failure();
    const told = lines.filter((line) => line.includes("certificate"));
    expect(told).toHaveLength(1);
    expect(JSON.parse(told[0]!)).toMatchObject({
      level: "warn",
      msg: "the control plane does not serve this agent",
      error: expect.stringMatching(/certificate/) as string,
    });
    expect(server.calls).toEqual([]);
  });

  it("refuses a certificate of another name", async () => {
    server.stop();
    await server.start(authority.issue("reviews.shop.svc"));
    await vi.waitFor(
      async () => expect((await failure()).details).toMatch(/istiod\.istio-system\.svc.*reviews\.shop\.svc/),
      60_000,
    );
    expect(server.calls).toEqual([]);
  });

  it("takes other roots while it runs; streams from before go on", async () => {
    const before = open();
    const call = await taken(1);
    call.write(Buffer.from("one"));
    await new Promise((resolve) => {
      before.once("data", resolve);
    });
    writeFileSync(rootsFile, other.certificate);
    await vi.waitFor(async () => expect((await failure()).details).toMatch(/certificate/), 60_000);
    const next = new Promise((resolve) => {
      before.once("data", resolve);
    });
    call.write(Buffer.from("two"));
    expect(await next).toEqual(Buffer.from("two"));
    writeFileSync(rootsFile, other.certificate + authority.certificate);
    open();
    await taken(2);
  });

  it("keeps the roots that it has while their file is gone or garbage, and cannot begin without", async () => {
    open();
    await taken(1);
    writeFileSync(rootsFile, "nothing");
    open();
    await taken(2);
    rmSync(rootsFile);
    open();
    await taken(3);
    const trust = { rootsFile, tokenFile, serverName };
    using fresh = new ControlPlane({ address: server.address, trust, logger: silentLogger }).connect();
    expect(() => fresh.client).toThrow(`the control plane's roots in ${rootsFile} cannot be read`);
  });

  it("tells when the control plane is back", async () => {
    server.stop();
    await failure();
    await failure();
    plane.answered();
    plane.answered();
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      "the control plane does not serve this agent",
      "the control plane serves this agent again",
    ]);
  });
});

describe("the way to a control plane in plain text", () => {
  it("carries no token", () => {
    const logger = silentLogger;
    expect(new ControlPlane({ address: "unix:/nowhere", logger }).metadata().getMap()).toEqual({});
  });
});

describe("several replicas of a control plane", () => {
  const servers = ["127.0.0.1:0", "127.0.0.1:0"].map((address) => new ControlPlaneServer(address));
  let plane: ControlPlane;

  beforeEach(async () => {
    writeFileSync(rootsFile, authority.certificate);
    writeFileSync(tokenFile, "token\n");
    for (const server of servers) await server.start(authority.issue(serverName));
    const address = servers.map((server) => server.address).join(",");
    plane = new ControlPlane({ address, trust: { rootsFile, tokenFile, serverName }, logger: silentLogger });
  });
  afterEach(() => {
    for (const server of servers) server.stop();
  });

  const stream = (connection: ControlPlaneConnection): ClientDuplexStream<Buffer, Buffer> => {
    const { path, requestSerialize, responseDeserialize } = adsService.deltaAggregatedResources;
    const call = connection.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, plane.metadata());
    call.on("error", () => undefined);
    call.write(Buffer.from("x"));
    return call;
  };
  const taken = (): number => servers.reduce((sum, { calls }) => sum + calls.length, 0);

  it("each get some of the proxies, and all of them when the other is gone", async () => {
    const connections = Array.from({ length: 24 }, () => plane.connect());
    for (const connection of connections) stream(connection);
    await vi.waitUntil(() => taken() === 24, 60_000);
    // By chance: that one of them gets fewer than two happens once in 300,000 times.
    for (const { calls } of servers) expect(calls.length).toBeGreaterThan(1);
    const [gone, left] = servers as [ControlPlaneServer, ControlPlaneServer];
    const moved = gone.calls.length;
    const had = left.calls.length;
    gone.stop();
    for (const connection of connections.slice(0, moved)) {
      connection.renew();
      stream(connection);
    }
    await vi.waitUntil(() => left.calls.length >= had + moved, 60_000);
    for (const connection of connections) connection[Symbol.dispose]();
  });

  it("are addresses of IP where they are several", () => {
    const fresh = new ControlPlane({ address: "a.example:15012,b.example:15012", logger: silentLogger });
    expect(() => fresh.connect()).toThrow("write several control planes as addresses of IP of one family");
  });
});
