import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request as httpRequest, type IncomingMessage, type RequestListener } from "node:http";
import { Agent as TlsAgent, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { afterAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import type { GateLimits } from "#base/tls-gate.ts";
import { Front } from "./front.ts";
import type { ListenAddress } from "./listener.ts";
import { Authority } from "./pki/authority.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-front-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const authority = Authority.open(undefined, "east", systemClock);
const tls = { serving: authority.issueServing(["localhost"]), clientAuthority: authority.certificate };

let sockets = 0;
const port = (): ListenAddress => ({ host: "127.0.0.1", port: 0 });
const socket = (): ListenAddress => ({ socketPath: join(folder, `${(sockets += 1)}.sock`) });

/** Answers, but for what is to wait. */
const listener: RequestListener = (request, response) => {
  if (request.url !== "/wait") response.end("{}");
};

describe.each([
  ["a port in plain text", port, undefined, false],
  ["a port with TLS", port, tls, true],
  ["a socket in plain text", socket, undefined, false],
  ["a socket with both, in plain text", socket, tls, false],
  ["a socket with both, with TLS", socket, tls, true],
] as const)("%s", (_, address, settings, secure) => {
  /** A client that keeps its connection, at a server of its own. */
  async function opened(): Promise<{ front: Front; ask: (path: string) => Promise<IncomingMessage> } & Disposable> {
    const front = await Front.open(address(), { plain: listener, tls: listener }, settings, systemClock);
    const agent = secure ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
    const options = { ...front.address, agent, ca: authority.certificate, servername: "localhost" };
    const ask = async (path: string): Promise<IncomingMessage> => {
      const sent = secure ? httpsRequest({ ...options, path }) : httpRequest({ ...options, path });
      sent.end();
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      await response.toArray();
      return response;
    };
    return { front, ask, [Symbol.dispose]: () => agent.destroy() };
  }

  test("keeps connections that are not used for longer than clients do", async () => {
    using client = await opened();
    const hint = /^timeout=(\d+)$/.exec(String((await client.ask("/")).headers["keep-alive"]))?.[1];
    // Go's clients keep theirs for 90 seconds, whatever a server says.
    expect(Number(hint)).toBeGreaterThan(90);
    await client.front.close();
  });

  test("closes these when it stops, and what goes on when told to", async () => {
    using client = await opened();
    await client.ask("/");
    const waits = client.ask("/wait").catch((error: unknown) => error);
    await client.ask("/");
    const closed = client.front.close();
    client.front.closeAllConnections();
    await closed;
    expect(await waits).toMatchObject({ code: "ECONNRESET" });
  });
});

describe("strangers", () => {
  async function front(limits: Partial<GateLimits>, settings: typeof tls | undefined = tls): Promise<Front> {
    return Front.open(port(), { plain: listener, tls: listener }, settings, systemClock, limits);
  }
  const address = ({ address: at }: Front): { readonly host: string; readonly port: number } =>
    at as { readonly host: string; readonly port: number };

  test.each([
    ["over TLS", tls],
    ["in plain text", undefined],
  ])("keep no more connections than there may be: %s", async (_, settings) => {
    const server = await front({ connections: 2 }, settings);
    const opened = Array.from({ length: 5 }, () => connect(address(server)));
    const closed = (): number => opened.filter((each) => each.closed).length;
    await expect.poll(closed).toBeGreaterThanOrEqual(3);
    await sleep(500);
    expect(closed()).toBe(3);
    for (const each of opened) each.destroy();
    await server.close();
  });

  test("begin TLS one after the other, and no more wait than may", async () => {
    const server = await front({ handshakes: { perSecond: 1, burst: 0, waiting: 2 } });
    const began = performance.now();
    const ends = Array.from({ length: 6 }, async () => {
      const each = connectTls({ ...address(server), ca: authority.certificate, servername: "localhost" });
      const end = await Promise.race([
        once(each, "secureConnect").then(() => "served"),
        once(each, "close").then(() => "closed"),
      ]).catch(() => "closed");
      each.destroy();
      return end;
    });
    const outcome = await Promise.all(ends);
    expect(outcome.filter((end) => end === "served")).toHaveLength(3);
    // The first at once, then one a second.
    expect(performance.now() - began).toBeGreaterThan(1500);
    await server.close();
  });
});
