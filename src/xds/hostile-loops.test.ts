/** Proxies that reconnect in a loop, refusals of megabytes, and made-up requests; and that all is forgotten in the end. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { patience, runs } from "#base/testing/runs.ts";
import { typeUrls } from "#proto/encoded.ts";
import { eventually } from "./testing/envoy.ts";
import { HostileWorld } from "./testing/hostile-world.ts";

const id = "sidecar~10.0.0.9~bad-1.shop~shop.svc.cluster.local";
const node = { id, metadata: { CLUSTER_ID: "east" } };
const mebibyte = 1024 * 1024;

let world: HostileWorld;
afterEach(() => world[Symbol.asyncDispose]());

/** Connects, asks, and leaves as soon as there is an answer, for some milliseconds. Returns how often it did. */
async function reconnecting(ms: number): Promise<number> {
  const until = performance.now() + ms;
  for (let times = 1; ; times += 1) {
    const stream = world.connect();
    stream.ask({ node, typeUrl: typeUrls.cluster });
    while (!stream.responses[0] && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
    stream[Symbol.dispose]();
    if (performance.now() >= until) return times;
  }
}

describe("a proxy that reconnects in a loop", () => {
  const limits = { streamsPerSecond: 2, streamBurst: 5, reconnectsPerMinute: 3, longestHoldMs: 1000 };

  test("gets first syncs no faster than it may, is named, and is forgiven", { timeout: 180_000 }, async () => {
    world = await HostileWorld.start(limits);
    const before = world.server.figures().messagesSent;
    const began = performance.now();
    const loop = reconnecting(3000);
    expect(await world.neighbourGetsChange()).toBeLessThan(30_000);
    await loop;
    const seconds = (performance.now() - began) / 1000;
    // Five at once, two a second, and the neighbour's own.
    expect(world.server.figures().messagesSent - before).toBeLessThan(5 + 2 * seconds + 5);
    const finding = await world.finding(id, "ProxyReconnects");
    expect(finding).toMatchObject({ cluster: "east", what: expect.stringContaining("more than 3 times a minute") });
    expect(finding.count).toBeGreaterThan(1);
    await world.forgiven(id);
    await world.served(id);
  });

  test("does so also by first syncs alone, which are charged by their bytes", { timeout: 180_000 }, async () => {
    world = await HostileWorld.start({
      answeredBytesPerSecond: 200_000,
      answeredBytesBurst: mebibyte,
      findingMs: 60_000,
    });
    const before = world.server.figures().bytesSent;
    await reconnecting(5000);
    // What it may have at once, a fifth of it a second, and the one that overdraws.
    expect(world.server.figures().bytesSent - before).toBeLessThan(4 * mebibyte);
    const { what } = await world.finding(id, "ProxyFloods");
    expect(what).toContain("200000 bytes a second");
  });

  test("restarts of a proxy, or of all at once, are nothing to speak of", { timeout: 180_000 }, async () => {
    world = await HostileWorld.start({});
    for (let at = 0; at < 5; at += 1) (await world.served(id))[Symbol.dispose]();
    await Promise.all(Array.from({ length: 100 }, (_, at) => world.served(`proxy-${at}`)));
    expect(world.server.findings()).toEqual([]);
  });

  test("a stream that waits for its turn is not forgotten, nor listened to", { timeout: 180_000 }, async () => {
    world = await HostileWorld.start({ ...limits, streamBurst: 1, streamsPerSecond: 1, longestHoldMs: 1500 });
    await world.served(id);
    const waiting = world.connect();
    waiting.ask({ node, typeUrl: typeUrls.cluster });
    waiting.ask({ typeUrl: typeUrls.endpoints, resourceNamesSubscribe: world.names(1) });
    await eventually("both are answered, in their order", () => waiting.responses.length >= 1);
    const [first] = waiting.responses;
    expect(first?.typeUrl).toBe(typeUrls.cluster);
    waiting.ask({ typeUrl: typeUrls.cluster, responseNonce: first?.nonce ?? "" });
    await eventually("the second too", () => waiting.responses.some(({ typeUrl }) => typeUrl === typeUrls.endpoints));
  });
});

describe("somebody who makes up node ids", () => {
  test(
    "has them served no faster than new proxies come, which holds up nobody who is known",
    { timeout: 180_000 },
    async () => {
      const started = performance.now();
      world = await HostileWorld.start({ newNodeBurst: 5, newNodesPerSecond: 2, longestHoldMs: 30_000 });
      const before = world.server.figures().messagesSent;
      // The neighbour is one of the five.
      await Promise.all(Array.from({ length: 4 }, (_, at) => world.served(`proxy-${at}`)));
      // So many that some wait also where the four took so long that five may come at once again.
      const made = Array.from({ length: 12 }, (_, at) => world.served(`made-up-${at}`));
      const finding = await world.finding("", "ProxyClaimsMany");
      expect(finding.what).toContain(`more than 5 new proxies, and 2 a second, over ${world.socketPath}`);
      await Promise.all(Array.from({ length: 4 }, (_, at) => world.served(`proxy-${at}`)));
      await Promise.all(made);
      // Five at once, and then two a second, since there is a server: however slow the machine is, never more.
      expect(performance.now() - started).toBeGreaterThan(((1 + 4 + 12 - 5) / 2) * 1000 - 100);
      expect(world.server.figures().messagesSent - before).toBe(4 + 12 + 4);
      await world.forgiven("");
    },
  );

  test("has as many at once as there can be proxies, and is refused more", { timeout: 180_000 }, async () => {
    world = await HostileWorld.start({ nodesPerAddress: 3 });
    const first = await world.served("proxy-1");
    await world.served("proxy-2");
    await world.served("proxy-2");
    const more = world.connect();
    more.ask({ node, typeUrl: typeUrls.cluster });
    expect(await eventually("it is refused", () => more.ended)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(await world.finding("", "ProxyClaimsMany")).toMatchObject({
      what: expect.stringContaining("more than the 3"),
    });
    first[Symbol.dispose]();
    await eventually("another has its place", () => world.server.figures().streams === 3);
    await world.served(id);
  });
});

test("a refusal of megabytes is read in part, in no time, and stands in the status shortened", async () => {
  world = await HostileWorld.start({});
  const stream = await world.served(id);
  const message = `Error adding/updating cluster(s) ${world.names(1)[0]}: ${"x".repeat(200)}-`.repeat(40_000);
  stream.ask({
    typeUrl: typeUrls.cluster,
    responseNonce: stream.responses[0]?.nonce ?? "",
    errorDetail: { code: 3, message },
  });
  const refused = await eventually("it is refused", () => {
    const proxy = world.server.proxies().find((each) => each.node.id === id);
    return proxy?.types[typeUrls.cluster]?.refused;
  });
  expect(refused.message.length).toBeLessThanOrEqual(16 * 1024);
  expect(message.startsWith(refused.message)).toBe(true);
  expect(await world.neighbourGetsChange()).toBeLessThan(30_000);
});

test("a connection that never says a word is closed", async () => {
  world = await HostileWorld.start({}, { keepaliveMs: 3000 });
  const sockets = Array.from({ length: 20 }, () => createConnection(world.socketPath));
  await Promise.all(
    sockets.map(async (socket) => {
      socket.on("error", () => undefined).resume();
      await once(socket, "close");
    }),
  );
  expect(await world.neighbourGetsChange()).toBeLessThan(30_000);
});

test("who was ended for what it did waits before it is served anew", { timeout: 180_000 }, async () => {
  world = await HostileWorld.start({ longestHoldMs: 4000 });
  const garbled = await world.served(id);
  garbled.stream.write(Buffer.from([0xff]));
  expect(await eventually("it is ended", () => garbled.ended)).toMatchObject({ code: status.INVALID_ARGUMENT });
  const started = performance.now();
  await world.served(id);
  expect(performance.now() - started).toBeGreaterThan(500);
  await world.forgiven(id);
});

test(
  "a crowd of them at once: nothing is felt by others, all are named, nothing is left",
  { timeout: patience(120_000) },
  async () => {
    const limits = {
      stalledMs: 500,
      takeTimeoutMs: 2000,
      requestsPerSecond: 50,
      requestBurst: 200,
      // What may be remembered is no leak, and would fill up bit by bit.
      rememberedBytes: 8 * mebibyte,
      reconnectsPerMinute: 2,
    };
    world = await HostileWorld.start({ ...limits, findingMs: 600_000 });
    const crowd = fork(join(import.meta.dirname, "testing/hostile-child.ts"), [world.socketPath]);
    const over = once(crowd, "exit");
    const wanted = [0, 1, 2].flatMap((at) => [
      `flood-${at}.shop ProxyFloods`,
      `loop-${at}.shop ProxyReconnects`,
      `garbage-${at}.shop ProxyInvalidRequest`,
      `stall-${at}.shop ProxyNeverReads`,
    ]);
    const named = () => new Set(world.server.findings().map(({ node: who, code }) => `${who.split("~")[2]} ${code}`));
    const until = performance.now() + runs(4000);
    // On a busy machine it takes the crowd longer to do all of it.
    const longest = until + 30_000;
    let slowest = 0;
    while (performance.now() < until || (performance.now() < longest && !named().isSupersetOf(new Set(wanted)))) {
      slowest = Math.max(slowest, await world.neighbourGetsChange());
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const found = [...named()];
    crowd.kill();
    await over;
    expect(slowest).toBeLessThan(30_000);
    expect(found).toEqual(expect.arrayContaining(wanted));
    await eventually("the others are gone", () => world.server.figures().streams === 1);
    await eventually("what they cost is given back", () => world.growth() < 40 * mebibyte);
  },
);
