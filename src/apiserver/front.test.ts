import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request as httpRequest, type IncomingMessage, type RequestListener } from "node:http";
import { Agent as TlsAgent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { afterAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
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
    const front = await Front.open(address(), { plain: listener, tls: listener }, settings);
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
