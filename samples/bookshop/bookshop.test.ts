import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Agent, get } from "node:http";
import type { IncomingMessage } from "node:http";
import { createServer, connect } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { PageAnswer } from "./messages.ts";
import { countMethod } from "./stock-api.ts";

interface Program {
  readonly process: ChildProcess;
  readonly logs: Record<string, unknown>[];
}

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map(async (server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(async (server) => once(server.close(), "close")));
  return ports;
}

/** Starts a service and waits until it serves. */
async function start(service: string, port: number, env: Record<string, string> = {}): Promise<Program> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${service}.ts`)], {
    env: {
      PATH: process.env["PATH"],
      PORT: String(port),
      DRAIN_MS: "100",
      POD_NAME: `${service}-pod`,
      CLUSTER: "east",
      ...env,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  running.push(child);
  const logs: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => logs.push(JSON.parse(line) as Record<string, unknown>));
  await vi.waitFor(() => expect(logs.some(({ message }) => message === "serving")).toBe(true), { timeout: 15_000 });
  return { process: child, logs };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

async function ask(url: string, headers: Record<string, string> = {}, agent?: Agent): Promise<Answer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers, ...(agent === undefined ? {} : { agent }) }, resolve).on("error", reject);
  });
  let text = "";
  for await (const part of response.setEncoding("utf8") as AsyncIterable<string>) text += part;
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

async function stop({ process: child }: Program): Promise<number | null> {
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number | null];
  return code;
}

interface Shop {
  readonly url: string;
  readonly programs: Record<"page" | "details" | "reviews" | "ratings" | "stock" | "ticker", Program>;
}

const at = (port: number): string => `http://127.0.0.1:${port}`;

async function openShop(reviewsVersion: string): Promise<Shop> {
  const [page = 0, details = 0, reviews = 0, ratings = 0, stock = 0, ticker = 0, stockHealth = 0, tickerHealth = 0] =
    await freePorts(8);
  const [pageProgram, detailsProgram, reviewsProgram, ratingsProgram, stockProgram, tickerProgram] = await Promise.all([
    start("page", page, {
      DETAILS_URL: at(details),
      REVIEWS_URL: at(reviews),
      STOCK_ADDRESS: `127.0.0.1:${stock}`,
      TICKER_ADDRESS: `127.0.0.1:${ticker}`,
    }),
    start("details", details),
    start("reviews", reviews, { VERSION: reviewsVersion, RATINGS_URL: at(ratings), CLUSTER: "west" }),
    start("ratings", ratings, { CLUSTER: "west" }),
    start("stock", stock, { HEALTH_PORT: String(stockHealth), CLUSTER: "west" }),
    start("ticker", ticker, { HEALTH_PORT: String(tickerHealth), CLUSTER: "west" }),
  ]);
  const programs = {
    page: pageProgram,
    details: detailsProgram,
    reviews: reviewsProgram,
    ratings: ratingsProgram,
    stock: stockProgram,
    ticker: tickerProgram,
  };
  return { url: at(page), programs };
}

describe("the shop", () => {
  test("answers each part with who answered it, and passes on who visits and which request it is", async () => {
    const { url, programs } = await openShop("v3");
    const headers = { "x-request-id": "r-1", traceparent: "00-1-2-01", "end-user": "ada" };
    const { status, text } = await ask(`${url}/api/page?book=emma`, headers);
    expect(status).toBe(200);
    const answer = JSON.parse(text) as PageAnswer;
    expect(answer).toMatchObject({
      page: { service: "page", version: "v1", pod: "page-pod", cluster: "east" },
      user: "ada",
      book: "emma",
      details: { version: "v1", book: { title: "Emma" }, status: 200 },
      reviews: {
        version: "v3",
        pod: "reviews-pod",
        cluster: "west",
        colour: "red",
        reviews: [{ stars: 5 }, { stars: 4 }],
        status: 200,
      },
      ratings: { version: "v1", pod: "ratings-pod", status: 200 },
      stock: { copies: 5, version: "v1", pod: "stock-pod", cluster: "west", status: 200 },
      ticker: { visits: 1, book: "emma", pod: "ticker-pod", status: 200 },
    });
    for (const { logs } of [programs.details, programs.reviews, programs.ratings, programs.stock])
      await vi.waitFor(() => expect(logs.find(({ message }) => message === "request")?.["requestId"]).toBe("r-1"));

    const html = await ask(`${url}/`, { "end-user": "<script>alert(1)</script>" });
    expect(html.headers["content-type"]).toMatch(/^text\/html/);
    expect(html.text).toContain("Silas Marner");
    expect(html.text).toContain('class="stars red"');
    expect(html.text).not.toContain("<script>alert");
  });

  test("stays up without its parts, and says of each why it is missing", async () => {
    const { url, programs } = await openShop("v2");
    expect(await stop(programs.ratings)).toBe(0);
    const withoutStars = JSON.parse((await ask(`${url}/api/page`)).text) as PageAnswer;
    expect(withoutStars.reviews).toMatchObject({ version: "v2", colour: "black", status: 200 });
    expect(withoutStars.ratings).toMatchObject({
      error: expect.stringContaining("ECONNREFUSED") as string,
      status: null,
    });

    await Promise.all([programs.reviews, programs.stock, programs.ticker, programs.details].map(stop));
    const { status, text } = await ask(`${url}/api/page`);
    expect(status).toBe(200);
    const bare = JSON.parse(text) as PageAnswer;
    expect(bare.ratings).toBeNull();
    expect(bare.stock).toMatchObject({ error: expect.any(String) as string, status: 503 });
    for (const part of [bare.details, bare.reviews, bare.ticker])
      expect(part).toMatchObject({ error: expect.any(String) as string, status: null });
    expect((await ask(`${url}/`)).status).toBe(200);

    const unknown = JSON.parse((await ask(`${url}/api/page?book=none`)).text) as PageAnswer;
    expect(unknown.page.service).toBe("page");
    expect((await ask(`${url}/elsewhere`)).status).toBe(404);
  });

  test("a part that answers an error is told with its status", async () => {
    const [details = 0, reviews = 0] = await freePorts(2);
    await Promise.all([start("details", details), start("reviews", reviews)]);
    expect(await ask(`http://127.0.0.1:${details}/details/none`)).toMatchObject({ status: 404 });
    expect(JSON.parse((await ask(`http://127.0.0.1:${reviews}/reviews/emma`)).text)).not.toHaveProperty("colour");
  });
});

test("a service that is asked to end is not ready any more, ends its connections between requests, and loses none", async () => {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const program = await start("details", port, { DRAIN_MS: "600" });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  expect((await ask(`${url}/health`, {}, agent)).status).toBe(200);
  expect((await ask(`${url}/details/emma`, {}, agent)).headers.connection).not.toBe("close");
  const ended = stop(program);
  await vi.waitFor(() => expect(program.logs.at(-1)?.["message"]).toBe("stopping"));
  expect((await ask(`${url}/health`)).status).toBe(503);
  const last = await ask(`${url}/details/emma`, {}, agent);
  expect(last).toMatchObject({ status: 200, headers: { connection: "close" } });
  expect(await ended).toBe(0);
  await expect(ask(`${url}/health`)).rejects.toThrow(/ECONNREFUSED/);
});

test("the ticker counts lines, and says what is wrong with others", async () => {
  const [port = 0, health = 0] = await freePorts(2);
  const program = await start("ticker", port, { HEALTH_PORT: String(health) });
  const socket = connect(port, "127.0.0.1");
  const lines: Record<string, unknown>[] = [];
  createInterface({ input: socket }).on("line", (line) => lines.push(JSON.parse(line) as Record<string, unknown>));
  socket.write("visit emma\nvisit emma\nnonsense\n");
  await vi.waitFor(() => expect(lines).toHaveLength(3));
  expect(lines).toMatchObject([
    { visits: 1 },
    { visits: 2 },
    { error: expect.stringContaining("visit BOOK") as string },
  ]);
  expect((await ask(`http://127.0.0.1:${health}/health`)).status).toBe(200);
  expect(await stop(program)).toBe(0);
});

test("messages of the stock service are protobuf as its .proto says", () => {
  // Field 1 is a varint, fields 2 to 4 are texts: what `protoc --encode` writes.
  const bytes = Buffer.from("0807120276311a0173220465617374", "hex");
  const reply = { copies: 7, version: "v1", pod: "s", cluster: "east" };
  expect(countMethod.responseSerialize(reply)).toEqual(bytes);
  expect(countMethod.responseDeserialize(bytes)).toEqual(reply);
  // A later version may have more fields.
  expect(countMethod.responseDeserialize(Buffer.concat([bytes, Buffer.from("2a0178", "hex")]))).toEqual(reply);
  expect(countMethod.requestDeserialize(countMethod.requestSerialize({ book: "emma" }))).toEqual({ book: "emma" });
});
