import { describe, expect, test } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { Limits } from "./limits.ts";
import { startTestServer, type TestUser } from "./testing/server.ts";

const ada: TestUser = { name: "ada", groups: [] };
const bob: TestUser = { name: "bob", groups: [] };
const admin: TestUser = { name: "root", groups: ["system:masters"] };
let now = 0;
const clock: Clock = { ...systemClock, monotonic: () => now };
const refused = { reason: "TooManyRequests" };

describe("limits of one user", () => {
  test("let so many requests through at once, and so many a second", () => {
    const limits = new Limits({ perSecond: 10, burst: 3 }, clock);
    const ask = (user = ada): void => limits.enter(user, false)[Symbol.dispose]();
    for (let i = 0; i < 3; i += 1) ask();
    expect(() => ask()).toThrow(expect.objectContaining({ ...refused, details: { retryAfterSeconds: 1 } }) as Error);
    ask(bob);
    for (let i = 0; i < 100; i += 1) ask(admin);
    now += 200;
    ask();
    ask();
    expect(() => ask()).toThrow("too many requests");
  });

  test("share what there is when all is taken, and one place is everybody's", () => {
    const limits = new Limits({ inFlight: 4 }, clock);
    const hers = Array.from({ length: 4 }, () => limits.enter(ada, false));
    expect(() => limits.enter(ada, false)).toThrow(expect.objectContaining(refused) as Error);
    const his = [limits.enter(bob, false), limits.enter(bob, false)];
    expect(() => limits.enter(bob, false)).toThrow("too many requests");
    expect(() => limits.enter(ada, false)).toThrow("too many requests");
    limits.enter({ name: "eve", groups: [] }, false);
    limits.enter(admin, false);
    for (const one of [...hers, ...his]) one[Symbol.dispose]();
    limits.enter(ada, false);
  });

  test("bound watches, which take no other request's place", () => {
    const limits = new Limits({ inFlight: 1, watches: 2 }, clock);
    const first = limits.enter(ada, true);
    limits.enter(ada, true);
    expect(() => limits.enter(ada, true)).toThrow(expect.objectContaining(refused) as Error);
    limits.enter(ada, false);
    first[Symbol.dispose]();
    limits.enter(ada, true);
  });
});

test("a client that asks too often is told when to come again, and others are served", async () => {
  await using server = await startTestServer({ access: { limits: { perSecond: 0.001, burst: 2, watches: 1 } } });
  const answer = async (as: typeof ada): Promise<[number, unknown]> => {
    const { status, headers } = await server.ask("east", "/version", { as });
    return [status, headers["retry-after"]];
  };
  expect([await answer(ada), await answer(ada)]).toEqual([
    [200, undefined],
    [200, undefined],
  ]);
  const { status, headers, json } = await server.ask("east", "/version", { as: ada });
  expect([status, Number(headers["retry-after"]) > 0, json.reason]).toEqual([429, true, "TooManyRequests"]);
  expect(await answer(bob)).toEqual([200, undefined]);
  expect(await answer(admin)).toEqual([200, undefined]);
});
