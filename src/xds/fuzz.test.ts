/** Streams of any form at a real server: requests of both variants with hostile fields, and bytes that are none. */
import { createConnection } from "node:net";
import { connect, type ClientHttp2Session, constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { patience, runs } from "#base/testing/runs.ts";
import { frameHead } from "#grpc/frames.ts";
import { adsService } from "#proto/ads.ts";
import { typeUrls } from "#proto/encoded.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { eventually } from "./testing/envoy.ts";
import { HostileWorld } from "./testing/hostile-world.ts";

const mebibyte = 1024 * 1024;

let world: HostileWorld;
afterEach(() => world[Symbol.asyncDispose]());

const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ minLength: 3000, maxLength: 3000 }));
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("*", "x", "__proto__", "constructor", "change-1", "") },
  { weight: 1, arbitrary: text },
);
const names = fc.array(name, { maxLength: 6 });
const types: readonly string[] = Object.values(typeUrls);
const typeUrl = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...types) }, { weight: 1, arbitrary: text });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const node = fc.record({
  id: fc.oneof(fc.constantFrom("sidecar~10.0.0.1~a.b~b.svc", "neighbour", ""), text),
  cluster: text,
  metadata: fc.dictionary(name, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }),
  locality: maybe(fc.record({ region: text, zone: text })),
});
const common = {
  node: maybe(node),
  typeUrl,
  responseNonce: fc.oneof(fc.constantFrom("", "1", "2"), text),
  errorDetail: maybe(fc.record({ code: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), message: text })),
};
const delta = fc
  .record({
    ...common,
    resourceNamesSubscribe: names,
    resourceNamesUnsubscribe: names,
    initialResourceVersions: fc.dictionary(name, text, { maxKeys: 4 }),
  })
  .map((fields) => toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields as object)));
const sotw = fc
  .record({ ...common, versionInfo: text, resourceNames: names })
  .map((fields) => toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, fields as object)));

const { deltaAggregatedResources, streamAggregatedResources } = adsService;

/** A frame with a request, some of its bytes changed, or what is none. */
function framed(request: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 });
  const bent = fc.tuple(request, edits).map(([bytes, changes]) => {
    const made = Buffer.from(bytes);
    for (const [at, byte] of changes) if (made.length > 0) made[at % made.length] = byte;
    return made;
  });
  const whole = fc.oneof({ weight: 3, arbitrary: request }, { weight: 2, arbitrary: bent });
  return fc.oneof(
    { weight: 12, arbitrary: whole.map((bytes) => Buffer.concat([frameHead(bytes.length), bytes])) },
    {
      weight: 1,
      arbitrary: fc.tuple(whole, fc.nat(2 ** 32 - 1)).map(([bytes, said]) => Buffer.concat([frameHead(said), bytes])),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
  );
}

const stream = fc.oneof(
  fc.record({ path: fc.constant(deltaAggregatedResources.path), frames: fc.array(framed(delta), { maxLength: 6 }) }),
  fc.record({ path: fc.constant(streamAggregatedResources.path), frames: fc.array(framed(sotw), { maxLength: 6 }) }),
  // Of the other variant, and of no method.
  fc.record({ path: fc.constant(deltaAggregatedResources.path), frames: fc.array(framed(sotw), { maxLength: 2 }) }),
  fc.record({ path: fc.constantFrom("/", "/a.B/C", "/__proto__"), frames: fc.array(framed(delta), { maxLength: 2 }) }),
);

/** Says all of it, and nothing more. Returns the status that the stream ends with; undefined for none. */
async function said(session: ClientHttp2Session, path: string, frames: readonly Buffer[]): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let code: number | undefined;
  const request = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  const note = (headers: Readonly<Record<string, unknown>>): void => {
    if (headers["grpc-status"] !== undefined) code = Number(headers["grpc-status"]);
  };
  request.on("response", note);
  request.on("trailers", note);
  request.on("error", () => undefined);
  request.on("close", () => resolve(undefined));
  request.resume();
  for (const frame of frames) request.write(frame);
  request.end();
  await promise;
  // Ended by a reset, for sending more after it was told that it is over.
  return request.rstCode === constants.NGHTTP2_NO_ERROR ? code : undefined;
}

const expected = new Set<number | undefined>([
  status.OK,
  status.INVALID_ARGUMENT,
  status.RESOURCE_EXHAUSTED,
  status.UNIMPLEMENTED,
]);

test(
  "whatever is sent: a status that says so, others are served, nothing is kept",
  { timeout: patience(120_000) },
  async () => {
    const unbound = { requestsPerSecond: 1e9, streamsPerSecond: 1e9, reconnectsPerMinute: 1e9, newNodesPerSecond: 1e9 };
    const limits = { ...unbound, longestHoldMs: 1, answeredBytesPerSecond: 1e12, rememberedBytes: 4 * mebibyte };
    world = await HostileWorld.start(limits, { clusters: 20 });
    const open = () => connect("http://localhost", { createConnection: () => createConnection(world.socketPath) });
    let session = open();
    const codes = new Set<number | undefined>();
    let times = 0;
    await fc.assert(
      fc.asyncProperty(stream, async ({ path, frames }) => {
        if (session.closed || session.destroyed) session = open();
        const code = await said(session, path, frames);
        codes.add(code);
        expect(expected).toContain(code);
        times += 1;
        if (times % 50 === 0) expect(await world.neighbourGetsChange()).toBeLessThan(30_000);
      }),
      { numRuns: runs(500) },
    );
    session.destroy();
    expect(codes).toEqual(expected);
    await eventually("what they held is let go", () => world.server.figures().streams === 1);
    expect(world.server.figures()).toMatchObject({ scopes: 1, views: 1 });
    await eventually("what they cost is given back", () => world.growth() < 40 * mebibyte);
  },
);
