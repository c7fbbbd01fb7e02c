import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { patience, runs } from "#base/testing/runs.ts";
import { typeUrls } from "#proto/encoded.ts";
import { DeltaDiscoveryRequestSchema } from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { readPlain } from "./plain-request.ts";

const someText = fc.oneof(
  fc.constantFrom(...Object.values(typeUrls), "2026-01-01T00:00:00.000Z-1x", "", "\u{feff}n", "x".repeat(200)),
  fc.string({ unit: "binary", maxLength: 8 }),
);

/** Fields as a request may hold them, in any order and as often as they like, and what is no field. */
const someRequest = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.record({ field: fc.constantFrom(2, 3, 4, 6), text: someText }) },
      { weight: 1, arbitrary: fc.record({ field: fc.constantFrom(1, 5, 7, 8, 99), text: fc.constant("") }) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }) },
    ),
    { maxLength: 4 },
  )
  .map((parts) =>
    Buffer.concat(
      parts.map((part) =>
        part instanceof Uint8Array
          ? part
          : new BinaryWriter().tag(part.field, WireType.LengthDelimited).string(part.text).finish(),
      ),
    ),
  );

test(
  "what is read as a plain request says the same as the message",
  () => {
    fc.assert(
      fc.property(someRequest, (bytes) => {
        const plain = readPlain(bytes);
        if (!plain) return;
        const read = fromBinary(DeltaDiscoveryRequestSchema, bytes);
        const { typeUrl, nonce: responseNonce } = plain;
        const [resourceNamesSubscribe, resourceNamesUnsubscribe] = [[...plain.subscribe], [...plain.unsubscribe]];
        const fields = { typeUrl, responseNonce, resourceNamesSubscribe, resourceNamesUnsubscribe };
        expect(read).toEqual(create(DeltaDiscoveryRequestSchema, fields));
      }),
      { numRuns: runs(2000) },
    );
  },
  patience(20_000),
);

test("requests as Envoy writes them are read, others as any message", () => {
  for (const typeUrl of Object.values(typeUrls)) {
    const ack = { typeUrl, responseNonce: "2026-01-01T00:00:00.000Z-1x" };
    const plain = { typeUrl, nonce: ack.responseNonce, subscribe: [], unsubscribe: [] };
    const read = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
      readPlain(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))));
    expect(read(ack)).toEqual(plain);
    expect(read({ ...ack, resourceNamesSubscribe: ["x", "y"] })).toEqual({ ...plain, subscribe: ["x", "y"] });
    expect(read({ typeUrl, resourceNamesUnsubscribe: ["x"] })).toEqual({ ...plain, nonce: "", unsubscribe: ["x"] });
    expect(read({ ...ack, resourceNamesSubscribe: ["\u00e4"] })).toBeUndefined();
    expect(read({ ...ack, resourceNamesSubscribe: Array.from({ length: 2000 }, () => "x") })).toBeUndefined();
    expect(read({ ...ack, initialResourceVersions: { x: "1" } })).toBeUndefined();
    expect(read({ ...ack, errorDetail: { code: 3 } })).toBeUndefined();
    expect(read({ ...ack, node: { id: "x" } })).toBeUndefined();
  }
});
