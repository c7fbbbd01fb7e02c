import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Asked, ControlPlaneServer } from "#agent/testing/control-plane-server.ts";
import { configMap } from "#api/kubernetes/config-map.ts";
import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { type Authority, createAuthority } from "#base/testing/certificate.ts";
import { readSigningRequest } from "#identity/signing-request.ts";
import { Informer } from "#kube/informer.ts";
import { eventually } from "../support/eventually.ts";
import { type Manifest, NodeWorld, isReady } from "./node-world.ts";

const tlsMode = "security.istio.io/tlsMode";
const serverName = "istiod.istio-system.svc";
const [old, next] = [createAuthority("old root"), createAuthority("next root")];

let world: NodeWorld;
let ca: ControlPlaneServer;
/** Who signs, and what is said to be trusted. */
let signer: Authority = old;
let roots: readonly Authority[] = [old];
const asked: Asked[] = [];
/** Whether a Pod was ever seen ready without the label that peers look for. */
const early: string[] = [];
const watching = new AbortController();

/** An authority that trusts one token, and believes what the agent says of its Pods. */
function issue(request: Asked): ReturnType<ControlPlaneServer["issue"]> {
  asked.push(request);
  if (request.authorization !== "Bearer good")
    return { code: status.UNAUTHENTICATED, details: "the token is not valid: it has expired" };
  const leaf = signer.certify(readSigningRequest(request.csr), { names: [String(request.identity)] });
  return [leaf, roots.map(({ certificate }) => certificate).join("")];
}

function podManifest(name: string, args: readonly string[] = [], namespace = "shop"): Manifest {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      nodeName: world.node,
      serviceAccountName: name,
      terminationGracePeriodSeconds: 3,
      containers: [
        {
          name: "app",
          image: "test/program:v1",
          args,
          readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
        },
      ],
    },
  };
}

/** Mutual TLS is demanded, and each request makes a connection of its own, with the certificates of that moment. */
function serverManifests(): readonly Manifest[] {
  const metadata = { name: "server", namespace: "shop" };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { selector: { app: "server" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata,
      spec: {
        host: "server",
        trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1, maxRetries: 0 } } },
      },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata,
      spec: { hosts: ["server"], http: [{ route: [{ destination: { host: "server" } }], retries: { attempts: 0 } }] },
    },
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata,
      spec: { mtls: { mode: "STRICT" } },
    },
  ];
}

interface Calls {
  readonly ok: number;
  readonly failed: number;
  readonly problems: readonly string[];
}

const calls = async (): Promise<Calls> => world.inPod<Calls>("shop", "client", 8080, "/calls");

/** Calls succeed, and from now on those that do not are counted. */
async function callsSucceed(): Promise<void> {
  await eventually("calls succeed", async () => {
    const { ok, failed } = await calls();
    if (failed > 0) await world.inPod("shop", "client", 8080, "/calls?forget");
    return failed === 0 && ok > 20;
  });
}

/** Calls that went on all the while: none failed, and there were more than these. */
async function noneFailed(least: number): Promise<void> {
  await eventually("calls go on", async () => (await calls()).ok > least);
  expect(await calls()).toMatchObject({ failed: 0, problems: [] });
}

/** Serial numbers, each once. */
interface Held {
  readonly serial: string;
  readonly roots: readonly string[];
}

/** What a Pod's Envoy holds, by its own word. */
async function held(name: string): Promise<Held> {
  type Numbered = readonly { readonly serial_number: string }[];
  const { certificates } = await world.inPod<{
    readonly certificates: readonly { readonly ca_cert: Numbered; readonly cert_chain: Numbered }[];
  }>("shop", name, 15000, "/certs");
  const serials = (all: readonly Numbered[]): readonly string[] =>
    [...new Set(all.flatMap((some) => some.map(({ serial_number: serial }) => serial)))].toSorted();
  return {
    serial: serials(certificates.map(({ cert_chain: chain }) => chain)).join(),
    roots: serials(certificates.map(({ ca_cert: authorities }) => authorities)),
  };
}

const both = async (): Promise<readonly Held[]> => Promise.all(["server", "client"].map(held));

const certificateOf = (pod: Pod) =>
  pod.status?.conditions?.find(({ type }) => type === "mesh.weft.dev/ProxyCertificate");

/** Publishes what is trusted, as the mesh's authority does. */
async function publish(): Promise<void> {
  const data = { "root-cert.pem": roots.map(({ certificate }) => certificate).join("") };
  const maps = world.client.of<ConfigMap>(configMap);
  const at = { namespace: "istio-system", name: "istio-ca-root-cert" };
  if (await maps.find(at)) await maps.patch(at, { kind: "merge", body: { data } });
  else await maps.create({ metadata: at, data });
}

beforeAll(async () => {
  world = await NodeWorld.start();
  ca = new ControlPlaneServer(join(world.runDir, "ca.sock"));
  ca.issue = issue;
  await ca.start(old.issue(serverName));
  const [rootsFile, tokenFile] = [join(world.root, "roots.pem"), join(world.root, "token")];
  writeFileSync(rootsFile, old.certificate);
  writeFileSync(tokenFile, "good");
  const trust = { rootsFile, tokenFile, serverName };
  const identity = { ca: ca.address, trust, trustDomain: "cluster.local", ttlMs: 3_600_000 };
  world.extra = { identity: { ...identity, rootNamespace: "istio-system" } };
  await publish();
  const pods = new Informer<Pod>({ client: world.pods, selection: { namespace: "shop" }, clock, logger });
  pods.onChange(({ after }) => {
    if (after && isReady(after) && after.metadata.labels?.[tlsMode] !== "istio") early.push(after.metadata.name);
  });
  void pods.run(watching.signal);
  world.startAgent();
});

afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(readFileSync(world.agentLog, "utf8").split("\n").slice(-30).join("\n"));
});

afterAll(async () => {
  watching.abort();
  await world?.[Symbol.asyncDispose]();
  ca?.stop();
});

describe("workloads with identities", () => {
  it("speak mutual TLS by certificates that their agent serves, each its own", async () => {
    for (const each of serverManifests()) await world.create(each);
    await world.create(podManifest("server"));
    await world.create(podManifest("client", ["--call", "http://server/hello"]));
    await world.create(podManifest("outside", [], "plain"));
    const [server] = await Promise.all([world.ready("shop", "server"), world.ready("shop", "client")]);
    await callsSucceed();
    await noneFailed(40);
    const [one, other] = await both();
    expect(one!.serial).not.toBe(other!.serial);
    await world.ready("plain", "outside");
    const plain = await world.ask(`/proxy/plain/outside/8080/ask?http://${server.status!.podIP}:8080/hello`);
    expect(plain).toMatchObject({ status: 502, text: expect.stringMatching(/hang up|ECONNRESET/) as string });
    expect(asked.map(({ identity }) => identity)).toEqual(
      expect.arrayContaining(["spiffe://cluster.local/ns/shop/sa/server", "spiffe://cluster.local/ns/shop/sa/client"]),
    );
  });

  it("say so before they are ready, and until when their certificate is good", async () => {
    for (const name of ["server", "client"]) {
      const pod = await world.ready("shop", name);
      expect(pod.metadata.labels).toMatchObject({ [tlsMode]: "istio", app: name });
      expect(certificateOf(pod)).toMatchObject({ status: "True", reason: "Valid" });
      expect(certificateOf(pod)!.message).toContain((await held(name)).serial);
    }
    expect(early).toEqual([]);
    const { items } = JSON.parse((await world.ask("/pods")).text) as { items: { certificate?: object }[] };
    expect(items.flatMap(({ certificate }) => certificate ?? [])).toMatchObject([
      { phase: "Valid" },
      { phase: "Valid" },
    ]);
  });

  it("get other certificates and roots under load without a failed request", async () => {
    await callsSucceed();
    const step = async (
      what: string,
      check: (now: readonly Held[], before: readonly Held[]) => boolean,
    ): Promise<void> => {
      const before = await both();
      await publish();
      await eventually(what, async () => check(await both(), before));
      await noneFailed((await calls()).ok + 20);
    };
    const renewed = (now: readonly Held[], before: readonly Held[], count: number): boolean =>
      now.every(({ serial, roots: held }, at) => serial !== before[at]!.serial && held.length === count);
    roots = [old, next];
    await step("both roots are trusted", (now, before) => renewed(now, before, 2));
    signer = next;
    roots = [next, old];
    await step("the next root signs", (now, before) => renewed(now, before, 2));
    roots = [next];
    await step("the old root is dropped", (now, before) => renewed(now, before, 1));
    await noneFailed(100);
  });

  it("go on while the authority is away, also when their agent is replaced, and hear of it when it is back", async () => {
    const before = await both();
    await callsSucceed();
    ca.stop();
    await world.endAgent("SIGKILL");
    world.startAgent();
    const waiting = await world.pod("shop", "server", "tells that its agent has no certificate", (pod) => {
      const { reason, message = "" } = certificateOf(pod) ?? {};
      return (
        reason === "Waiting" && message.includes("the last request failed: no certificate was issued: UNAVAILABLE")
      );
    });
    expect(isReady(waiting)).toBe(true);
    await noneFailed(50);
    expect(await both()).toEqual(before);
    await ca.start(old.issue(serverName));
    await eventually("both have new ones", async () =>
      (await both()).every(({ serial }, at) => serial !== before[at]!.serial),
    );
    await world.pod("shop", "server", "says so", (pod) => certificateOf(pod)?.reason === "Valid");
    await noneFailed(100);
  });

  it("are not ready without a certificate, and say why; the agent's token is read again", async () => {
    writeFileSync(join(world.root, "token"), "bad");
    await world.create(podManifest("later"));
    const refused = await world.pod(
      "shop",
      "later",
      "is refused",
      ({ status: now }) =>
        now?.conditions?.some(({ type, message = "" }) => type === "Ready" && message.includes("UNAUTHENTICATED")) ===
        true,
    );
    expect(refused.status!.conditions!.find(({ type }) => type === "Ready")!.message).toBe(
      "the Pod's proxy has no certificate yet: no certificate was issued: UNAUTHENTICATED: the token is not valid: it has expired",
    );
    expect(refused.metadata.labels).not.toHaveProperty(tlsMode);
    writeFileSync(join(world.root, "token"), "good");
    expect((await world.ready("shop", "later")).metadata.labels).toHaveProperty(tlsMode);
    expect(early).toEqual([]);
  });

  it("have keys that are nowhere on disk", () => {
    const files = readdirSync(world.root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      // Not those of the API server, and not programs.
      .filter((file) => !file.startsWith(join(world.root, "api")) && statSync(file).size < 50_000_000);
    const holding = (text: string): readonly string[] => files.filter((file) => readFileSync(file).includes(text));
    expect(holding("sds-grpc").length).toBeGreaterThan(0);
    expect(holding("PRIVATE KEY")).toEqual([]);
  });
});
