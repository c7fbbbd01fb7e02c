import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeProtobuf } from "./decode.ts";
import { messages } from "./messages.ts";
import { runs } from "#base/testing/runs.ts";

type Write = (writer: BinaryWriter) => void;

function message(...fields: readonly Write[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const field of fields) field(writer);
  return writer.finish();
}

function text(number: number, value: string): Write {
  return (writer) => writer.tag(number, WireType.LengthDelimited).string(value);
}

function int(number: number, value: number): Write {
  return (writer) => writer.tag(number, WireType.Varint).int64(value);
}

function inner(number: number, ...fields: readonly Write[]): Write {
  return (writer) => writer.tag(number, WireType.LengthDelimited).bytes(message(...fields));
}

function bytes(number: number, value: Uint8Array): Write {
  return (writer) => writer.tag(number, WireType.LengthDelimited).bytes(value);
}

function body(apiVersion: string, kind: string, ...fields: readonly Write[]): Buffer {
  const envelope = message(inner(1, text(1, apiVersion), text(2, kind)), inner(2, ...fields), text(3, ""), text(4, ""));
  return Buffer.concat([Buffer.from("k8s\0"), envelope]);
}

/** Metadata as Go writes it: with what was never set. */
const metadata = inner(
  1,
  text(1, "a"),
  text(2, ""),
  text(3, "n"),
  int(7, 0),
  inner(8),
  inner(11, text(1, "app"), text(2, "web")),
  inner(11, text(1, "empty"), text(2, "")),
);
const metadataJson = { name: "a", namespace: "n", labels: { app: "web", empty: "" } };

function targetOf(object: Record<string, unknown>): unknown {
  return (object["spec"] as { ports: { targetPort: unknown }[] }).ports[0]?.targetPort;
}

describe("Kubernetes protobuf", () => {
  test("becomes the JSON that says the same, without what Go writes of unset fields", () => {
    // The bytes that a Go client sends for a Deployment with no replicas.
    const container = inner(
      2,
      text(1, "main"),
      text(2, "web"),
      inner(6, text(1, ""), int(2, 0), int(3, 8080)),
      inner(8),
    );
    const template = inner(3, inner(1, text(1, "")), inner(2, container, text(3, ""), int(4, 5), int(11, 0)));
    const selector = inner(2, inner(1, text(1, "app"), text(2, "web")));
    const spec = inner(2, int(1, 0), selector, template, inner(4, text(1, "")), int(5, 0));
    expect(decodeProtobuf(body("apps/v1", "Deployment", metadata, spec, inner(3)))).toEqual({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: metadataJson,
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: {},
          spec: {
            containers: [{ name: "main", image: "web", ports: [{ containerPort: 8080 }], resources: {} }],
            terminationGracePeriodSeconds: 5,
          },
        },
        strategy: {},
      },
      status: {},
    });
  });

  test("knows bytes, times, quantities, and numbers or texts", () => {
    const data = inner(2, text(1, "key"), bytes(2, Buffer.from([0, 255])));
    expect(decodeProtobuf(body("v1", "Secret", data))).toMatchObject({ data: { key: "AP8=" } });
    const times = inner(2, text(1, "h"), int(2, 40), inner(4, int(1, 1_700_000_000), int(2, 1_234_567)), inner(3));
    expect(decodeProtobuf(body("coordination.k8s.io/v1", "Lease", times))).toMatchObject({
      spec: { holderIdentity: "h", leaseDurationSeconds: 40, renewTime: "2023-11-14T22:13:20.001234Z" },
    });
    const capacity = inner(3, inner(1, text(1, "cpu"), inner(2, text(1, "500m"))));
    expect(decodeProtobuf(body("v1", "Node", capacity))).toMatchObject({ status: { capacity: { cpu: "500m" } } });
    const port = (...target: Write[]): Write => inner(2, inner(1, int(3, 80), inner(4, ...target)));
    expect(targetOf(decodeProtobuf(body("v1", "Service", port(int(1, 0), int(2, 8080), text(3, "")))))).toBe(8080);
    expect(targetOf(decodeProtobuf(body("v1", "Service", port(int(1, 1), int(2, 0), text(3, "http")))))).toBe("http");
  });

  test("puts the fields of an embedded message where JSON has them", () => {
    const volume = inner(1, text(1, "cache"), inner(2, inner(2, text(1, ""))));
    const pod = decodeProtobuf(body("v1", "Pod", inner(2, volume)));
    expect(pod["spec"]).toEqual({ volumes: [{ name: "cache", emptyDir: {} }] });
  });

  test("reads numbers below zero, and lists of numbers packed or not", () => {
    const container = (...values: Write[]): Buffer => body("v1", "Pod", inner(2, inner(14, int(2, -1), ...values)));
    const one = decodeProtobuf(container(int(4, 5), int(4, 6)));
    const packed = decodeProtobuf(container(bytes(4, Uint8Array.of(5, 6))));
    expect(one["spec"]).toEqual({
      securityContext: { runAsUser: -1, supplementalGroups: [5, 6] },
    });
    expect(packed["spec"]).toEqual(one["spec"]);
  });

  test.each<[string, Buffer, string]>([
    ["JSON", Buffer.from("{}"), "BadRequest"],
    ["nothing", Buffer.alloc(0), "BadRequest"],
    ["a kind that only JSON is known of", body("networking.istio.io/v1", "VirtualService"), "UnsupportedMediaType"],
    ["a field that nobody knows", body("v1", "ConfigMap", text(99, "x")), "UnsupportedMediaType"],
    ["a message that is cut", body("v1", "ConfigMap", metadata).subarray(0, -12), "BadRequest"],
  ])("refuses %s", (_, bytes, reason) => {
    expect(() => decodeProtobuf(bytes)).toThrow(expect.objectContaining({ reason }));
  });

  test("takes no longer than its size, however many items and entries it has", () => {
    // Of 40,000 entries a copy for each entry would make 800 million.
    const entries = Array.from({ length: 40_000 }, (_, at) => inner(2, text(1, `k${at}`), text(2, "v")));
    const { data } = decodeProtobuf(body("v1", "ConfigMap", ...entries)) as { data: Record<string, string> };
    expect(Object.keys(data)).toHaveLength(40_000);
  });

  test("keeps an entry that is called __proto__ an entry", () => {
    const { data } = decodeProtobuf(body("v1", "ConfigMap", inner(2, text(1, "__proto__"), text(2, "v")))) as {
      data: object;
    };
    expect(Object.entries(data)).toEqual([["__proto__", "v"]]);
  });

  test("of any bytes is read or refused, never a fault", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("Pod", "Deployment", "Event", "Secret"),
        fc.uint8Array({ maxLength: 200 }),
        (kind, bytes) => {
          const envelope = message(inner(1, text(1, "v1"), text(2, kind)));
          const raw = message((writer) => writer.tag(2, WireType.LengthDelimited).bytes(bytes));
          try {
            expect(decodeProtobuf(Buffer.concat([Buffer.from("k8s\0"), envelope, raw]))["kind"]).toBe(kind);
          } catch (error) {
            expect(["BadRequest", "UnsupportedMediaType"]).toContain((error as { reason?: string }).reason);
          }
        },
      ),
      { numRuns: runs(500) },
    );
  });

  test("every message that the table names is in it", () => {
    const plain = new Set([
      "int",
      "bool",
      "bytes",
      "double",
      "string",
      "Time",
      "MicroTime",
      "Quantity",
      "IntOrString",
      "Raw",
      "Texts",
    ]);
    const named = Object.values(messages)
      .flatMap((fields) => fields.split(" "))
      .flatMap((field) => /:(?:\[\]|\{\}|~|\?)?(\w+)$/.exec(field)?.[1] ?? [])
      .filter((type) => !plain.has(type));
    expect(named.filter((type) => messages[type] === undefined)).toEqual([]);
  });
});
