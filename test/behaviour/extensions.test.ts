/**
 * Modules and scripts that filter what proxies handle. Names of groups are headings and fields of Istio's references
 * "Wasm Plugin" and "Traffic Extension".
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Result } from "./caller.ts";
import { headerModule } from "./wasm-module.ts";
import { World } from "./world.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-modules-"));
const path = join(folder, "header.wasm");

function plugin(name: string, spec: string): string {
  return `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: ${name} }
spec: ${spec}`;
}

function script(name: string, place: string): string {
  const code = `function envoy_on_request(handle) handle:headers():add('x-order', '${name}') end`;
  return `
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: { name: ${name} }
spec: { ${place}, lua: { inlineCode: "${code}" } }`;
}

const { privateKey, publicKey } = await generateKeyPair("ES256");
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "a", alg: "ES256" }] });
const token = await new SignJWT({ iss: "issuer.example", sub: "alice" })
  .setProtectedHeader({ alg: "ES256", kid: "a" })
  .sign(privateKey);

/** Proxies that policies and a script of each phase are for: what comes in to a workload, and what a gateway passes on. */
const guarded = ["guarded-server", "guarded-edge"] as const;
type Guarded = (typeof guarded)[number];

/**
 * Tells where it stands and what it sees of the authorizer's word and of the caller's token. For a request for its own path
 * it puts in a token that is none, and a header that a policy forbids.
 */
function witness(name: string, place: string): string {
  const code = [
    "function envoy_on_request(handle)",
    "local h = handle:headers()",
    `local seen = '${name}'`,
    "if h:get('x-user') then seen = seen .. '+user' end",
    "if h:get('authorization') then seen = seen .. '+token' end",
    "h:add('x-steps', seen)",
    `if h:get(':path') == '/${name}' then h:replace('authorization', 'Bearer none') h:replace('x-shut', 'yes') end`,
    "end",
  ].join("\n");
  return `
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: { name: witness-${name} }
spec: { selector: { matchLabels: { guarded: all } }, match: [{ mode: SERVER }, { mode: CLIENT, ports: [{ number: 8099 }] }], ${place} lua: { inlineCode: ${JSON.stringify(code)} } }`;
}

function policy(name: string, spec: string): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name} }
spec: { selector: { matchLabels: { guarded: all } }, ${spec} }`;
}

const among: readonly string[] = [
  `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec: { selector: { app: edge }, servers: [{ port: { number: 8099, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge }
spec: { hosts: ["*"], gateways: [edge], http: [{ route: [{ destination: { host: page, port: { number: 9080 } } }] }] }`,
  `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users }
spec: { selector: { matchLabels: { guarded: all } }, jwtRules: [{ issuer: issuer.example, jwks: '${keys}' }] }`,
  policy("asked", "action: CUSTOM, provider: { name: guard }, rules: [{ to: [{ operation: { paths: [/asked] } }] }]"),
  policy("shut", "action: DENY, rules: [{ when: [{ key: 'request.headers[x-shut]', values: ['yes'] }] }]"),
  // Written in the opposite of the order in which requests pass them.
  witness("unset", ""),
  witness("stats", "phase: STATS,"),
  witness("authz", "phase: AUTHZ,"),
  witness("authn", "phase: AUTHN,"),
];

let world: World;

beforeAll(async () => {
  chmodSync(folder, 0o755);
  writeFileSync(path, headerModule("x-wasm", "on"), { mode: 0o644 });
  world = await World.start("ext", {
    mesh: {
      extensionProviders: [
        {
          name: "guard",
          envoyExtAuthzHttp: {
            service: "guard.shop.svc.cluster.local",
            port: 9080,
            includeRequestHeadersInCheck: ["x-steps"],
            headersToUpstreamOnAllow: ["x-user"],
          },
        },
      ],
    },
    proxies: [
      { name: "guarded-server", labels: { guarded: "all" }, serves: true },
      { name: "guarded-edge", type: "router", labels: { guarded: "all", app: "edge" } },
      { name: "caller", labels: { app: "caller" } },
      { name: "server", labels: { app: "server" }, serves: true },
    ],
    services: [
      { name: "page" },
      { name: "guard" },
      { name: "guarded-server", servedBy: ["guarded-server"] },
      { name: "guarded-edge", servedBy: ["guarded-edge"], ports: [{ name: "http", port: 8099, to: "http" }] },
      { name: "server", servedBy: ["server"] },
      { name: "ported", ports: [{ name: "http", port: 9085, to: "http" }] },
      {
        name: "guarded",
        ports: [
          { name: "http", port: 9086, to: "http" },
          { name: "http-open", port: 9087, to: "http" },
        ],
      },
      { name: "tcp", ports: [{ name: "tcp", port: 9090, to: "tcp" }] },
    ],
    istio: [
      ...among,
      plugin(
        "served",
        `{ url: "file://${path}", selector: { matchLabels: { app: server } }, match: [{ mode: SERVER }] }`,
      ),
      plugin("ported", `{ url: "file://${path}", match: [{ mode: CLIENT, ports: [{ number: 9085 }] }], phase: AUTHZ }`),
      plugin("bytes", `{ url: "file://${path}", type: NETWORK, match: [{ mode: CLIENT, ports: [{ number: 9090 }] }] }`),
      plugin(
        "fetched",
        '{ url: "https://modules.example.com/a.wasm", imagePullSecret: key, match: [{ mode: CLIENT, ports: [{ number: 9086 }] }] }',
      ),
      plugin(
        "missed",
        '{ url: "oci://modules.example.com/a", failStrategy: FAIL_OPEN, match: [{ mode: CLIENT, ports: [{ number: 9087 }] }] }',
      ),
      script("last", "match: [{ mode: CLIENT }]"),
      script("urgent", "match: [{ mode: CLIENT }], priority: 7"),
      script("early", "match: [{ mode: CLIENT }], phase: AUTHN"),
      script("stats", "match: [{ mode: CLIENT }], phase: STATS, priority: -1"),
      script("plain-stats", "match: [{ mode: CLIENT }], phase: STATS"),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function header(name: string, url: string): Promise<string | undefined> {
  const { seen, status, text } = await world.caller("caller").send(`http://${url}`);
  if (!seen) throw new Error(`no backend answered: ${status} ${text}`);
  return seen.headers[name];
}

describe("WasmPlugin", () => {
  test("selector and match: mode SERVER is what comes in", async () => {
    expect(await header("x-wasm", "server:9080/")).toBe("on");
    expect(await header("x-wasm", "page:9080/")).toBeUndefined();
  });

  test("match: mode CLIENT is what goes out, here to one port", async () => {
    expect(await header("x-wasm", "ported:9085/")).toBe("on");
  });

  test("type NETWORK filters bytes, which go on", async () => {
    const socket = await world.caller("caller").connect("tcp", 9090);
    const [chunk] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    expect(String(chunk)).toMatch(/^tcp-v1-/);
    const listeners = await world.envoy("caller").admin("GET", "/config_dump?resource=dynamic_listeners");
    expect(listeners.match(/filters\.network\.wasm\.v3\.Wasm/g)).toHaveLength(1);
  });

  test("modules that would have to be fetched are findings", () => {
    expect(world.findings("WasmPlugin", "fetched")).toEqual([
      "NotImplemented spec.url",
      "NotImplemented spec.imagePullSecret",
    ]);
    expect(world.findings("WasmPlugin", "served")).toEqual([]);
  });

  test("failStrategy says whether traffic goes on without such a module", async () => {
    expect((await world.caller("caller").send("http://guarded:9086/")).status).toBe(403);
    expect((await world.caller("caller").send("http://guarded:9087/")).status).toBe(200);
  });
});

describe("TrafficExtension", () => {
  test("Lua; phase, then priority, says which comes first", async () => {
    expect(await header("x-order", "page:9080/")).toBe("early, stats, plain-stats, urgent, last");
  });
});

function call(proxy: Guarded, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Result> {
  const port = proxy === "guarded-edge" ? 8099 : 8080;
  return world.outside.send(`http://${world.addressOf(proxy)}:${port}${path}`, { headers, fresh: true });
}

describe.each(guarded)("phase, at %s", (proxy) => {
  test("AUTHN comes before tokens are checked, AUTHZ after that, the others after policies", async () => {
    const { seen } = await eventually("it answers", async () => {
      const result = await call(proxy, "/", { authorization: `Bearer ${token}` });
      return result.seen && result;
    });
    expect(seen?.headers["x-steps"]).toBe("authn+token, authz, stats, unset");
  });

  test("an external authorizer is asked before all of them", async () => {
    using _yes = world.backends.behave("guard", () => ({ headers: { "x-user": "alice" } }));
    const from = world.backends.seen.length;
    const { seen } = await call(proxy, "/asked");
    expect(seen?.headers["x-steps"]).toBe("authn+user, authz+user, stats+user, unset+user");
    const checks = world.backends.seen.slice(from).filter(({ pod }) => pod.startsWith("guard-v1"));
    expect(checks.map(({ headers }) => headers["x-steps"])).toEqual([undefined]);
  });

  test.each([
    ["authn", 401],
    ["authz", 403],
    ["stats", 200],
    ["unset", 200],
  ])("what %s does is seen by what comes after it alone: %i", async (name, status) => {
    expect((await call(proxy, `/${name}`)).status).toBe(status);
  });
});
