/**
 * The mesh's root is replaced, and the replacement is aborted, under steady traffic between real Envoys, by two control planes that
 * are killed in the middle.
 */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { configMap as configMapKind, type ConfigMap } from "#api/kubernetes/config-map.ts";
import { secret as secretKind, type Secret } from "#api/kubernetes/secret.ts";
import { type RootRotation, rootRotation } from "#api/weft/root-rotation.ts";
import { systemClock as clock } from "#base/clock.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { pluggedAuthority } from "#identity/testing/plugged-authority.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { Informer } from "#kube/informer.ts";
import { eventually } from "../support/eventually.ts";
import { DiscoveryProcess } from "./discovery-process.ts";
import { type Manifest, NodeWorld } from "./node-world.ts";

const pods = ["one", "two"] as const;
let world: NodeWorld;
let mesh: Client;
/** Two of one revision: the agent speaks with the first. */
let replicas: readonly DiscoveryProcess[] = [];
let listeners: readonly number[] = [];

/** Milliseconds that stages may take: each agent takes new certificates within a second, on a machine that may be slow. */
const stageMs = 120_000;

const rotations = () => mesh.of<RootRotation>(rootRotation);
const authority = { namespace: "istio-system", name: "istio-ca-secret" };

/**
 * A workload that calls the other one 25 times a second, each time over a connection of its own, without retries, and asks it in plain
 * text beside that, through the same proxies: so both are as slow as the machine, and only what needs certificates can hang alone.
 */
function manifests(name: string, other: string): readonly Manifest[] {
  const metadata = { name, namespace: "shop" };
  const noRetries = { route: [{ destination: { host: name } }], retries: { attempts: 0 } };
  const connectionPool = { http: { maxRequestsPerConnection: 1, maxRetries: 0 }, tcp: { connectTimeout: "60s" } };
  const plainPort = { port: { number: 81 }, connectionPool, tls: { mode: "DISABLE" } };
  const ports = [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "http-plain", port: 81, targetPort: 8081 },
  ];
  const main = {
    name: "app",
    image: "test/program:v1",
    args: ["--call", `http://${other}/hello`, "--control", `http://${other}:81/hello`],
    readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
  };
  const strict = {
    selector: { matchLabels: { app: name } },
    mtls: { mode: "STRICT" },
    portLevelMtls: { 8081: { mode: "DISABLE" } },
  };
  const trafficPolicy = { connectionPool, portLevelSettings: [plainPort] };
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
  /** Calls that have begun, answers in plain text, and the seconds in which they did. */
  readonly begun: number;
  readonly control: number;
  readonly seconds: number;
}

const calls = async (): Promise<readonly Calls[]> =>
  Promise.all(pods.map(async (name) => world.inPod<Calls>("shop", name, 8080, "/calls")));

const forget = async (): Promise<unknown> =>
  Promise.all(pods.map(async (name) => world.inPod("shop", name, 8080, "/calls?forget")));

/** How often the proxies have put a listener in the place of another: that would hold up what the control measures, too. */
async function replacedListeners(): Promise<readonly number[]> {
  type Stats = { readonly stats: readonly { readonly value?: number }[] };
  const path = "/stats?format=json&filter=%5Elistener_manager.listener_(modified|removed|in_place_updated)$";
  const all = await Promise.all(pods.map(async (name) => world.inPod<Stats>("shop", name, 15000, path)));
  for (const { stats } of all) expect(stats).toHaveLength(3);
  return all.map(({ stats }) => stats.reduce((sum, { value = 0 }) => sum + value, 0));
}

/** Traffic goes on: at least so many more calls have succeeded in each direction, and none has failed since they were forgotten. */
async function noneFailed(more = 20): Promise<void> {
  expect(await replacedListeners()).toEqual(listeners);
  const before = await calls();
  const goOn = async () => (await calls()).every(({ ok }, at) => ok >= before[at]!.ok + more);
  await eventually("calls go on", goOn, stageMs);
  for (const each of await calls()) {
    expect(each).toMatchObject({ failed: 0, problems: [] });
    expect(each.begun / each.seconds).toBeGreaterThanOrEqual(20);
    expect(each.control).toBeGreaterThan(0);
  }
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

/** The certificate that a Pod's Envoy works with, followed by what leads to the root, and the roots that it trusts. */
async function heldBy(name: string): Promise<{ readonly chain: string; readonly roots: string }> {
  type Values = Readonly<Record<string, Readonly<Record<string, { readonly inline_bytes: string }>>>>;
  type Dump = { readonly configs: readonly { readonly name: string; readonly secret: Values }[] };
  const { configs } = await world.inPod<Dump>("shop", name, 15000, "/config_dump?resource=dynamic_active_secrets");
  const text = (secret: string, field: string, member: string): string => {
    const found = configs.find((each) => each.name === secret)?.secret[field]?.[member]?.inline_bytes ?? "";
    return Buffer.from(found, "base64").toString();
  };
  const chain = text("default", "tls_certificate", "certificate_chain");
  return { chain, roots: text("ROOTCA", "validation_context", "trusted_ca") };
}

/** Who signed a Pod's certificate, which openssl verifies by the roots that the Pod itself trusts: both ends of a connection hold the same. */
async function verified(name: string): Promise<string> {
  const held = await heldBy(name);
  const file = (end: "chain" | "roots"): string => {
    const path = join(world.root, `${name}-${end}.pem`);
    writeFileSync(path, held[end]);
    return path;
  };
  const [chain, roots] = [file("chain"), file("roots")];
  const said = execFileSync("openssl", ["verify", "-x509_strict", "-CAfile", roots, "-untrusted", chain, chain]);
  expect(said.toString()).toContain("OK");
  return new X509Certificate(held.chain).issuer;
}

beforeAll(async () => {
  world = await NodeWorld.start({
    secured: async ({ runDir }) => {
      mesh = new Client(new Connection({ url: `unix://${runDir}/api-mesh.sock` }, { clock }));
    },
    discovery: false,
  });
  replicas = [1, 2].map(
    (at) => new DiscoveryProcess(world.discoveryOptions(at), join(world.root, `discovery-${at}.log`)),
  );
  for (const each of replicas) each.start();
  world.startAgent();
  for (const [at, name] of pods.entries()) {
    for (const each of manifests(name, pods[1 - at]!)) await world.create(each);
  }
  for (const name of pods) await eventually(`${name} runs`, async () => world.ready("shop", name), stageMs);
  const goWell = async (): Promise<boolean> => {
    const all = await calls();
    if (all.every(({ ok, failed }) => failed === 0 && ok > 40)) return true;
    if (all.some(({ failed }) => failed > 0)) await forget();
    return false;
  };
  await eventually("calls succeed", goWell, stageMs);
  listeners = await replacedListeners();
}, 3 * stageMs);

afterEach(({ task }) => {
  if (task.result?.state !== "fail") return;
  for (const log of [world.agentLog, ...[1, 2].map((at) => join(world.root, `discovery-${at}.log`))])
    console.error(readFileSync(log, "utf8").split("\n").slice(-20).join("\n"));
});

afterAll(async () => {
  for (const each of replicas) await each.kill();
  mesh?.connection[Symbol.dispose]();
  await world?.[Symbol.asyncDispose]();
});

/**
 * Does something to the control planes at each write of the authority's Secret, the moment that it is seen: so a control plane that has
 * just taken a step does not get to say so.
 * @returns the roots of what signs, one for each write.
 */
async function atEachStep<V>(act: () => Promise<void>, during: () => Promise<V>): Promise<readonly string[]> {
  const selection = { namespace: authority.namespace, fieldSelector: `metadata.name=${authority.name}` };
  const secrets = new Informer<Secret>({ client: mesh.of<Secret>(secretKind), selection, clock, logger });
  const [end, seen] = [new AbortController(), [] as string[]];
  let acting = Promise.resolve();
  secrets.onChange(({ before, after }) => {
    if (!before || !after) return;
    const { data = {} } = after;
    const text = (name: string): string => Buffer.from(data[name] ?? "", "base64").toString();
    seen.push(`${new X509Certificate(text("ca-cert.pem")).issuer} of ${text("root-cert.pem").match(/BEGIN/g)?.length}`);
    acting = acting.then(act);
  });
  const run = secrets.run(end.signal);
  try {
    await secrets.synced;
    await during();
    await acting;
  } finally {
    end.abort();
    await run;
  }
  return seen;
}

/** Kills control planes and starts them again. */
async function killed(...those: readonly DiscoveryProcess[]): Promise<void> {
  await Promise.all(those.map(async (each) => each.kill()));
  for (const each of those) each.start();
}

describe("a rotation of the mesh's root", { timeout: 4 * stageMs }, () => {
  it("waits for a proxy that has proven nothing, and says for which, though all control planes are killed", async () => {
    const before = await rootsOf();
    await world.endAgent("SIGKILL");
    const steps = await atEachStep(
      async () => killed(...replicas),
      async () => {
        await rotations().create({ metadata: { name: "first" }, spec: {} });
        const waiting = await is("first", "it waits", ({ status }) => status?.proxies?.missing?.length === 2);
        const proxies = { total: 2, proven: 0 };
        expect(waiting.status).toMatchObject({ phase: "Rotating", stage: "BothTrusted", proxies });
        expect(messageOf(waiting)).toContain("east/shop/one has told nothing since this stage began");
      },
    );
    expect(steps).toEqual(["O=cluster.local of 2"]);
    expect((await rootsOf()).startsWith(before)).toBe(true);
    world.startAgent();
  });

  it("goes through its stages without a failed request, though all control planes are killed at each", async () => {
    const steps = await atEachStep(
      async () => killed(...replicas),
      async () => {
        await is("first", "the new authority signs", ({ status }) => status?.stage === "NewIssues");
        const issuers = await Promise.all(pods.map(verified));
        expect(new Set(issuers).size).toBe(1);
        const { status } = await is("first", "it is over", ({ status: now }) => now?.phase === "Completed");
        expect(status).toMatchObject({ stage: "OldDropped", proxies: { total: 2, proven: 2, skipped: 0 } });
      },
    );
    // Each step was taken once: of two control planes one acts.
    expect(steps).toEqual(["O=cluster.local of 2", "O=cluster.local of 1"]);
    await Promise.all(pods.map(verified));
    expect((await rootsOf()).match(/BEGIN/g)).toHaveLength(1);
    expect(await mesh.of<Secret>(secretKind).find({ ...authority, name: "root-rotation-first" })).toBeUndefined();
    await noneFailed(40);
  });

  it("to an authority that was plugged in is aborted after that has signed, and everybody is back at the old one, though one of two control planes is killed at each stage", async () => {
    const before = await rootsOf();
    const { certificate, key, chain, roots } = pluggedAuthority(world.root, "plugged", 1);
    const files = { "ca-cert.pem": certificate, "ca-key.pem": key, "cert-chain.pem": chain, "root-cert.pem": roots };
    const data = Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString("base64")]),
    );
    await mesh.of<Secret>(secretKind).create({ metadata: { ...authority, name: "next" }, type: "Opaque", data });
    // Whichever has taken the step: the other one, with which the agent speaks, goes on meanwhile.
    const steps = await atEachStep(
      async () => killed(replicas[1]!),
      async () => {
        await rotations().create({ metadata: { name: "second" }, spec: { secretName: "next", holdAt: "NewIssues" } });
        await is("second", "it is held", (found) => messageOf(found).includes("held at NewIssues"));
        for (const name of pods) expect(await verified(name)).toContain("O=plugged\nCN=Intermediate 1");
        await noneFailed();
        await rotations().patch({ name: "second" }, { kind: "merge", body: { spec: { abort: true } } });
        await is("second", "it is aborted", ({ status }) => status?.phase === "Aborted");
      },
    );
    const [own, plugged] = ["O=cluster.local of", "O=plugged\nCN=Root of"];
    expect(steps).toEqual([`${own} 2`, `${plugged} 2`, `${own} 2`, `${own} 1`]);
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

  it("that waits for nobody breaks the same traffic, which is noticed", async () => {
    await world.endAgent("SIGKILL");
    await rotations().create({ metadata: { name: "fourth" }, spec: { skip: ["*/*/*"] } });
    await is("fourth", "it is over", ({ status }) => status?.phase === "Completed");
    // An agent that hears of the new root alone, and gets no certificate of it, has nothing to give its proxies but that root.
    await Promise.all(replicas.map(async (each) => each.kill()));
    world.startAgent();
    await eventually("calls fail", async () => (await calls()).every(({ failed }) => failed > 0), stageMs);
    for (const each of replicas) each.start();
    await eventually("they succeed again", async () => (await forget(), (await noneFailed(), true)), stageMs);
  });

  it("is not needed to trust a certificate no more: the authority's list of revoked ones has it", async () => {
    const plug = { namespace: "istio-system", name: "cacerts" };
    const root = createAuthority("listing");
    const signing = root.subordinate("signing");
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const data = {
      "ca-cert.pem": base64(signing.certificate),
      "ca-key.pem": base64(signing.key),
      "cert-chain.pem": base64(signing.certificate),
      // The root of before beside it, as it has to be.
      "root-cert.pem": base64(root.certificate + (await rootsOf())),
    };
    await mesh.of<Secret>(secretKind).create({ metadata: plug, type: "Opaque", data });
    const list = async (text: string | undefined): Promise<unknown> => {
      const body = { data: { "ca-crl.pem": text === undefined ? null : base64(text) } };
      return mesh.of<Secret>(secretKind).patch(plug, { kind: "merge", body });
    };
    const own = async (name: string) => new X509Certificate((await heldBy(name)).chain);
    const isSigned = async () => (await Promise.all(pods.map(own))).every(({ issuer }) => issuer === "CN=signing");
    await eventually("both have certificates of it", isSigned, stageMs);
    await forget();
    await list(root.revoke() + signing.revoke());
    await noneFailed(100);
    await list(root.revoke() + signing.revoke((await own("one")).toString()));
    // As a server it is refused by who calls it, as a client by whom it calls.
    await eventually("calls fail", async () => (await calls()).every(({ failed }) => failed > 20), stageMs);
    const maps = world.client.of<ConfigMap>(configMapKind);
    const published = { namespace: "shop", name: "istio-ca-crl" };
    expect((await maps.get(published)).data?.["ca-crl.pem"]).toMatch(
      /^(-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----\n){2}$/,
    );
    await list(undefined);
    await eventually("they succeed again", async () => (await forget(), (await noneFailed(), true)), stageMs);
    expect((await maps.get(published)).data ?? {}).toEqual({});
  });
});
