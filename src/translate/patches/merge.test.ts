import { fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { mergeMessage } from "#proto/merge.ts";

function merged(target: JsonObject, source: JsonObject, lists?: "append" | "replace"): unknown {
  const cluster = fromJson(ClusterSchema, target);
  const patch = fromJson(ClusterSchema, source);
  mergeMessage(ClusterSchema, cluster, patch, lists);
  expect(toJson(ClusterSchema, patch)).toEqual(toJson(ClusterSchema, fromJson(ClusterSchema, source)));
  return toJson(ClusterSchema, cluster);
}

describe("merging a message into another", () => {
  it.each([
    ["scalars in place", { name: "a" }, { name: "b" }, { name: "b" }],
    ["nothing in place of something", { name: "a" }, { name: "" }, { name: "a" }],
    ["time spans as a whole", { connectTimeout: "1.5s" }, { connectTimeout: "2s" }, { connectTimeout: "2s" }],
    [
      "messages field by field",
      { upstreamConnectionOptions: { tcpKeepalive: { keepaliveTime: 1, keepaliveProbes: 2 } } },
      { upstreamConnectionOptions: { tcpKeepalive: { keepaliveTime: 3 } } },
      { upstreamConnectionOptions: { tcpKeepalive: { keepaliveTime: 3, keepaliveProbes: 2 } } },
    ],
    [
      "wrapped numbers, where none counts as not set",
      { perConnectionBufferLimitBytes: 7, outlierDetection: { maxEjectionPercent: 5 } },
      { perConnectionBufferLimitBytes: 8, outlierDetection: { maxEjectionPercent: 0, enforcingSuccessRate: 0 } },
      { perConnectionBufferLimitBytes: 8, outlierDetection: { maxEjectionPercent: 5, enforcingSuccessRate: 0 } },
    ],
    [
      "lists at the end",
      { circuitBreakers: { thresholds: [{ maxConnections: 1 }] } },
      { circuitBreakers: { thresholds: [{ maxConnections: 2 }] } },
      { circuitBreakers: { thresholds: [{ maxConnections: 1 }, { maxConnections: 2 }] } },
    ],
    [
      "entries of maps in place of those of their key",
      { metadata: { filterMetadata: { a: { x: 1 }, b: { y: 1 } } } },
      { metadata: { filterMetadata: { a: { z: 2 } } } },
      { metadata: { filterMetadata: { a: { z: 2 }, b: { y: 1 } } } },
    ],
    ["the other of a choice", { type: "STATIC" }, { clusterType: { name: "x" } }, { clusterType: { name: "x" } }],
  ])("puts %s", (_what, target, source, result) => {
    expect(merged(target, source)).toEqual(result);
  });

  it("puts lists in place where told, at any depth, and leaves those that the patch has not", () => {
    const thresholds = [{ maxConnections: 1 }];
    expect(
      merged(
        { circuitBreakers: { thresholds, perHostThresholds: thresholds } },
        { circuitBreakers: { thresholds: [{ maxConnections: 2 }] } },
        "replace",
      ),
    ).toEqual({ circuitBreakers: { thresholds: [{ maxConnections: 2 }], perHostThresholds: thresholds } });
  });

  it("is nothing for an empty patch, and the patch itself for an empty message", () => {
    const cluster = fc.record({
      name: fc.string(),
      perConnectionBufferLimitBytes: fc.nat(),
      respectDnsTtl: fc.boolean(),
      circuitBreakers: fc.record({ thresholds: fc.array(fc.record({ maxConnections: fc.nat() })) }),
      metadata: fc.record({ filterMetadata: fc.dictionary(fc.string(), fc.record({ x: fc.string() })) }),
    });
    fc.assert(
      fc.property(cluster, (json) => {
        const message = (): unknown => toJson(ClusterSchema, fromJson(ClusterSchema, json));
        expect(merged(json, {})).toEqual(message());
        expect(merged({}, json)).toEqual(message());
      }),
      { numRuns: runs(50) },
    );
  });
});
