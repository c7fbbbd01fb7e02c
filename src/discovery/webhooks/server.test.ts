import { request } from "node:https";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { WebhookServer } from "./server.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
}

const mebi = 1024 * 1024;

describe("webhooks", () => {
  const authority = createAuthority("mesh");
  const { certificate, key } = authority.issue("istiod.istio-system.svc");
  const asked: string[] = [];
  let server: WebhookServer;
  let port: number;

  beforeAll(async () => {
    server = await WebhookServer.listen({
      address: { host: "127.0.0.1", port: 0, tls: true },
      credentials: {
        current: { certificate, key, roots: [] },
        onChange: () => ({ [Symbol.dispose]: () => undefined }),
      },
      inject: ({ uid }, path) => {
        asked.push(path);
        return { uid, allowed: true };
      },
      validate: ({ uid }) => ({ uid, allowed: false, status: { message: "wrong", code: 400, reason: "BadRequest" } }),
      clock: systemClock,
      logger: silentLogger,
      limits: { gate: { connections: 10 }, questions: { one: 8 * mebi, all: 12 * mebi } },
    });
    port = "port" in server.address ? server.address.port : 0;
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (method: string, path: string, body: string, localAddress = "127.0.0.1"): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        localAddress,
        port,
        method,
        path,
        ca: authority.certificate,
        servername: "istiod.istio-system.svc",
      };
      const call = request({ ...options, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.once("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      });
      call.once("error", reject);
      call.end(body);
    });
  const review = JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: { uid: "u1" } });

  test("answer AdmissionReviews with AdmissionReviews, by their paths", async () => {
    const injected = await send("POST", "/inject/cluster/east?timeout=10s", review);
    expect(injected.status).toBe(200);
    expect(JSON.parse(injected.body)).toEqual({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "u1", allowed: true },
    });
    expect(asked).toEqual(["/inject/cluster/east"]);
    const checked = await send("POST", "/validate", review);
    expect(JSON.parse(checked.body)).toMatchObject({ response: { allowed: false, status: { message: "wrong" } } });
  });

  test.each([
    ["GET", "/inject", "", 404],
    ["POST", "/other", review, 404],
    ["POST", "/inject", "{}", 400],
    ["POST", "/inject", "no JSON", 400],
    ["POST", "/inject", "x".repeat(9 * 1024 * 1024), 413],
  ])("%s %s is refused where it is no question", async (method, path, body, status) => {
    const answer = await send(method, path, body).catch((error: unknown) => String(error));
    // A client that still writes may see the connection's end before the answer.
    expect(typeof answer === "string" ? 413 : answer.status).toBe(status);
  });

  test("hold so many bytes of what arrives, and those of others than who sends them", async () => {
    const options = { host: "127.0.0.1", port, method: "POST", path: "/inject", agent: false } as const;
    const slow = request({ ...options, ca: authority.certificate, servername: "istiod.istio-system.svc" });
    slow.on("error", () => undefined).setHeader("content-length", 8 * mebi);
    await new Promise((resolve) => {
      slow.write("x".repeat(7 * mebi), resolve);
    });
    const large = JSON.stringify({ ...JSON.parse(review), padding: "x".repeat(4 * mebi) });
    const asks = async (from: string): Promise<number> => {
      const answer = await send("POST", "/inject", large, from).catch(() => ({ status: 503 }));
      return answer.status;
    };
    await expect.poll(() => asks("127.0.0.1"), { timeout: 60_000 }).toBe(503);
    expect(await asks("127.0.0.2")).toBe(200);
    slow.destroy();
    await expect.poll(() => asks("127.0.0.1"), { timeout: 60_000 }).toBe(200);
  });

  test("answer others while one address opens connections without end", async () => {
    const strangers = Array.from({ length: 20 }, () => connect({ host: "127.0.0.1", port, localAddress: "127.0.0.3" }));
    for (const each of strangers) each.on("error", () => undefined).resume();
    await expect.poll(() => strangers.filter(({ closed }) => closed).length, { timeout: 60_000 }).toBe(11);
    expect((await send("POST", "/inject", review, "127.0.0.2")).status).toBe(200);
    for (const each of strangers) each.destroy();
  });
});
