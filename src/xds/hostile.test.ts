/** Proxies that do what they should not, over real sockets: what each may cost, what others feel of it, and what is said. */
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { typeUrls } from "#proto/encoded.ts";
import { frameHead } from "#grpc/frames.ts";
import type { XdsLimits } from "./limits.ts";
import type { ConductCode } from "./port.ts";
import { eventually } from "./testing/envoy.ts";
import type { DeltaStream, RawStream } from "./testing/grpc-client.ts";
import { HostileWorld } from "./testing/hostile-world.ts";

const id = "sidecar~10.0.0.9~bad-1.shop~shop.svc.cluster.local";
const node = { id, metadata: { CLUSTER_ID: "east" } };
const mebibyte = 1024 * 1024;

let world: HostileWorld;
afterEach(() => world[Symbol.asyncDispose]());

const ended = (stream: DeltaStream): Promise<NonNullable<DeltaStream["ended"]>> =>
  eventually("the stream ends", () => stream.ended);

const closed = (stream: RawStream): Promise<boolean> => eventually("the stream is closed", () => stream.closed);

/** Made-up names, from a number on. */
const names = (count: number, from = 0, word = "nothing") =>
  Array.from({ length: count }, (_, at) => `${word}-${from + at}`);

interface Case {
  readonly title: string;
  readonly limits: Partial<XdsLimits>;
  /** Does it. */
  readonly act: () => Promise<unknown>;
  readonly code: ConductCode;
  /** Words that the finding has. */
  readonly says: string;
  /** Who is named; nobody where the peer never says who it is. */
  readonly named?: "";
  /** Bytes that may be kept of it while it goes on. */
  readonly most?: number;
}

const cases: readonly Case[] = [
  {
    title: "never reads",
    limits: { stalledMs: 100, takeTimeoutMs: 500 },
    act: async () => {
      const stalled = world.raw();
      stalled.ask({ node, typeUrl: typeUrls.cluster });
      await closed(stalled);
      expect(world.server.figures()).toMatchObject({ streams: 1, bytesUnsent: 0 });
    },
    code: "ProxyNeverReads",
    says: "takes nothing of what it is sent",
  },
  {
    title: "floods requests, and is slowed down",
    limits: { requestsPerSecond: 20, requestBurst: 50 },
    act: async () => {
      const flooder = world.connect();
      for (let at = 0; at < 5000; at += 1) flooder.ask({ node, typeUrl: typeUrls.cluster });
      await eventually("it is served all the same", () => flooder.responses[0]);
      flooder.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: world.names(1) });
      // What it sent before takes minutes at that rate: it is left unread for now, and with it what comes after.
      await new Promise((resolve) => setTimeout(resolve, 2000));
      expect(flooder.responses.map(({ typeUrl }) => typeUrl)).not.toContain(typeUrls.endpoints);
      expect(flooder.ended).toBeUndefined();
    },
    code: "ProxyFloods",
    says: "more than 20 requests a second",
  },
  {
    title: "sends more bytes than it may",
    limits: { requestBytesPerSecond: 10_000, requestBytesBurst: 50_000 },
    act: async () => {
      const flooder = await world.served(id);
      for (let at = 0; at < 50; at += 1) {
        flooder.ask({ typeUrl: "type.googleapis.com/unknown", resourceNamesSubscribe: names(5000) });
      }
    },
    code: "ProxyFloods",
    says: "more than 10000 bytes a second",
  },
  {
    title: "changes its subscription all the time",
    limits: { namesPerSecond: 1000, nameBurst: 5000 },
    act: async () => {
      const changing = await world.served(id);
      changing.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names(3000) });
      for (let at = 0; at < 500; at += 1) {
        changing.ask({
          typeUrl: typeUrls.endpoints,
          resourceNamesSubscribe: [`other-${at}`],
          resourceNamesUnsubscribe: [`nothing-${at}`],
        });
      }
    },
    code: "ProxyFloods",
    says: "changes what it asks for all the time",
  },
  {
    title: "asks again and again for what it has",
    limits: { answeredBytesPerSecond: 100_000, answeredBytesBurst: 3_000_000 },
    act: async () => {
      const stream = await world.served(id, {
        node,
        typeUrl: typeUrls.endpoints,
        resourceNamesSubscribe: world.names(1),
      });
      for (let at = 0; at < 20 && world.server.findings().length === 0; at += 1) {
        const { nonce } = await eventually("an answer", () => stream.responses[at]);
        stream.ask({ typeUrl: typeUrls.endpoints, responseNonce: nonce, resourceNamesSubscribe: world.names(2000) });
      }
      await world.finding(id, "ProxyFloods");
      expect(world.server.figures().bytesSent).toBeLessThan(12 * mebibyte);
    },
    code: "ProxyFloods",
    says: "asks again and again for what it was sent",
  },
  {
    title: "asks for a million names",
    limits: {},
    act: async () => {
      const greedy = world.connect();
      greedy.ask({ node, typeUrl: typeUrls.cluster });
      greedy.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names(1_000_000) });
      expect(await ended(greedy)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
      greedy[Symbol.dispose]();
    },
    code: "ProxyAsksTooMuch",
    says: "more than 100000 names",
  },
  {
    title: "asks for the most of what all may ask for together",
    limits: { namesInAll: 3000 },
    // What the others were sent, they remember.
    most: 60 * mebibyte,
    act: async () => {
      const known = world.names(2000);
      const served = async (name: string, from: number, to: number): Promise<DeltaStream> => {
        const stream = await world.served(name);
        stream.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: known.slice(from, to) });
        await eventually(`${name} has endpoints`, () =>
          stream.responses.some((each) => each.resources.length === to - from),
        );
        return stream;
      };
      const modest = [await served("modest-a", 0, 500), await served("modest-b", 100, 600)];
      // What several ask for alike counts once.
      for (let at = 0; at < 2; at += 1) modest.push(await served(`same-${at}`, 0, 500));
      const greedy = await served(id, 50, 1950);
      modest.push(await served("modest-c", 200, 700));
      expect(await ended(greedy)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
      for (const stream of modest) {
        expect(stream.ended).toBeUndefined();
        stream[Symbol.dispose]();
      }
    },
    code: "ProxyAsksTooMuch",
    says: "asks for the most of more than 3000 names",
  },
  {
    title: "says that it holds more than there can be",
    limits: {},
    act: async () => {
      const greedy = world.connect();
      greedy.ask({ node, typeUrl: typeUrls.cluster });
      const initialResourceVersions = Object.fromEntries(names(150_000).map((name) => [name, "1"]));
      greedy.ask({ typeUrl: typeUrls.endpoints, initialResourceVersions });
      expect(await ended(greedy)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
      greedy[Symbol.dispose]();
    },
    code: "ProxyAsksTooMuch",
    says: "more than 100000 names",
  },
  {
    title: "asks for names of which there is nothing",
    limits: { unknownNamesPerType: 1000 },
    act: async () => {
      const asking = await world.served(id);
      asking.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: [...world.names(1000), ...names(900)] });
      await eventually("what there is comes", () => asking.responses[1]);
      asking.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names(50_000) });
      expect(await ended(asking)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
      expect(world.server.figures()).toMatchObject({ streams: 1, scopes: 1, views: 1 });
    },
    code: "ProxyAsksTooMuch",
    says: "more than 1000 names of one type of which there is nothing",
  },
  {
    title: "asks for the longest names, bit by bit",
    limits: { nameCharactersPerType: 200_000 },
    act: async () => {
      const asking = await world.served(id);
      for (let at = 0; at < 20; at += 1) {
        asking.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names(10, 10 * at, "y".repeat(2000)) });
      }
      expect(await ended(asking)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    },
    code: "ProxyAsksTooMuch",
    says: "the limit is 200000",
  },
  {
    title: "says too much of itself",
    limits: {},
    act: async () => {
      const labels = Object.fromEntries(names(20_000).map((name) => [name, "x".repeat(50)]));
      const wordy = await world.served(id);
      wordy.ask({ node: { id, metadata: { LABELS: labels } }, typeUrl: typeUrls.endpoints });
      expect(await ended(wordy)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    },
    code: "ProxyInvalidNode",
    says: "262144 bytes",
  },
  {
    title: "says in mid-stream that it is another",
    limits: {},
    act: async () => {
      const changing = await world.served(id);
      changing.ask({ node: { id: "neighbour" }, typeUrl: typeUrls.endpoints });
      expect(await ended(changing)).toMatchObject({ code: status.INVALID_ARGUMENT });
    },
    code: "ProxyChangesNode",
    says: "that it is neighbour",
  },
  {
    title: "answers another stream's response",
    limits: {},
    act: async () => {
      const forger = await world.served(id);
      const other = await world.served("other", {
        node: { id: "other" },
        typeUrl: typeUrls.endpoints,
        resourceNamesSubscribe: world.names(1),
      });
      const { nonce } = other.responses[0] ?? { nonce: "" };
      forger.ask({ typeUrl: typeUrls.endpoints, responseNonce: nonce, errorDetail: { code: 13, message: "no" } });
      await world.finding(id, "ProxyForeignAnswer");
      const states = world.server.proxies().map((proxy) => proxy.types[typeUrls.endpoints]?.state);
      expect(states).not.toContain("NACKED");
      expect(forger.ended).toBeUndefined();
    },
    code: "ProxyForeignAnswer",
    says: "not sent on its stream",
  },
  {
    title: "acknowledges what was never sent",
    limits: {},
    act: async () => (await world.served(id)).ask({ typeUrl: typeUrls.cluster, responseNonce: "made-up" }),
    code: "ProxyForeignAnswer",
    says: "not sent on its stream",
  },
  {
    title: "refuses for ever",
    limits: { refusalBurst: 5 },
    act: async () => {
      const refusing = await world.served(id);
      for (let at = 0; at < 10; at += 1) {
        const { nonce, typeUrl } = await eventually("a response", () => refusing.responses[at]);
        refusing.ask({ typeUrl, responseNonce: nonce, errorDetail: { code: 13, message: "no" } });
        await world.neighbourGetsChange();
      }
    },
    code: "ProxyRefusesAgain",
    says: "weft proxy-status",
  },
  {
    title: "sends bytes that are no request",
    limits: {},
    act: async () => {
      const garbled = await world.served(id);
      garbled.stream.write(Buffer.from([0xff, 0xff, 0xff]));
      expect(await ended(garbled)).toMatchObject({ code: status.INVALID_ARGUMENT });
    },
    code: "ProxyInvalidRequest",
    says: "no discovery request",
  },
  {
    title: "compresses what it sends",
    limits: {},
    act: async () => {
      const pressed = world.raw();
      pressed.stream.write(Buffer.from([1, 0, 0, 0, 1, 0]));
      await closed(pressed);
    },
    code: "ProxyInvalidRequest",
    says: "must not be compressed",
    named: "",
  },
  {
    title: "begins a message of four gigabytes",
    limits: {},
    act: async () => {
      const endless = world.raw();
      endless.stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
      await closed(endless);
    },
    code: "ProxyAsksTooMuch",
    says: "4294967295 bytes",
    named: "",
  },
  {
    title: "begins requests on many streams and ends none",
    limits: { partialBytes: 4 * mebibyte },
    act: async () => {
      const begun = Array.from({ length: 30 }, () => world.raw());
      for (const { stream } of begun) stream.write(Buffer.concat([frameHead(8 * mebibyte), Buffer.alloc(mebibyte)]));
      await eventually("enough of them are closed", () => begun.filter((each) => each.closed).length >= 25);
    },
    code: "ProxyAsksTooMuch",
    says: "and not its end",
    named: "",
    // What is kept of them, twice because buffers grow, and what their clients keep in this process.
    most: 80 * mebibyte,
  },
  {
    title: "opens streams and says nothing",
    limits: { introductionMs: 200 },
    act: async () => {
      const silent = Array.from({ length: 20 }, () => world.connect());
      for (const each of silent) expect(await ended(each)).toMatchObject({ code: status.DEADLINE_EXCEEDED });
      expect(world.server.figures().streams).toBe(1);
    },
    code: "ProxySaysNothing",
    says: "within 200 ms",
    named: "",
  },
  {
    title: "is claimed by many streams",
    limits: { streamsPerProxy: 4 },
    act: async () => {
      const streams: DeltaStream[] = [];
      for (let at = 0; at < 6; at += 1) streams.push(await world.served(id));
      await Promise.all(streams.slice(0, 2).map(ended));
      expect(streams.slice(2).map((each) => each.ended)).toEqual(Array.from({ length: 4 }, () => undefined));
    },
    code: "ProxyDuplicated",
    says: "more than 4 streams",
  },
  {
    title: "is claimed by two for long",
    limits: { twinMs: 300 },
    act: async () => Promise.all([world.served(id), world.served(id)]),
    code: "ProxyDuplicated",
    says: "2 streams side by side",
  },
];

describe("a proxy that", () => {
  test.each(cases)("$title: costs little, harms nobody, and is named", { timeout: 180_000 }, async (each) => {
    const { limits, act, code, says, named = id, most = 25 * mebibyte } = each;
    world = await HostileWorld.start(limits);
    const acting = act();
    for (let turn = 0; turn < 3; turn += 1) expect(await world.neighbourGetsChange()).toBeLessThan(30_000);
    await acting;
    const finding = await world.finding(named, code);
    expect(finding).toMatchObject({ what: expect.stringContaining(says), cluster: named === "" ? "" : "east" });
    expect(finding.last).toBeGreaterThanOrEqual(finding.since);
    await eventually("what it cost is given back", () => world.growth() < most);
    expect(await world.neighbourGetsChange()).toBeLessThan(30_000);
  });
});
