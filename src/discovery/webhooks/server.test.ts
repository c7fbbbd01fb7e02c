import { request } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { WebhookServer } from "./server.ts";

interface Answer {
  readonly status: number;
  readonly body: string;
}

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
      logger: silentLogger,
    });
    port = "port" in server.address ? server.address.port : 0;
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (method: string, path: string, body: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
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
});
