import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import type { GateLimits } from "#base/tls-gate.ts";
import { Authority } from "../pki/authority.ts";
import { MembersFront } from "./front.ts";

const authority = Authority.open(undefined, "members", systemClock);
const name = "weft-api-east.istio-system.svc";

/** A front with one member, and where it is. */
async function opened(limits: Partial<GateLimits>) {
  const front = new MembersFront(authority, systemClock, limits);
  await front.listen({ host: "127.0.0.1", port: 0 });
  front.open(name, { trust: () => undefined, listener: (_, response) => void response.end("{}") });
  return { front, address: front.address as { readonly host: string; readonly port: number } };
}

test("strangers open no more connections than there may be, and give way to others when they go", async () => {
  const { front, address } = await opened({ connections: 2 });
  await using _front = front;
  const strangers = Array.from({ length: 5 }, () => connect(address));
  const closed = (): number => strangers.filter((each) => each.closed).length;
  await expect.poll(closed).toBeGreaterThanOrEqual(3);
  await sleep(500);
  expect(closed()).toBe(3);
  const gone = strangers.filter((each) => !each.closed).map(async (each) => once(each.destroy(), "close"));
  await Promise.all(gone);
  for (let count = 0; count < 5; count++) {
    const asked = request({ ...address, ca: authority.certificate, servername: name, agent: false }).end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    await answer.toArray();
    expect(answer.statusCode).toBe(200);
  }
});

test("handshakes take turns, and no more wait than may", async () => {
  const { front, address } = await opened({ handshakes: { perSecond: 1, burst: 0, waiting: 2 } });
  await using _front = front;
  const began = performance.now();
  const ends = Array.from({ length: 6 }, async () => {
    const each = connectTls({ ...address, ca: authority.certificate, servername: name });
    const served = once(each, "secureConnect").then(() => "served");
    const end = await Promise.race([served, once(each, "close").then(() => "closed")]).catch(() => "closed");
    each.destroy();
    return end;
  });
  expect((await Promise.all(ends)).filter((end) => end === "served")).toHaveLength(3);
  // The first at once, then one a second.
  expect(performance.now() - began).toBeGreaterThan(1500);
});

test("it closes while strangers wait for their turn, or are in the middle of a handshake", async () => {
  const { front, address } = await opened({ handshakes: { perSecond: 1, burst: 0, waiting: 10 } });
  const strangers = Array.from({ length: 4 }, () => connect(address).on("error", () => undefined));
  await Promise.all(strangers.map(async (each) => once(each, "connect")));
  await sleep(100);
  const began = performance.now();
  await front[Symbol.asyncDispose]();
  expect(performance.now() - began).toBeLessThan(30_000);
  for (const each of strangers) each.destroy();
});
