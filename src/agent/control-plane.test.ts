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
  const taken = async (count: number): Promise<AdsCall> => vi.waitUntil(() => server.calls[count - 1], 10_000);

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
    await vi.waitFor(async () =>
      expect((await failure()).details).toMatch(/istiod\.istio-system\.svc.*reviews\.shop\.svc/),
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
    await vi.waitFor(async () => expect((await failure()).details).toMatch(/certificate/));
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
