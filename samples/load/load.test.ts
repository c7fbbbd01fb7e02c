import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { LoadGenerator } from "./generator.ts";
import type { LoadTarget, Result } from "./generator.ts";
import { Latencies } from "./latencies.ts";
import type { LoadReport } from "./report.ts";

interface Listening extends AsyncDisposable {
  readonly url: string;
  readonly connections: () => number;
}

async function listen(answer: RequestListener): Promise<Listening> {
  let connections = 0;
  const server = createServer(answer).on("connection", () => (connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, connections: () => connections, [Symbol.asyncDispose]: close };
}

/** Runs a load for some time; every result and how many were skipped. */
async function run(
  target: Pick<LoadTarget, "url"> & Partial<LoadTarget>,
  ms: number,
): Promise<{ results: Result[]; skipped: number }> {
  const results: Result[] = [];
  let skipped = 0;
  const generator = new LoadGenerator(target, {
    bodies: true,
    done: (one) => results.push(one),
    skipped: () => (skipped += 1),
  });
  await generator.run(AbortSignal.timeout(ms));
  return { results, skipped };
}

test("the rate is kept, over few connections, and bodies and headers come through", async () => {
  await using server = await listen((request, response) => response.end(`for ${String(request.headers["end-user"])}`));
  const { results } = await run({ url: server.url, rps: 200, headers: { "end-user": "ada" } }, 1000);
  expect(results.length).toBeGreaterThan(100);
  expect(results.length).toBeLessThanOrEqual(205);
  expect(new Set(results.map(({ outcome }) => (outcome.kind === "response" ? outcome.body : outcome.kind)))).toEqual(
    new Set(["for ada"]),
  );
  expect(server.connections()).toBeLessThan(results.length / 2);
});

test("the loop is open: a slow server does not slow the load down, and beyond the bound requests are skipped", async () => {
  await using server = await listen((_, response) => void setTimeout(() => response.end(), 300));
  const wide = await run({ url: server.url, rps: 100, concurrency: 100 }, 500);
  expect(wide.results.length).toBeGreaterThan(40);
  expect(wide.skipped).toBe(0);
  const narrow = await run({ url: server.url, rps: 100, concurrency: 5 }, 500);
  expect(narrow.results.length).toBeLessThanOrEqual(10);
  expect(narrow.skipped).toBeGreaterThan(30);
});

/** Sends one request; its status, or the kind of its failure. */
const kinds = async (url: string): Promise<readonly unknown[]> => {
  const results: Result[] = [];
  await new LoadGenerator({ url, timeoutMs: 1_000 }, { done: (one) => results.push(one) }).once();
  return results.map(({ outcome }) => (outcome.kind === "response" ? outcome.status : outcome.kind));
};

test("failures are told by kind, and each request is sent once", async () => {
  let seen = 0;
  await using server = await listen((request, response) => {
    seen += 1;
    if (request.url === "/reset") request.socket.resetAndDestroy();
    else if (request.url === "/cut") response.write("half", () => request.socket.destroy());
    else if (request.url === "/500") response.writeHead(500).end();
  });
  expect(await kinds(`${server.url}reset`)).toEqual(["reset"]);
  expect(await kinds(`${server.url}cut`)).toEqual(["reset"]);
  expect(await kinds(`${server.url}500`)).toEqual([500]);
  expect(await kinds(`${server.url}never`)).toEqual(["timeout"]);
  expect(await kinds("http://127.0.0.1:1/")).toEqual(["refused"]);
  expect(seen).toBe(4);
});

test.each([
  [{ url: "http://192.0.2.1/" }, /loopback/],
  [{ url: "https://127.0.0.1/" }, /loopback/],
  [{ url: "http://127.0.0.1.example/" }, /loopback/],
  [{ url: "x" }, /not a URL/],
  [{ url: "http://[::1]/", rps: 20_000 }, /rps must be from 0 to 10000/],
  [{ url: "http://localhost/", concurrency: Number.NaN }, /concurrency/],
])("refused: %j", (target, message) => {
  expect(() => new LoadGenerator(target, { done: () => undefined })).toThrow(message);
});

test("percentiles are right within two percent", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.1, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 300 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (values, share) => {
        const latencies = new Latencies();
        for (const value of values) latencies.add(value);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
        expect(latencies.percentile(share)).toBeGreaterThanOrEqual(exact * 0.9999);
        expect(latencies.percentile(share)).toBeLessThanOrEqual(exact * 1.0201);
      },
    ),
  );
});

test("the program reports each second, takes changes, and ends when told", async () => {
  let failing = false;
  await using server = await listen((_, response) => void response.writeHead(failing ? 503 : 200).end());
  const program = spawn(process.execPath, [join(import.meta.dirname, "load.ts"), "--url", server.url, "--rps", "50"]);
  try {
    const reports: LoadReport[] = [];
    createInterface({ input: program.stdout }).on("line", (line) => reports.push(JSON.parse(line) as LoadReport));
    let complaints = "";
    program.stderr.on("data", (data: Buffer) => (complaints += data.toString()));
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(0), { timeout: 10_000 });
    expect(reports[0]).toMatchObject({ target: 50, errors: 0 });
    expect(reports[0]?.perSecond).toBeGreaterThan(10);
    failing = true;
    program.stdin.write('{"rps": 100}\n{"rps": -1}\n{"speed": 1}\nnonsense\n');
    await vi.waitFor(() => expect(reports.at(-1)?.errorsPerSecond).toBeGreaterThan(60), { timeout: 10_000 });
    expect(reports.at(-1)?.target).toBe(100);
    expect(complaints).toMatch(/rps must be from 0.*\n.*there is no "speed".*\n.*JSON/);
    program.kill("SIGTERM");
    const [code] = (await once(program, "exit")) as [number];
    expect(code).toBe(0);
    const last = reports.at(-1);
    expect((last?.outcomes["200"] ?? 0) + (last?.outcomes["503"] ?? 0)).toBe(last?.requests);
  } finally {
    program.kill("SIGKILL");
  }
});

test("the program ends when nobody reads it any more, and says what is wrong with its flags", async () => {
  await using server = await listen((_, response) => response.end());
  const program = spawn(process.execPath, [join(import.meta.dirname, "load.ts"), "--url", server.url]);
  program.stdout.destroy();
  await once(program, "exit");
  const wrong = spawn(process.execPath, [join(import.meta.dirname, "load.ts"), "--url", server.url, "--rps", "many"]);
  const [[code], complaint] = await Promise.all([once(wrong, "exit"), wrong.stderr.toArray()]);
  expect(code).toBe(2);
  expect(Buffer.concat(complaint as Buffer[]).toString()).toBe('load: --rps: "many" is not a number\n');
});
