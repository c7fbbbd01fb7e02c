import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headerLength, readQuery, recordTypes, responseCodes, writeFormatError, writeResponse } from "./message.ts";
import type { Answer } from "./message.ts";
import { runs } from "#base/testing/runs.ts";

function nameBytes(name: string): Buffer {
  const labels = name === "" ? [] : name.split(".");
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
    Buffer.of(0),
  ]);
}

function queryBytes(name: string, type: number, opt?: number): Buffer {
  const header = Buffer.from([0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, opt === undefined ? 0 : 1]);
  const record = opt === undefined ? Buffer.alloc(0) : Buffer.from([0, 0, 41, opt >> 8, opt & 0xff, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, nameBytes(name), Buffer.from([0, type, 0, 1]), record]);
}

interface Read {
  readonly id: number;
  readonly flags: number;
  readonly records: readonly {
    readonly name: string;
    readonly type: number;
    readonly ttl: number;
    readonly data: string;
  }[];
}

/** A reader of responses of its own, so that the writer is not tested by itself. */
function readResponse(bytes: Buffer): Read {
  const name = (at: number): [string, number] => {
    const labels: string[] = [];
    for (let next = at; ;) {
      const size = bytes[next]!;
      if (size === 0) return [labels.join("."), next + 1];
      if (size >= 0xc0) return [[...labels, name(((size & 0x3f) << 8) | bytes[next + 1]!)[0]].join("."), next + 2];
      labels.push(bytes.toString("latin1", next + 1, next + 1 + size));
      next += size + 1;
    }
  };
  let [, at] = name(headerLength);
  at += 4;
  const records = [];
  for (let index = 0; index < bytes.readUInt16BE(6); index += 1) {
    const [owner, next] = name(at);
    const type = bytes.readUInt16BE(next);
    const length = bytes.readUInt16BE(next + 8);
    const data = type === 1 ? [...bytes.subarray(next + 10, next + 14)].join(".") : name(next + 10)[0];
    records.push({ name: owner, type, ttl: bytes.readUInt32BE(next + 4), data });
    at = next + 10 + length;
  }
  return { id: bytes.readUInt16BE(0), flags: bytes.readUInt16BE(2), records };
}

const label = fc.string({
  unit: fc.constantFrom("a", "b", "z", "A", "Z", "0", "9", "-", "_"),
  minLength: 1,
  maxLength: 20,
});
const name = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join("."));

describe("DNS messages", () => {
  it("are read whatever name they ask for, without regard to case", () => {
    fc.assert(
      fc.property(
        name,
        fc.constantFrom(1, 5, 28, 255),
        fc.option(fc.nat(0xffff), { nil: undefined }),
        (asked, type, opt) => {
          const query = readQuery(queryBytes(asked, type, opt));
          expect(query).toMatchObject({
            id: 0x1234,
            opcode: 0,
            recursionDesired: true,
            type,
            class: 1,
            edns: opt !== undefined,
          });
          expect(query.name).toBe(asked.toLowerCase());
          expect(query.udpSize).toBe(Math.max(512, opt ?? 0));
        },
      ),
    );
  });

  it("are answered so that another reader finds the same records, with the question's own letters", () => {
    const answer = fc.oneof(
      fc.record({ kind: fc.constant("a" as const), name, address: fc.ipV4(), ttl: fc.nat(86_400) }),
      fc.record({ kind: fc.constant("cname" as const), name, target: name, ttl: fc.nat(86_400) }),
    );
    fc.assert(
      fc.property(name, fc.array(answer, { maxLength: 8 }), (asked, others) => {
        const query = readQuery(queryBytes(asked, 1));
        const first: Answer = { kind: "a", name: query.name, address: "10.110.0.1", ttl: 30 };
        const answers = [first, ...others];
        const bytes = writeResponse(query, { code: responseCodes.ok, answers, authoritative: true, maxSize: 65_535 });
        const read = readResponse(bytes);
        expect(read).toMatchObject({ id: 0x1234, flags: 0x8580 });
        expect(bytes.subarray(headerLength, headerLength + query.question.length)).toEqual(Buffer.from(query.question));
        expect(read.records.map(({ name, type, ttl, data }) => [name.toLowerCase(), type, ttl, data])).toEqual(
          answers.map((one) => [
            one.name.toLowerCase(),
            recordTypes[one.kind],
            one.ttl,
            one.kind === "a" ? one.address : one.target,
          ]),
        );
        expect(read.records[0]!.name).toBe(asked);
      }),
    );
  });

  it("are cut to what the client takes, and say so", () => {
    const query = readQuery(queryBytes("many.shop", 1));
    const answers = Array.from({ length: 100 }, (_, at): Answer => ({
      kind: "a",
      name: "many.shop",
      address: `10.0.0.${at}`,
      ttl: 30,
    }));
    const bytes = writeResponse(query, { code: responseCodes.ok, answers, maxSize: query.udpSize });
    expect(bytes.length).toBeLessThanOrEqual(512);
    const read = readResponse(bytes);
    expect(read.flags & 0x0200).toBe(0x0200);
    expect(read.records.length).toBe(Math.floor((512 - headerLength - query.question.length) / 16));
  });

  it("of any bytes never do more than be refused", () => {
    const almost = fc.tuple(name, fc.nat(200), fc.nat(255)).map(([asked, at, value]) => {
      const bytes = queryBytes(asked, 1, 1232);
      bytes[at % bytes.length] = value;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), almost), (bytes) => {
        try {
          const query = readQuery(bytes);
          expect(query.name.length).toBeLessThan(255);
          writeResponse(query, { code: responseCodes.ok, maxSize: 512 });
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          const refusal = writeFormatError(bytes);
          if (refusal !== undefined) expect(refusal.readUInt16BE(2)).toBe(0x8081);
        }
      }),
      { numRuns: runs(2000) },
    );
  });

  it("whose names lead in circles are refused", () => {
    const header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for (const name of [
      [0xc0, 12],
      [1, 97, 0xc0, 12],
      [0xc0, 14, 0xc0, 12],
      [0xc0, 40],
    ])
      expect(() => readQuery(Buffer.from([...header, ...name, 0, 1, 0, 1]))).toThrow(RangeError);
  });
});
