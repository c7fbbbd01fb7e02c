import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { jsonLogger } from "#base/logger.ts";
import { sdsService } from "#proto/ads.ts";
import { type EncodedResource, typeUrls } from "#proto/encoded.ts";
import { SecretSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  type DiscoveryResponse,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { ProxySocket } from "../proxy-socket.ts";
import { certificateSecret, rootsSecret } from "./proxy-secrets.ts";
import { SecretService } from "./secret-service.ts";

const root = mkdtempSync(join(tmpdir(), "weft-sds-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const certificate = (version: number): EncodedResource =>
  certificateSecret({ chain: `chain ${version}`, key: `key ${version}` });
const roots = rootsSecret(["one\n", "two\n"]);

describe("the secrets of a proxy", () => {
  const socket = join(root, "proxy", "xds.sock");
  let secrets: Map<string, EncodedResource>;
  let lines: string[];
  let service: SecretService;
  let opened: ProxySocket;
  let client: Client;

  beforeEach(async () => {
    secrets = new Map([
      ["default", certificate(1)],
      ["ROOTCA", roots],
    ]);
    lines = [];
    const logger = jsonLogger({ level: "info", write: (line) => lines.push(line), now: () => 0 });
    service = new SecretService({ secrets: () => secrets, logger });
    opened = await ProxySocket.open({ socket, uid: 1337, gid: 1337, services: [service] });
    client = new Client(`unix:${socket}`, credentials.createInsecure());
  });

  afterEach(async () => {
    client.close();
    await opened[Symbol.asyncDispose]();
  });

  const openStream = (method: keyof typeof sdsService): ClientDuplexStream<Buffer, Buffer> => {
    const { path, requestSerialize, responseDeserialize } = sdsService[method];
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
    stream.on("error", () => undefined);
    return stream;
  };

  const delta = () => {
    const stream = openStream("deltaSecrets");
    const got: DeltaDiscoveryResponse[] = [];
    stream.on("data", (bytes: Buffer) => got.push(fromBinary(DeltaDiscoveryResponseSchema, bytes)));
    const ask = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void => {
      const message = create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.secret, ...request });
      stream.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)));
    };
    return { got, ask };
  };

  const whole = () => {
    const stream = openStream("streamSecrets");
    const got: DiscoveryResponse[] = [];
    stream.on("data", (bytes: Buffer) => got.push(fromBinary(DiscoveryResponseSchema, bytes)));
    const ask = (request: MessageInitShape<typeof DiscoveryRequestSchema>): void => {
      const message = create(DiscoveryRequestSchema, { typeUrl: typeUrls.secret, ...request });
      stream.write(Buffer.from(toBinary(DiscoveryRequestSchema, message)));
    };
    return { got, ask };
  };

  const length = async (list: readonly unknown[], count: number): Promise<void> => {
    await expect.poll(() => list.length, { timeout: 60_000 }).toBe(count);
  };

  const secretOf = (bytes: Uint8Array | undefined) => fromBinary(SecretSchema, bytes ?? new Uint8Array()).type;

  it("are a certificate with its key, and all authorities", async () => {
    const { got, ask } = delta();
    ask({ resourceNamesSubscribe: ["default", "ROOTCA"] });
    await length(got, 1);
    const [first, second] = got[0]!.resources;
    expect([first!.name, second!.name]).toEqual(["default", "ROOTCA"]);
    expect(got[0]!.typeUrl).toBe(typeUrls.secret);
    expect(secretOf(first!.resource?.value)).toMatchObject({
      case: "tlsCertificate",
      value: {
        certificateChain: { specifier: { value: Buffer.from("chain 1") } },
        privateKey: { specifier: { value: Buffer.from("key 1") } },
      },
    });
    expect(secretOf(second!.resource?.value)).toMatchObject({
      case: "validationContext",
      value: { trustedCa: { specifier: { value: Buffer.from("one\ntwo\n") } } },
    });
  });

  it("are sent again when they have changed, and only those", async () => {
    const [changes, states] = [delta(), whole()];
    changes.ask({ resourceNamesSubscribe: ["default", "ROOTCA"] });
    states.ask({ resourceNames: ["default"] });
    await Promise.all([length(changes.got, 1), length(states.got, 1)]);
    changes.ask({ responseNonce: changes.got[0]!.nonce });
    states.ask({
      resourceNames: ["default"],
      responseNonce: states.got[0]!.nonce,
      versionInfo: states.got[0]!.versionInfo,
    });
    secrets.set("default", certificate(2));
    service.changed();
    service.changed();
    await Promise.all([length(changes.got, 2), length(states.got, 2)]);
    expect(changes.got[1]!.resources.map(({ name }) => name)).toEqual(["default"]);
    expect(states.got[1]!.versionInfo).toBe(certificate(2).version);
    secrets.set("ROOTCA", rootsSecret(["three"]));
    service.changed();
    await length(changes.got, 3);
    expect(changes.got[2]!.resources.map(({ name }) => name)).toEqual(["ROOTCA"]);
    expect(states.got).toHaveLength(2);
  });

  it("are waited for until they are there", async () => {
    secrets.delete("default");
    const [changes, states] = [delta(), whole()];
    changes.ask({ resourceNamesSubscribe: ["default"] });
    states.ask({ resourceNames: ["default"] });
    const other = delta();
    other.ask({ resourceNamesSubscribe: ["ROOTCA"] });
    await length(other.got, 1);
    expect([changes.got, states.got]).toEqual([[], []]);
    secrets.set("default", certificate(1));
    service.changed();
    await Promise.all([length(changes.got, 1), length(states.got, 1)]);
  });

  it("are not there under other names, and an answer says so", async () => {
    const [changes, states] = [delta(), whole()];
    changes.ask({ resourceNamesSubscribe: ["kubernetes://key", "default"] });
    states.ask({ resourceNames: ["kubernetes://key"] });
    await Promise.all([length(changes.got, 1), length(states.got, 1)]);
    expect(changes.got[0]).toMatchObject({ removedResources: ["kubernetes://key"] });
    expect(changes.got[0]!.resources.map(({ name }) => name)).toEqual(["default"]);
    expect(states.got[0]!.resources).toEqual([]);
  });

  it("are not sent again to a proxy that has them from a stream before", async () => {
    const { got, ask } = delta();
    const initialResourceVersions = { default: certificate(1).version, ROOTCA: "of another agent" };
    ask({ resourceNamesSubscribe: ["default", "ROOTCA"], initialResourceVersions });
    await length(got, 1);
    expect(got[0]!.resources.map(({ name }) => name)).toEqual(["ROOTCA"]);
  });

  it("are not sent again and again to a proxy that refuses them; its reason is told", async () => {
    const [changes, states] = [delta(), whole()];
    changes.ask({ resourceNamesSubscribe: ["default"] });
    states.ask({ resourceNames: ["default"] });
    await Promise.all([length(changes.got, 1), length(states.got, 1)]);
    const errorDetail = { code: 13, message: "bad key" };
    changes.ask({ responseNonce: changes.got[0]!.nonce, errorDetail });
    states.ask({ resourceNames: ["default"], responseNonce: states.got[0]!.nonce, errorDetail });
    await length(lines, 2);
    expect(lines[0]).toContain("bad key");
    secrets.set("default", certificate(2));
    service.changed();
    await Promise.all([length(changes.got, 2), length(states.got, 2)]);
  });

  it("are held once they are acknowledged, by each stream, and not while they are refused", async () => {
    const [changes, states] = [delta(), whole()];
    const acknowledged = async (name: string, ...versions: readonly (string | undefined)[]): Promise<void> => {
      await expect.poll(() => service.acknowledged(name), { timeout: 60_000 }).toEqual(new Set(versions));
    };
    const [first, second] = [certificate(1).version, certificate(2).version];
    await acknowledged("default");
    changes.ask({ resourceNamesSubscribe: ["default", "ROOTCA"] });
    states.ask({ resourceNames: ["default"] });
    await Promise.all([length(changes.got, 1), length(states.got, 1)]);
    await acknowledged("default", undefined);
    changes.ask({ responseNonce: changes.got[0]!.nonce });
    await acknowledged("default", first, undefined);
    await acknowledged("ROOTCA", roots.version);
    states.ask({ resourceNames: ["default"], responseNonce: states.got[0]!.nonce });
    await acknowledged("default", first);
    secrets.set("default", certificate(2));
    service.changed();
    await Promise.all([length(changes.got, 2), length(states.got, 2)]);
    changes.ask({ responseNonce: changes.got[1]!.nonce, errorDetail: { code: 13, message: "bad key" } });
    states.ask({ resourceNames: ["default"], responseNonce: states.got[1]!.nonce });
    await acknowledged("default", first, second);
    const again = delta();
    again.ask({ resourceNamesSubscribe: ["ROOTCA"], initialResourceVersions: { ROOTCA: "of another agent" } });
    await acknowledged("ROOTCA", roots.version, "of another agent");
  });

  it("are given up by a proxy that wants them no more", async () => {
    const { got, ask } = delta();
    ask({ resourceNamesSubscribe: ["default"] });
    await length(got, 1);
    ask({ resourceNamesUnsubscribe: ["default"], resourceNamesSubscribe: ["ROOTCA"] });
    await length(got, 2);
    secrets.set("default", certificate(2));
    secrets.set("ROOTCA", rootsSecret(["three"]));
    service.changed();
    await length(got, 3);
    expect(got[2]!.resources.map(({ name }) => name)).toEqual(["ROOTCA"]);
  });
});
