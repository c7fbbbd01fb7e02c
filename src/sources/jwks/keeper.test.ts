import { generateKeyPairSync } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import { createModel, type Model } from "#model/model.ts";
import { putYaml } from "#model/testing/objects.ts";
import { fetchText } from "./fetch.ts";
import { JwksKeeper, type JwksKeeperOptions } from "./keeper.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

function keySet(): string {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
  return JSON.stringify({ keys: [key] });
}

const stack: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const each of stack.splice(0)) await each.disposeAsync();
});

/** A server of keys, whose answers a test may change, and what asked it. */
async function issuer(first: Answer) {
  const state = { answer: first, asked: [] as string[] };
  const server: Server = createServer((request, response) => {
    state.asked.push(request.url ?? "");
    state.answer(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const own = new AsyncDisposableStack();
  own.defer(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  stack.push(own);
  return Object.assign(state, { url: `http://127.0.0.1:${port}` });
}

const says =
  (text: string, status = 200): Answer =>
  (_request, response) =>
    void response.writeHead(status).end(text);

/** A model that wants keys, and the keeper that fetches them. */
function keeping(
  rules: string,
  more: Pick<JwksKeeperOptions, "keepMs"> = {},
): { readonly model: Model; readonly row: (key: string) => unknown } {
  const engine = new Engine();
  const model = createModel(engine);
  want(model, rules);
  const own = new AsyncDisposableStack();
  const stopped = new AbortController();
  const retryMs = { first: 10, longest: 20 };
  const keeper = own.use(
    new JwksKeeper({ engine, model, clock: systemClock, logger: silentLogger, refreshMs: 10, retryMs, ...more }),
  );
  const running = keeper.run(stopped.signal);
  own.defer(async () => {
    stopped.abort();
    await running;
  });
  stack.push(own);
  return { model, row: (key) => model.tables.jwks.get(key) };
}

function want(model: Model, rules: string): void {
  putYaml(
    model,
    `{ kind: RequestAuthentication, metadata: { namespace: shop, name: a }, spec: { jwtRules: [${rules}] } }`,
  );
}

/** When keys that cannot be fetched are forgotten. */
const until = expect.stringMatching(/^\d{4}-.*Z$/) as string;
const patient = { timeout: 60_000, interval: 10 };

describe("keys of tokens", () => {
  test("are fetched, refreshed, and forgotten when nobody wants them", async () => {
    const [first, second] = [keySet(), keySet()];
    const server = await issuer(says(first));
    const key = `uri ${server.url}/keys`;
    const { model, row } = keeping(`{ issuer: a, jwksUri: "${server.url}/keys" }`);
    await expect.poll(() => row(key), patient).toEqual({ keys: first });
    server.answer = says(second);
    await expect.poll(() => row(key), patient).toEqual({ keys: second });
    want(model, "");
    await expect.poll(() => row(key), patient).toBeUndefined();
  });

  test("are public ones alone: a secret that an issuer publishes reaches no proxy", async () => {
    const secret = { kty: "oct", alg: "HS256", k: Buffer.from("do not tell").toString("base64url") };
    const set = keySet();
    const { keys } = JSON.parse(set) as { readonly keys: readonly object[] };
    const server = await issuer(says(JSON.stringify({ keys: [secret, ...keys] })));
    const key = `uri ${server.url}/keys`;
    const { row } = keeping(`{ issuer: a, jwksUri: "${server.url}/keys" }`);
    await expect.poll(() => row(key), patient).toEqual({ keys: set });
    const only = await issuer(says(JSON.stringify({ keys: [secret] })));
    const other = keeping(`{ issuer: a, jwksUri: "${only.url}/keys" }`);
    await expect
      .poll(() => other.row(`uri ${only.url}/keys`), patient)
      .toMatchObject({
        problem: "the answer holds no public key that can verify a token",
      });
  });

  test("are found by the issuer's OpenID configuration", async () => {
    const keys = keySet();
    const server = await issuer((request, response) =>
      response.end(
        request.url === "/keys" ? keys : JSON.stringify({ jwks_uri: `http://${request.headers.host}/keys` }),
      ),
    );
    const { row } = keeping(`{ issuer: "${server.url}/" }`);
    await expect.poll(() => row(`issuer ${server.url}/`), patient).toEqual({ keys });
    expect(server.asked.slice(0, 2)).toEqual(["/.well-known/openid-configuration", "/keys"]);
  });

  test.each([
    ["an error", says("down", 503), /answers 503/],
    ["garbage", says("<html>"), /no public key that can verify/],
    ["no keys", says('{"keys":[]}'), /no public key that can verify/],
    ["too much", says("x".repeat(1024 * 1024 + 1)), /more than 1048576 bytes/],
    ["a connection that breaks", (request: IncomingMessage) => request.socket.destroy(), /socket hang up|ECONNRESET/],
    ["nothing in time", () => undefined, /no whole answer after 100 ms/],
    [
      "a drop at a time",
      (_request: IncomingMessage, response: ServerResponse) => void response.write("{"),
      /no whole answer after 100 ms/,
    ],
    [
      "redirects without end",
      (_request: IncomingMessage, response: ServerResponse) =>
        void response.writeHead(302, { location: "/keys" }).end(),
      /redirects more than 3 times/,
    ],
    [
      "a redirect to a file",
      (_request: IncomingMessage, response: ServerResponse) =>
        void response.writeHead(302, { location: "file:///etc/passwd" }).end(),
      /is not followed/,
    ],
    [
      "a redirect to a machine's secrets",
      (_request: IncomingMessage, response: ServerResponse) =>
        void response.writeHead(302, { location: "http://169.254.169.254/" }).end(),
      /169\.254\.169\.254 is not called/,
    ],
  ] satisfies readonly (readonly [string, Answer, RegExp])[])(
    "of an endpoint that gives %s: the last good ones go on, and others are not touched",
    async (_title, bad, problem) => {
      const [keys, others] = [keySet(), keySet()];
      const server = await issuer(bad);
      const other = await issuer(says(others));
      const rule = `{ issuer: a, jwksUri: "${server.url}/keys", timeout: 100ms }`;
      const { row } = keeping(`${rule}, { issuer: b, jwksUri: "${other.url}/keys" }`);
      const key = `uri ${server.url}/keys`;
      const wrong = expect.stringMatching(problem) as string;
      await expect.poll(() => row(key), patient).toEqual({ problem: wrong });
      server.answer = says(keys);
      await expect.poll(() => row(key), patient).toEqual({ keys });
      server.answer = bad;
      await expect.poll(() => row(key), patient).toEqual({ keys, problem: wrong, until });
      expect(row(`uri ${other.url}/keys`)).toEqual({ keys: others });
    },
  );

  test("that could not be fetched for too long are forgotten, and come back with their issuer", async () => {
    const keys = keySet();
    const server = await issuer(says(keys));
    const key = `uri ${server.url}/keys`;
    const { row } = keeping(`{ issuer: a, jwksUri: "${server.url}/keys" }`, { keepMs: 1000 });
    const problem = expect.stringMatching(/answers 503/) as string;
    await expect.poll(() => row(key), patient).toEqual({ keys });
    server.answer = says("down", 503);
    await expect.poll(() => row(key), patient).toEqual({ keys, problem, until });
    await expect.poll(() => row(key), patient).toEqual({ problem });
    server.answer = says(keys);
    await expect.poll(() => row(key), patient).toEqual({ keys });
  });

  test("of an issuer that is no URL", async () => {
    const { row } = keeping("{ issuer: somebody }");
    const problem = expect.stringMatching(/somebody is no URL.*jwksUri/) as string;
    await expect.poll(() => row("issuer somebody"), patient).toEqual({ problem });
  });
});

describe("what is fetched", () => {
  const limits = { timeoutMs: 5000, mostBytes: 100, mostRedirects: 1 };
  const get = (url: string): Promise<string> => fetchText(url, limits, systemClock, new AbortController().signal);

  test.each([
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/",
    "http://100.100.100.200/",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
  ])("is never what a machine keeps at %s", async (url) => {
    await expect(get(url)).rejects.toThrow(/is not called/);
  });

  test("may be elsewhere by a redirect", async () => {
    const server = await issuer((request, response) =>
      request.url === "/there" ? response.end("text") : response.writeHead(307, { location: "/there" }).end(),
    );
    expect(await get(`${server.url}/here`)).toBe("text");
  });
});
