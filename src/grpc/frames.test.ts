import * as fc from "fast-check";
import { expect, test } from "vitest";
import { patience, runs } from "#base/testing/runs.ts";
import { FrameReader, frameHead } from "./frames.ts";

const framed = (message: Uint8Array): Buffer => Buffer.concat([frameHead(message.length), message]);

test(
  "messages come out as they went in, however the stream cuts them",
  () => {
    const someMessages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(someMessages, fc.array(fc.integer({ min: 1, max: 60 })), (messages, cuts) => {
        const read: number[][] = [];
        const reader = new FrameReader(40, (message) => read.push([...message]));
        let rest = Buffer.concat(messages.map(framed));
        for (const cut of cuts) {
          reader.take(rest.subarray(0, cut));
          rest = rest.subarray(cut);
        }
        reader.take(rest);
        expect(read).toEqual(messages.map((message) => [...message]));
      }),
      { numRuns: runs(500) },
    );
  },
  patience(20_000),
);

test("a message that is too long is refused by its head, one that is compressed too", () => {
  const read: number[] = [];
  const reader = new FrameReader(10, (message) => read.push(message.length));
  reader.take(framed(Buffer.alloc(10)));
  expect(() => reader.take(frameHead(11))).toThrow(expect.objectContaining({ code: "ResourceExhausted" }));
  expect(() => new FrameReader(10, () => undefined).take(Buffer.from([1, 0, 0, 0, 1]))).toThrow(
    expect.objectContaining({ code: "Unsupported" }),
  );
  expect(read).toEqual([10]);
});

test("a long message in small pieces is put together in time that follows its length", () => {
  const length = 4 * 1024 * 1024;
  let read = 0;
  const reader = new FrameReader(length, (message) => {
    read = message.length;
  });
  reader.take(frameHead(length));
  for (let at = 0; at < length; at += 64) reader.take(Buffer.alloc(64));
  expect(read).toBe(length);
});
