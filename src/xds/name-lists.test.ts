import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runs } from "#base/testing/runs.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "#proto/gen/envoy/service/discovery/v3/discovery_pb.js";
import { NameLists } from "./name-lists.ts";
import { RequestReader } from "./request.ts";

function delta(subscribe: readonly string[], unsubscribe: readonly string[] = [], nonce = ""): Buffer {
  const bytes = toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, {
      typeUrl: "t",
      responseNonce: nonce,
      resourceNamesSubscribe: [...subscribe],
      resourceNamesUnsubscribe: [...unsubscribe],
    }),
  );
  return Buffer.from(bytes);
}

const names = (prefix: string): readonly string[] => Array.from({ length: 200 }, (_, at) => `${prefix}-service-${at}`);

describe("long lists of names", () => {
  test("are read as short ones are, in both variants", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 300 }), { maxLength: 60 }),
        fc.array(fc.string({ maxLength: 40 }), { maxLength: 40 }),
        fc.string(),
        (subscribe, unsubscribe, nonce) => {
          const reader = new RequestReader();
          for (let round = 0; round < 2; round += 1) {
            expect(reader.delta(delta(subscribe, unsubscribe, nonce))).toMatchObject({ subscribe, unsubscribe, nonce });
            const sotw = create(DiscoveryRequestSchema, {
              resourceNames: subscribe,
              typeUrl: "t",
              responseNonce: nonce,
            });
            expect(reader.sotw(toBinary(DiscoveryRequestSchema, sotw))).toMatchObject({ names: subscribe, nonce });
          }
        },
      ),
      { numRuns: runs(60) },
    );
  });

  test("of equal bytes are one list, and the oldest are forgotten", () => {
    // A name costs 72 bytes beside those of the list.
    const size = delta(names("a")).length + 72 * names("a").length;
    const lists = new NameLists(2.5 * size);
    const first = lists.take(delta(names("a")))?.names;
    expect(first).toEqual(names("a"));
    expect(lists.take(delta(names("a"), ["other"], "nonce"))?.names).toBe(first);
    lists.take(delta(names("b")));
    expect(lists.take(delta(names("a")))?.names).toBe(first);
    lists.take(delta(names("c")));
    expect(lists.take(delta(names("a")))?.names).toBe(first);
    expect(new NameLists(size / 2).take(delta(names("a")))?.names).toEqual(first);
  });

  test("that stand in two places are read whole", () => {
    const split = Buffer.concat([delta(names("a"), ["x"]), delta(names("b"))]);
    expect(new RequestReader().delta(split)).toMatchObject({
      subscribe: [...names("a"), ...names("b")],
      unsubscribe: ["x"],
    });
  });

  test("that are no message are refused", () => {
    // Ends within a name.
    const broken = delta(["x", ...names("a")], [], "").subarray(0, -7);
    expect(() => new RequestReader().delta(broken)).toThrow("no discovery request");
  });
});
