/** The mesh's root is replaced, and the replacement is aborted, under steady traffic between real Envoys. */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { secret as secretKind, type Secret } from "#api/kubernetes/secret.ts";
import { type RootRotation, rootRotation } from "#api/weft/root-rotation.ts";
import { systemClock as clock } from "#base/clock.ts";
import { pluggedAuthority } from "#identity/testing/plugged-authority.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";
import { type Manifest, NodeWorld } from "./node-world.ts";

const pods = ["one", "two"] as const;
let world: NodeWorld;
let mesh: Client;

/** Milliseconds that stages may take: each agent takes new certificates within five seconds, on a machine that may be slow. */
const stageMs = 90_000;

const rotations = () => mesh.of<RootRotation>(rootRotation);
const authority = { namespace: "istio-system", name: "istio-ca-secret" };

/** A workload that calls the other one 40 times a second, each time over a connection of its own, without retries. */
function manifests(name: string, other: string): readonly Manifest[] {
  const metadata = { name, namespace: "shop" };
  const noRetries = { route: [{ destination: { host: name } }], retries: { attempts: 0 } };
  const trafficPolicy = { connectionPool: { http: { maxRequestsPerConnection: 1, maxRetries: 0 } } };
  const ports = [{ name: "http", port: 80, targetPort: 8080 }];
  const main = {
    name: "app",
    image: "test/program:v1",
    args: ["--call", `http://${other}/hello`],
    readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
  };
  const strict = { mtls: { mode: "STRICT" } };
  return [
    { apiVersion: "v1", kind: "Service", metadata, spec: { selector: { app: name }, ports } },
    { apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata, spec: { host: name, trafficPolicy } },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata,
      spec: { hosts: [name], http: [noRetries] },
    },
    { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata, spec: strict },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, labels: { app: name } },
      spec: { nodeName: world.node, serviceAccountName: name, terminationGracePeriodSeconds: 1, containers: [main] },
    },
  ];
}

interface Calls {
  readonly ok: number;
  readonly failed: number;
  readonly problems: readonly string[];
}

const calls = async (): Promise<readonly Calls[]> =>
  Promise.all(pods.map(async (name) => world.inPod<Calls>("shop", name, 8080, "/calls")));

/** Traffic goes on: at least so many more calls have succeeded in each direction, and none has failed since they were forgotten. */
async function noneFailed(more = 20): Promise<void> {
  const before = await calls();
  await eventually("calls go on", async () => (await calls()).every(({ ok }, at) => ok >= before[at]!.ok + more));
  for (const each of await calls()) expect(each).toMatchObject({ failed: 0, problems: [] });
}

async function is(name: string, what: string, holds: (rotation: RootRotation) => boolean): Promise<RootRotation> {
  return eventually(
    what,
    async () => {
      const found = await rotations().get({ name });
      if (holds(found)) return found;
      throw new Error(JSON.stringify(found.status));
    },
    stageMs,
  );
}

function messageOf({ status }: RootRotation): string {
  return status?.conditions?.find(({ type }) => type === "Progressing")?.message ?? "";
}

async function rootsOf(at = authority): Promise<string> {
  const { data = {} } = await mesh.of<Secret>(secretKind).get(at);
  return Buffer.from(data["root-cert.pem"] ?? "", "base64").toString();
}

/** What a Pod's Envoy works with: the roots by their subjects, and its certificate, which openssl verifies by the roots that are trusted. */
async function verified(name: string): Promise<string> {
  type Dump = { configs: { dynamic_active_secrets?: { name: string; secret: Record<string, never> }[] }[] };
  const { configs } = await world.inPod<Dump>("shop", name, 15000, "/config_dump?resource=dynamic_active_secrets");
  const secrets = configs as unknown as {
    name: string;
    secret: Record<string, Record<string, { inline_bytes: string }>>;
  }[];
  const text = (secret: string, field: string, member: string): string => {
    const found = secrets.find((each) => each.name === secret)?.secret[field]?.[member]?.inline_bytes ?? "";
    return Buffer.from(found, "base64").toString();
  };
  const file = (end: string, pem: string): string => {
    const path = join(world.root, `${name}-${end}.pem`);
    writeFileSync(path, pem);
    return path;
  };
  const chain = file("chain", text("default", "tls_certificate", "certificate_chain"));
  const roots = file("roots", text("ROOTCA", "validation_context", "trusted_ca"));
  // Its chain leads to a root that it trusts itself: both ends of a connection hold the same here.
  const said = execFileSync("openssl", ["verify", "-x509_strict", "-CAfile", roots, "-untrusted", chain, chain]);
  expect(said.toString()).toContain("OK");
  return new X509Certificate(readFileSync(chain)).issuer;
}

beforeAll(async () => {
  world = await NodeWorld.start({
    secured: async ({ runDir }) => {
      mesh = new Client(new Connection({ url: `unix://${runDir}/api-mesh.sock` }, { clock }));
    },
  });
  world.startAgent();
  for (const [at, name] of pods.entries()) {
    for (const each of manifests(name, pods[1 - at]!)) await world.create(each);
  }
  for (const name of pods) await eventually(`${name} runs`, async () => world.ready("shop", name), stageMs);
  await eventually("calls succeed", async () => {
    const all = await calls();
    if (all.every(({ ok, failed }) => failed === 0 && ok > 40)) return true;
    if (all.some(({ failed }) => failed > 0))
      for (const name of pods) await world.inPod("shop", name, 8080, "/calls?forget");
    return false;
  });
}, 120_000);

afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(readFileSync(world.agentLog, "utf8").split("\n").slice(-20).join("\n"));
});

afterAll(async () => {
  mesh?.connection[Symbol.dispose]();
  await world?.[Symbol.asyncDispose]();
});

describe("a rotation of the mesh's root", { timeout: 3 * stageMs }, () => {
  it("waits for a proxy that has proven nothing, and says for which", async () => {
    const before = await rootsOf();
    await world.endAgent("SIGKILL");
    await rotations().create({ metadata: { name: "first" }, spec: {} });
    const waiting = await is("first", "it waits", ({ status }) => status?.proxies?.missing?.length === 2);
    expect(waiting.status).toMatchObject({ phase: "Rotating", stage: "BothTrusted", proxies: { total: 2, proven: 0 } });
    expect(messageOf(waiting)).toContain("east/shop/one has told nothing since this stage began");
    expect((await rootsOf()).startsWith(before)).toBe(true);
    world.startAgent();
  });

  it("goes through its stages without a failed request, though the control plane is replaced in the middle", async () => {
    await is("first", "the new authority signs", ({ status }) => status?.stage === "NewIssues");
    await world.stopDiscovery();
    world.startDiscovery();
    const issuers = await Promise.all(pods.map(verified));
    expect(new Set(issuers).size).toBe(1);
    const { status } = await is("first", "it is over", ({ status: now }) => now?.phase === "Completed");
    expect(status).toMatchObject({ stage: "OldDropped", proxies: { total: 2, proven: 2, skipped: 0 } });
    await Promise.all(pods.map(verified));
    expect((await rootsOf()).match(/BEGIN/g)).toHaveLength(1);
    expect(await mesh.of<Secret>(secretKind).find({ ...authority, name: "root-rotation-first" })).toBeUndefined();
    await noneFailed(40);
  });

  it("to an authority that was plugged in is aborted after that has signed, and everybody is back at the old one", async () => {
    const before = await rootsOf();
    const { certificate, key, chain, roots } = pluggedAuthority(world.root, "plugged", 1);
    const files = { "ca-cert.pem": certificate, "ca-key.pem": key, "cert-chain.pem": chain, "root-cert.pem": roots };
    const data = Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString("base64")]),
    );
    await mesh.of<Secret>(secretKind).create({ metadata: { ...authority, name: "next" }, type: "Opaque", data });
    await rotations().create({ metadata: { name: "second" }, spec: { secretName: "next", holdAt: "NewIssues" } });
    await is("second", "it is held", (found) => messageOf(found).includes("held at NewIssues"));
    for (const name of pods) expect(await verified(name)).toContain("O=plugged\nCN=Intermediate 1");
    await noneFailed();
    await rotations().patch({ name: "second" }, { kind: "merge", body: { spec: { abort: true } } });
    await is("second", "it is aborted", ({ status }) => status?.phase === "Aborted");
    for (const name of pods) expect(await verified(name)).toBe("O=cluster.local");
    expect(await rootsOf()).toBe(before);
    await noneFailed(40);
  });

  it("stops where somebody else has written the authority, and leaves it as it is when it is deleted", async () => {
    await rotations().create({ metadata: { name: "third" }, spec: { holdAt: "BothTrusted" } });
    await is("third", "both are trusted", ({ status }) => status?.stage === "BothTrusted");
    const own = pluggedAuthority(world.root, "own", 0).roots;
    const written = (await rootsOf()) + own;
    const body = { data: { "root-cert.pem": Buffer.from(written).toString("base64") } };
    await mesh.of<Secret>(secretKind).patch(authority, { kind: "merge", body });
    const stopped = await is("third", "it stops", (found) => messageOf(found).includes("somebody else has changed"));
    expect(stopped.status?.conditions).toContainEqual(expect.objectContaining({ reason: "Conflict", status: "False" }));
    await rotations().delete({ name: "third" });
    await eventually("it is gone", async () => (await rotations().find({ name: "third" })) === undefined);
    expect(await rootsOf()).toBe(written);
    await noneFailed(40);
  });
});
