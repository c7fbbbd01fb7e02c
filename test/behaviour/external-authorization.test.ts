/**
 * Requests and connections that an external authorizer decides about, and policies that are only tried out or noted. Names
 * of groups are headings of Istio's reference "Global Mesh Options" and "Authorization Policy".
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExtensionProvider } from "#api/istio/extension-provider.ts";
import type { MeshInput } from "#model/mesh.ts";
import {
  type CheckRequest,
  CheckRequestSchema,
  CheckResponseSchema,
} from "#proto/gen/envoy/service/auth/v3/external_auth_pb.js";
import { eventually } from "../support/eventually.ts";
import type { Seen } from "./backends.ts";
import type { Call } from "./caller.ts";
import { envoyFilter } from "./envoy-filters.ts";
import { echoOn } from "./policy-matrix.ts";
import { World } from "./world.ts";

const guard = "guard.shop.svc.cluster.local";
const denied = { status: 403, text: "RBAC: access denied" };

const byHttp: NonNullable<ExtensionProvider["envoyExtAuthzHttp"]> = {
  service: guard,
  port: 9080,
  timeout: "2s",
  pathPrefix: "/check",
  includeRequestHeadersInCheck: ["x-one", "x-two-*"],
  includeAdditionalHeadersInCheck: { "x-from": "mesh" },
  includeRequestBodyInCheck: { maxRequestBytes: 10, allowPartialMessage: true },
  headersToUpstreamOnAllow: ["x-user"],
  headersToDownstreamOnDeny: ["x-why"],
  headersToDownstreamOnAllow: ["x-seen"],
};
const byGrpc: NonNullable<ExtensionProvider["envoyExtAuthzGrpc"]> = {
  service: `shop/${guard}`,
  port: 9001,
  timeout: "2s",
  includeRequestBodyInCheck: { maxRequestBytes: 10 },
};

const folder = mkdtempSync(join(tmpdir(), "weft-authorizers-"));
const log = join(folder, "access.log");

function providers(http = byHttp, grpc = byGrpc): MeshInput {
  return {
    accessLogFile: log,
    accessLogFormat: "%REQ(:PATH)% %DYNAMIC_METADATA(envoy.common:access_log_hint)%\n",
    extensionProviders: [
      { name: "http", envoyExtAuthzHttp: http },
      { name: "grpc", envoyExtAuthzGrpc: grpc },
    ],
  };
}

function policy(name: string, app: string, spec: string, more = ""): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}${more} }
spec: { selector: { matchLabels: { app: ${app} } }, ${spec} }`;
}

const asked = "rules: [{ to: [{ operation: { paths: ['/asked*'] } }] }]";
const custom = (name: string, app: string, provider: string, rules = asked): string =>
  policy(name, app, `action: CUSTOM, provider: { name: ${provider} }, ${rules}`);

/** What the authorizer over gRPC was asked. */
const checks: CheckRequest[] = [];
/** Its word: a status of gRPC, 0 for yes. */
let word = 0;

/** Whether a Pod is one of the authorizer's, not of the workload "guarded". */
const isAuthorizer = (pod: string): boolean => /^guard(-|$)/.test(pod);

/** An authorizer as Envoy's external authorization has it, spoken on the port of bytes. */
function authorizer(): Http2Server {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => undefined);
    stream.on("end", () => {
      checks.push(fromBinary(CheckRequestSchema, Buffer.concat(chunks).subarray(5)));
      const header = (key: string, value: string) => ({ header: { key, value } });
      const answer = create(CheckResponseSchema, {
        status: { code: word },
        httpResponse:
          word === 0
            ? { case: "okResponse", value: { headers: [header("x-user", "alice")], headersToRemove: ["x-secret"] } }
            : {
                case: "deniedResponse",
                value: { status: { code: 429 }, headers: [header("x-why", "busy")], body: "no" },
              },
      });
      const bytes = toBinary(CheckResponseSchema, answer);
      const frame = Buffer.alloc(5 + bytes.length);
      frame.writeUInt32BE(bytes.length, 1);
      frame.set(bytes, 5);
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(frame);
    });
  });
  return server;
}

const apps = ["viahttp", "viagrpc", "unknown", "twice", "tried", "whole", "guarded", "marked"] as const;

/** Has a filter leave what headers say in the metadata: a text, and a list. */
const marks = envoyFilter(
  "marks",
  [
    `
applyTo: HTTP_FILTER
match: { context: SIDECAR_INBOUND, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } }
patch:
  operation: INSERT_FIRST
  value:
    name: envoy.filters.http.header_to_metadata
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config
      request_rules:
        - { header: x-team, on_header_present: { key: team, type: STRING } }
        - { header: x-teams, on_header_present: { key: teams, type: PROTOBUF_VALUE, encode: BASE64 } }`,
  ],
  { select: "marked" },
);

/** A list of one text as `google.protobuf.Value` in base64. */
function listOf(text: string): string {
  const nested = (tag: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([tag, content.length]), content]);
  return nested(0x32, nested(0x0a, nested(0x1a, Buffer.from(text)))).toString("base64");
}
let world: World;

beforeAll(async () => {
  chmodSync(folder, 0o755);
  writeFileSync(log, "");
  chmodSync(log, 0o666);
  world = await World.start("xa", {
    mesh: providers(),
    proxies: apps.map((name) => ({ name, labels: { app: name }, serves: true })),
    services: [
      {
        name: "guard",
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "grpc", port: 9001, to: "raw" },
        ],
      },
      ...apps.map((name) => ({
        name,
        servedBy: [name],
        ports: [
          { name: "http", port: 80, to: "http" as const },
          { name: "tcp", port: 9001, to: "raw" as const },
        ],
      })),
    ],
    istio: [
      custom("viahttp", "viahttp", "http"),
      policy(
        "viahttp-shut",
        "viahttp",
        "action: DENY, rules: [{ to: [{ operation: { paths: [/asked/shut], ports: ['8080'] } }] }]",
      ),
      custom(
        "viagrpc",
        "viagrpc",
        "grpc",
        "rules: [{ to: [{ operation: { paths: ['/asked*'], ports: ['8080'] } }] }, { to: [{ operation: { ports: ['9001'] } }] }]",
      ),
      custom("unknown", "unknown", "nobody"),
      custom("whole", "whole", "http", "rules: [{}]"),
      custom("guarded", "guarded", "http", "rules: [{ to: [{ operation: { notPorts: ['9001'] } }] }]"),
      policy("guarded-bytes", "guarded", "action: DENY, rules: [{ to: [{ operation: { ports: ['9001'] } }] }]"),
      custom("twice-one", "twice", "http"),
      custom("twice-two", "twice", "grpc", "rules: [{ to: [{ operation: { paths: [/other] } }] }]"),
      policy(
        "tried-deny",
        "tried",
        "action: DENY, rules: [{ to: [{ operation: { paths: [/tried] } }] }]",
        ", annotations: { istio.io/dry-run: 'true' }",
      ),
      policy(
        "tried-allow",
        "tried",
        "action: ALLOW, rules: [{ to: [{ operation: { paths: [/tried] } }] }]",
        ", annotations: { istio.io/dry-run: 'true' }",
      ),
      policy("noted", "tried", "action: AUDIT, rules: [{ to: [{ operation: { paths: [/noted] } }] }]"),
      policy(
        "tried-bytes",
        "tried",
        "action: DENY, rules: [{ to: [{ operation: { ports: ['9001'] } }] }]",
        ", annotations: { istio.io/dry-run: 'true' }",
      ),
      policy("noted-bytes", "tried", "action: AUDIT, rules: [{ to: [{ operation: { ports: ['9001'] } }] }]"),
      marks,
      policy(
        "marked",
        "marked",
        `rules: [
          { when: [{ key: "experimental.envoy.filters.http.header_to_metadata[team]", values: [blue, "gr*"] }] },
          { when: [{ key: "experimental.envoy.filters.http.header_to_metadata[teams]", values: ["[red]"] }] }]`,
      ),
    ],
  });
  const server = authorizer();
  world.backends.raw = (socket, pod) => {
    if (isAuthorizer(pod)) server.emit("connection", socket);
    else socket.pipe(socket);
  };
  await eventually("the policies are there", async () => (await send("unknown", "/asked")).status === 403);
}, 120_000);

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function send(app: string, path: string, options: Call = {}) {
  return world.outside.send(`http://${world.addressOf(app)}:8080${path}`, { ...options, fresh: true });
}

/** The check requests that the authorizer over HTTP gets while something is done. */
async function checksDuring(work: () => Promise<unknown>): Promise<readonly Seen[]> {
  const from = world.backends.seen.length;
  await work();
  return world.backends.seen.slice(from).filter(({ pod }) => isAuthorizer(pod));
}

describe("EnvoyExternalAuthorizationHttpProvider", () => {
  test("only what the rules are about is asked", async () => {
    expect(await checksDuring(async () => expect((await send("viahttp", "/free")).status).toBe(200))).toEqual([]);
  });

  test("who is let in, and what the authorizer, the workload and the caller are told", async () => {
    using _yes = world.backends.behave("guard", () => ({
      headers: { "x-user": "alice", "x-seen": "yes", "x-other": "hidden" },
    }));
    const headers = { "x-one": "1", "x-two-b": "2", "x-three": "3", "x-from": "liar", "x-user": "liar" };
    const [check, ...more] = await checksDuring(async () => {
      const body = "more than ten bytes";
      const { status, seen, headers: told } = await send("viahttp", "/asked/a?b=c", { method: "POST", headers, body });
      expect(status).toBe(200);
      expect([seen?.headers["x-user"], seen?.headers["x-other"], seen?.body]).toEqual(["alice", undefined, body]);
      expect([told["x-seen"], told["x-other"]]).toEqual(["yes", undefined]);
    });
    expect(more).toEqual([]);
    expect([check?.method, check?.path, check?.body]).toEqual(["POST", "/check/asked/a?b=c", "more than "]);
    const { "x-one": one, "x-two-b": two, "x-three": three, "x-from": from } = check?.headers ?? {};
    expect([one, two, three, from]).toEqual(["1", "2", undefined, "mesh"]);
  });

  test("who is refused gets the authorizer's answer, and of its headers those that may be told", async () => {
    const answer = { status: 401, headers: { "x-why": "nobody", "x-other": "hidden" } };
    using _no = world.backends.behave("guard", () => answer);
    const { status, seen, headers } = await send("viahttp", "/asked");
    expect([status, headers["x-why"], headers["x-other"], seen?.pod]).toEqual([401, "nobody", undefined, "guard-v1-0"]);
  });

  test("what it lets in may be refused by a policy after it, and what it refuses is not asked further", async () => {
    expect(await send("viahttp", "/asked/shut")).toMatchObject(denied);
    using _no = world.backends.behave("guard", () => ({ status: 401 }));
    expect((await send("viahttp", "/asked/shut")).status).toBe(401);
  });

  test("while it is away requests are refused, with the status that was set, or let in where that was set", async () => {
    using _broken = world.backends.behave("guard", () => ({ reset: true }));
    expect((await send("viahttp", "/asked")).status).toBe(403);
    world.setMesh(providers({ ...byHttp, statusOnError: "503" }));
    await eventually("statusOnError", async () => (await send("viahttp", "/asked")).status === 503);
    world.setMesh(providers({ ...byHttp, failOpen: true }));
    await eventually("failOpen", async () => (await send("viahttp", "/asked")).seen?.pod === "viahttp");
    world.setMesh(providers());
    await eventually("the first settings", async () => (await send("viahttp", "/asked")).status === 403);
  });

  test("one that takes too long is one that is away", async () => {
    using _slow = world.backends.behave("guard", () => ({ delayMs: 5000 }));
    world.setMesh(providers({ ...byHttp, timeout: "0.1s", statusOnError: "504" }));
    await eventually("timeout", async () => (await send("viahttp", "/asked")).status === 504);
    world.setMesh(providers());
    await eventually("the first settings", async () => {
      using _yes = world.backends.behave("guard", () => ({}));
      return (await send("viahttp", "/asked")).status === 200;
    });
  });
});

describe("EnvoyExternalAuthorizationGrpcProvider", () => {
  test("who is let in, and what the authorizer and the workload are told", async () => {
    word = 0;
    checks.length = 0;
    const headers = { "x-secret": "1", "x-user": "liar" };
    const { status, seen } = await send("viagrpc", "/asked/a?b=c", { method: "POST", headers, body: "ten bytes" });
    expect(status).toBe(200);
    expect([seen?.headers["x-user"], seen?.headers["x-secret"]]).toEqual(["alice", undefined]);
    expect(checks.length).toBe(1);
    const { method, path, body } = checks[0]?.attributes?.request?.http ?? {};
    expect([method, path, body]).toEqual(["POST", "/asked/a?b=c", "ten bytes"]);
    expect((await send("viagrpc", "/free")).status).toBe(200);
    expect(checks.length).toBe(1);
  });

  test("who is refused gets the authorizer's answer", async () => {
    word = 7;
    const { status, headers, text } = await send("viagrpc", "/asked");
    expect([status, headers["x-why"], text]).toEqual([429, "busy", "no"]);
  });

  test("a body that is longer than may be sent is refused", async () => {
    word = 0;
    expect((await send("viagrpc", "/asked", { method: "POST", body: "more than ten bytes" })).status).toBe(413);
  });

  test.each([
    [0, "hello\n"],
    [7, ""],
  ])("connections that are not HTTP are asked about too: %i", async (answer, got) => {
    word = answer;
    expect(await echoOn(await world.outside.connect(world.addressOf("viagrpc"), 9001))).toBe(got);
  });
});

describe("AuthorizationPolicy", () => {
  test("what a provider is to decide that does not exist is refused, and nothing else", async () => {
    expect(await send("unknown", "/asked")).toMatchObject(denied);
    expect((await send("unknown", "/free")).status).toBe(200);
    expect(world.findings("AuthorizationPolicy", "unknown")).toEqual(["UnusableProvider spec.provider.name"]);
  });

  test("what two providers are to decide is refused", async () => {
    expect(await send("twice", "/asked")).toMatchObject(denied);
    expect(await send("twice", "/other")).toMatchObject(denied);
    expect((await send("twice", "/free")).status).toBe(200);
    expect(world.findings("AuthorizationPolicy", "twice-one")).toEqual(["UnusableProvider spec.provider.name"]);
  });

  test("an authorizer over HTTP is not asked about connections that are not HTTP, and a finding says so", async () => {
    using _no = world.backends.behave("guard", () => ({ status: 401 }));
    expect((await send("whole", "/any")).status).toBe(401);
    const unasked = await checksDuring(async () =>
      expect(await echoOn(await world.outside.connect(world.addressOf("whole"), 9001))).toBe("hello\n"),
    );
    expect(unasked).toEqual([]);
    expect(world.findings("AuthorizationPolicy", "whole")).toEqual(["ConnectionsNotAsked spec.provider.name"]);
    // Its rules are about paths alone.
    expect(world.findings("AuthorizationPolicy", "viahttp")).toEqual([]);
    expect(world.findings("AuthorizationPolicy", "viagrpc")).toEqual([]);
  });

  test("what it leaves out another policy refuses", async () => {
    expect(await echoOn(await world.outside.connect(world.addressOf("guarded"), 9001))).toBe("");
    using _yes = world.backends.behave("guard", () => ({}));
    expect((await send("guarded", "/any")).status).toBe(200);
    expect(world.findings("AuthorizationPolicy", "guarded")).toEqual([]);
  });
});

/** How much a statistic of the proxy that tries policies out grows. */
async function growth(name: RegExp, work: () => Promise<unknown>): Promise<number> {
  const envoy = world.envoy("tried");
  const before = await envoy.sumOf(name);
  await work();
  return (await envoy.sumOf(name)) - before;
}

describe("dry-run", () => {
  test.each([
    ["/tried", /istio_dry_run_deny_.*shadow_denied$/, 1],
    ["/tried", /istio_dry_run_allow_.*shadow_allowed$/, 1],
    ["/free", /istio_dry_run_deny_.*shadow_denied$/, 0],
    ["/free", /istio_dry_run_allow_.*shadow_denied$/, 1],
  ])("%s is let in, and %s counts what would have become of it", async (path, name, count) => {
    const grown = await growth(name, async () => expect((await send("tried", path)).status).toBe(200));
    expect(grown).toBe(count);
  });

  test.each([
    [/istio_dry_run_deny_.*shadow_denied$/, 1],
    [/istio_dry_run_deny_.*shadow_allowed$/, 0],
    // Rules about paths match no connection that is not HTTP.
    [/istio_dry_run_allow_.*shadow_denied$/, 1],
  ])(
    "a connection is let in, also where AUDIT is about it, and %s counts what would have become of it",
    async (name, count) => {
      const connection = new RegExp(`tcp\\..*${name.source}`);
      const grown = await growth(connection, async () =>
        expect(await echoOn(await world.outside.connect(world.addressOf("tried"), 9001))).toBe("hello\n"),
      );
      expect(grown).toBe(count);
    },
  );

  test("AUDIT lets requests in, and marks those that its rules are about for the log", async () => {
    for (const path of ["/noted", "/free"]) expect((await send("tried", path)).status).toBe(200);
    const lines = await eventually("both requests are logged", () => {
      const all = readFileSync(log, "utf8").split("\n");
      return ["/noted", "/free"].every((path) => all.some((line) => line.startsWith(path))) && all;
    });
    expect(lines).toContain("/noted true");
    expect(lines).toContain("/free -");
  });
});

describe("experimental.envoy.filters.*", () => {
  test.each([
    [{ "x-team": "blue" }, 200],
    [{ "x-team": "green" }, 200],
    [{ "x-team": "red" }, 403],
    [{ "x-teams": listOf("red") }, 200],
    [{ "x-teams": listOf("blue") }, 403],
    [{}, 403],
  ])("what a filter made of %j gets %i", async (headers, status) => {
    expect((await send("marked", "/any", { headers })).status).toBe(status);
  });
});
