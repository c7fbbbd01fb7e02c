/** What users have switched on works for workloads with the profile `performance`, whose sidecars have fewer filters. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { World } from "./world.ts";

let world: World;

const istio = [
  `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: greeter }
spec:
  hosts: [greeter]
  http:
    - match: [{ uri: { prefix: /fault } }]
      fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
      route: [{ destination: { host: greeter } }]
    - corsPolicy: { allowOrigins: [{ exact: "https://page.example.com" }], allowMethods: [PUT] }
      route: [{ destination: { host: greeter } }]`,
  `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: greeter }
spec:
  selector: { matchLabels: { app: greeter } }
  action: DENY
  rules: [{ to: [{ operation: { paths: [/secret] } }] }]`,
];

beforeAll(async () => {
  world = await World.start("pf", {
    mesh: { profile: "performance" },
    proxies: [
      { name: "caller", labels: { app: "caller" }, identity: "caller" },
      { name: "server", labels: { app: "greeter" }, serves: true, identity: "server" },
    ],
    services: [{ name: "greeter", servedBy: ["server"] }],
    istio,
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

const send = (path: string, call?: Parameters<ReturnType<World["caller"]>["send"]>[1]) =>
  world.caller("caller").send(`http://greeter:9080${path}`, call);

test("a workload is called by mutual TLS and knows its caller", async () => {
  const { status, seen } = await send("/");
  expect(status).toBe(200);
  expect(seen?.headers["x-forwarded-client-cert"]).toContain("/sa/caller");
  expect(world.refused).toEqual([]);
});

test("a fault of a route", async () => {
  expect((await send("/fault")).status).toBe(418);
});

test("a preflight is answered where the route says", async () => {
  const headers = { origin: "https://page.example.com", "access-control-request-method": "PUT" };
  const answer = await send("/", { method: "OPTIONS", headers });
  expect(answer.seen).toBeUndefined();
  expect(answer.headers).toMatchObject({
    "access-control-allow-origin": "https://page.example.com",
    "access-control-allow-methods": "PUT",
  });
});

test("a policy of the workload that is called", async () => {
  expect((await send("/secret")).status).toBe(403);
});
