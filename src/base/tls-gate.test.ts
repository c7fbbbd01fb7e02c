import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { ManualClock } from "./testing/manual-clock.ts";
import { type GateLimits, TlsGate } from "./tls-gate.ts";

const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

/** A gate on loopback, and what it let begin, by address. */
async function opened(limits: GateLimits) {
  const clock = new ManualClock();
  const begun: string[] = [];
  const gate = new TlsGate((socket) => begun.push(socket.remoteAddress ?? ""), clock, limits);
  gate.listening.listen(0, "127.0.0.1");
  await once(gate.listening, "listening");
  const { port } = gate.listening.address() as AddressInfo;
  const arrives = (): Promise<unknown> => once(gate.listening, "connection");
  /** Connects from an address; resolves when the gate has seen it. */
  const from = async (localAddress: string): Promise<Socket> => {
    const seen = arrives();
    const socket = connect({ host: "127.0.0.1", port, localAddress }).on("error", () => undefined);
    sockets.add(socket);
    await seen;
    return socket;
  };
  const end = async (): Promise<void> => {
    const closed = once(gate.listening, "close");
    gate.listening.close();
    gate[Symbol.dispose]();
    gate.closeAllConnections();
    await closed;
  };
  return { gate, clock, begun, from, [Symbol.asyncDispose]: end };
}

const [flood, other] = ["127.0.0.1", "127.0.0.2"];

test("an address that begins many handshakes waits for its own alone", async () => {
  await using gate = await opened({ connections: 100, handshakes: { perSecond: 100, burst: 1, waiting: 100 } });
  for (let count = 0; count < 20; count++) await gate.from(flood);
  const before = gate.begun.length;
  for (let count = 0; count < 2; count++) await gate.from(other);
  for (let step = 0; step < 6; step++) gate.clock.advance(10);
  expect(gate.begun.slice(before, before + 4)).toEqual([flood, other, flood, other]);
  for (let step = 0; step < 40; step++) gate.clock.advance(10);
  expect(gate.begun).toHaveLength(22);
});

test("an address that opens many connections, or lets many wait, leaves a tenth of them to others", async () => {
  await using gate = await opened({ connections: 20, handshakes: { perSecond: 1, burst: 0, waiting: 10 } });
  const opens = async (address: string, count: number): Promise<readonly Socket[]> => {
    const all: Socket[] = [];
    for (let at = 0; at < count; at++) all.push(await gate.from(address));
    return all;
  };
  /** How many are closed: as many as are expected at last, or more a moment later. */
  const closed = async (all: readonly Socket[], expected: number): Promise<number> => {
    const count = (): number => all.filter((socket) => socket.closed).length;
    await expect.poll(count).toBeGreaterThanOrEqual(expected);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    return count();
  };
  // One begins at once, nine wait.
  const many = await opens(flood, 15);
  for (const socket of many) socket.resume();
  expect(await closed(many, 5)).toBe(5);
  const [late] = await opens(other, 1);
  expect(await closed(late ? [late.resume()] : [], 0)).toBe(0);
  for (let step = 0; step < 9000; step++) gate.clock.advance(10);
  const more = await opens(flood, 12);
  for (const socket of more) socket.resume();
  // Of twenty, ten are open: it may have eight more.
  expect(await closed(more, 4)).toBe(4);
});
