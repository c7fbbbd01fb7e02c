/**
 * Who may call what: each row of the tables is a caller and a request on a port with policies of its own, and names the
 * heading of Istio's documentation by which it comes out as it does.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { groups } from "./authorization-groups.ts";
import {
  echoOn,
  plainPort,
  policiesOf,
  portsOf,
  requestOn,
  type Row,
  rowsOf,
  secured,
  securePort,
} from "./policy-matrix.ts";
import { World } from "./world.ts";

const authority = createAuthority("mesh");
const identities: Readonly<Record<string, Certificate>> = {
  cart: authority.issue("spiffe://cluster.local/ns/shop/sa/cart"),
  till: authority.issue("spiffe://cluster.local/ns/bank/sa/till"),
  former: authority.issue("spiffe://old.example/ns/shop/sa/cart"),
  foreign: authority.issue("spiffe://foreign.example/ns/shop/sa/cart"),
};

const denied = { status: 403, text: "RBAC: access denied" };
const folder = mkdtempSync(join(tmpdir(), "weft-authorization-"));
let world: World;

/** Workloads with one policy for all of their requests. */
const wholes = [
  { app: "nothing", heading: "allow-nothing, deny-all and allow-all policy", spec: "{ SELECTOR }", outcome: "denied" },
  {
    app: "everything",
    heading: "allow-nothing, deny-all and allow-all policy",
    spec: "{ SELECTOR, rules: [{}] }",
    outcome: "allowed",
  },
  {
    app: "nobody",
    heading: "allow-nothing, deny-all and allow-all policy",
    spec: "{ SELECTOR, action: DENY, rules: [{}] }",
    outcome: "denied",
  },
  {
    app: "targeted",
    heading: "AuthorizationPolicy",
    spec: "{ targetRefs: [{ group: '', kind: Service, name: targeted }], rules: [{ to: [{ operation: { paths: [/a] } }] }] }",
    outcome: "denied",
  },
  {
    app: "entered",
    heading: "AuthorizationPolicy",
    spec: "{ targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: entered }], action: DENY, rules: [{}] }",
    outcome: "denied",
  },
] as const;

function wholePolicy({ app, spec }: (typeof wholes)[number]): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${app} }
spec: ${spec.replace("SELECTOR", `selector: { matchLabels: { app: ${app} } }`)}
`;
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o644 });
  return path;
}

beforeAll(async () => {
  const own = authority.issue("server.shop");
  const files = {
    certificate: file("server.crt", own.certificate),
    key: file("server.key", own.key),
    authority: file("root.crt", authority.certificate),
  };
  const servers = ["server", ...wholes.map(({ app }) => app)];
  world = await World.start("az", {
    mesh: {
      trustDomainAliases: ["old.example"],
      pathNormalization: { normalization: "DECODE_AND_MERGE_SLASHES" },
    },
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      ...servers.map((name) => ({ name, labels: { app: name }, serves: true })),
    ],
    services: servers
      .filter((name) => name !== "entered")
      .map((name) => ({ name, servedBy: [name], ports: [{ name: "http", port: 80, to: "http" as const }] })),
    istio: [
      policiesOf(groups, "server"),
      portsOf(groups, "server", files),
      ...wholes.map(wholePolicy),
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: entered }
spec:
  hosts: [entered.example]
  resolution: STATIC
  workloadSelector: { labels: { app: entered } }
  ports: [{ number: 80, targetPort: 8080, name: http, protocol: HTTP }]`,
    ],
  });
  await eventually("the first port is served", async () => {
    const socket = await world.outside.connect(world.addressOf("server"), plainPort(0));
    const { status } = await requestOn(socket, { method: "GET", path: "/", headers: {} });
    return status === 403;
  });
}, 120_000);

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** A connection of a caller to the port of a group. */
async function connection({ caller, at }: Row): Promise<Socket> {
  const address = world.addressOf("server");
  if (caller === "plain") return world.outside.connect(address, plainPort(at));
  if (caller === "carter") return world.caller("caller").connect(address, plainPort(at));
  const socket = await world.outside.connect(address, securePort(at));
  const own = identities[caller];
  if (!own && caller !== "anonymous") throw new Error(`nobody is called ${caller}`);
  const shown = own ? { cert: own.certificate, key: own.key } : {};
  return secured(socket, { ca: authority.certificate, servername: "server.shop", ...shown });
}

async function outcomeOf(row: Row): Promise<unknown> {
  const socket = await connection(row);
  if (row.group.tcp) return (await echoOn(socket)) === "hello\n" ? "allowed" : "closed";
  const { status, text } = await requestOn(socket, row);
  return status === 200 && (row.method === "HEAD" || text.startsWith('{"pod":')) ? "allowed" : { status, text };
}

describe("each caller and each policy", () => {
  test.each(rowsOf(groups).map((row) => [row.title, row] as const))("%s", async (_title, row) => {
    expect(await outcomeOf(row)).toEqual(row.outcome === "denied" ? denied : row.outcome);
  });
});

describe("a whole workload", () => {
  const cases = wholes.flatMap((whole) => ["GET", "POST"].map((method) => ({ ...whole, method })));
  test.each(cases)("$heading: $spec: $method is $outcome", async ({ app, outcome, method }) => {
    const { status, text } = await world.outside.send(`http://${world.addressOf(app)}:8080/`, { method, fresh: true });
    if (outcome === "denied") expect({ status, text }).toEqual(denied);
    else expect(status).toBe(200);
  });
});

describe("a server that talks first", () => {
  const greets = "220 ready\n";
  let heard = "";
  let before: typeof world.backends.raw;
  beforeAll(() => {
    before = world.backends.raw;
    world.backends.raw = (socket) => {
      socket.write(greets);
      socket.on("data", (chunk) => (heard += String(chunk))).pipe(socket);
    };
  });
  afterAll(() => {
    world.backends.raw = before;
  });

  /** What a caller gets that sends a word once it was greeted, or was not for some time, until it is closed or has it back. */
  async function said(socket: Socket, word: string): Promise<string> {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const { promise: greeted, resolve: first } = Promise.withResolvers<void>();
    let got = "";
    socket.on("data", (chunk: Buffer) => {
      got += String(chunk);
      first();
      if (got.includes(word)) resolve();
    });
    for (const end of ["error", "end", "close"]) socket.once(end, () => resolve());
    await Promise.race([greeted, over, systemClock.sleep(1000)]);
    socket.write(word);
    await over;
    socket.destroy();
    return got;
  }

  const rows = rowsOf(groups).filter(({ group }) => group.tcp);
  test.each(rows.map((row, at) => [row.title, row, at] as const))("%s", async (_title, row, at) => {
    const word = `word-${at}.`;
    const got = await said(await connection(row), word);
    if (row.outcome === "allowed") {
      expect(got).toBe(`${greets}${word}`);
      expect(heard).toContain(word);
    } else {
      // Envoy asks its policies when the caller has sent something: the server may have been heard, the caller never is.
      expect(["", greets]).toContain(got);
      expect(heard).not.toContain(word);
    }
  });
});

test("at least half of the cases are refusals", () => {
  const rows = rowsOf(groups);
  const refusals = rows.filter(({ outcome }) => outcome !== "allowed");
  expect(rows.length).toBeGreaterThan(250);
  expect(refusals.length * 2).toBeGreaterThan(rows.length);
});
