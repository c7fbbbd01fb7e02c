import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { json } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { NodeToken } from "./node-token.ts";

const tokenPath = "/api/v1/namespaces/istio-system/serviceaccounts/weft-agent/token";

describe("the token of a node's agent", () => {
  const owned: (() => unknown)[] = [];
  let root: string;
  let file: string;
  let clock: ManualClock;
  let specs: unknown[];
  let away: boolean;
  let client: Client;

  const tokenOf = (number: number): string => {
    const claims = { exp: clock.now() / 1000 + 3600, number };
    return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  };
  const held = (): number =>
    (JSON.parse(Buffer.from(readFileSync(file, "utf8").split(".")[1]!, "base64url").toString()) as { number: number })
      .number;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "weft-token-"));
    file = join(root, "run", "node.token");
    clock = new ManualClock();
    [specs, away] = [[], false];
    const server = createServer((request, response) => {
      void (async () => {
        response.setHeader("content-type", "application/json");
        if (away) return response.writeHead(503).end("{}");
        if (request.method === "GET") return response.end(JSON.stringify({ metadata: { name: "node-1", uid: "u-1" } }));
        if (request.url !== tokenPath) return response.writeHead(404).end("{}");
        specs.push(((await json(request)) as { spec: unknown }).spec);
        return response.end(JSON.stringify({ status: { token: tokenOf(specs.length) } }));
      })();
    });
    server.listen(join(root, "api.sock"));
    await once(server, "listening");
    const connection = new Connection({ url: `unix://${join(root, "api.sock")}` }, { clock: systemClock });
    client = new Client(connection);
    owned.push(
      () => rmSync(root, { recursive: true, force: true }),
      () => server.close(),
      () => connection[Symbol.dispose](),
    );
  });

  afterEach(() => {
    for (const end of owned.splice(0).toReversed()) end();
  });

  const begin = (): void => {
    const end = new AbortController();
    owned.push(() => end.abort());
    void new NodeToken({ node: "node-1", file, client, clock, logger }).run(end.signal);
  };
  const patience = { timeout: 60_000 };

  it("is asked for, bound to the Node, and kept for the owner alone", async () => {
    begin();
    await expect.poll(held, patience).toBe(1);
    expect(specs).toEqual([
      {
        audiences: ["istio-ca"],
        expirationSeconds: 3600,
        boundObjectRef: { apiVersion: "v1", kind: "Node", name: "node-1", uid: "u-1" },
      },
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("is replaced in time", async () => {
    begin();
    await expect.poll(held, patience).toBe(1);
    clock.advance(35 * 60_000);
    clock.advance(2 * 60_000);
    await expect.poll(held, patience).toBe(2);
    expect(specs).toHaveLength(2);
  });

  it("stays while the API is away, and is replaced when it is back", async () => {
    begin();
    await expect.poll(held, patience).toBe(1);
    away = true;
    begin();
    clock.advance(37 * 60_000);
    expect(held()).toBe(1);
    away = false;
    await expect
      .poll(() => {
        clock.advance(10_000);
        return held();
      }, patience)
      .toBeGreaterThan(1);
  });
});
