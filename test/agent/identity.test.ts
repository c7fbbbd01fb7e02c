import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Secret } from "#api/kubernetes/secret.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { type AuthorityFiles, makeAuthority } from "#identity/authority.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { Informer } from "#kube/informer.ts";
import { eventually } from "../support/eventually.ts";
import { DiscoveryProcess } from "./discovery-process.ts";
import { type Manifest, NodeWorld, isReady } from "./node-world.ts";

const tlsMode = "security.istio.io/tlsMode";
const [old, next] = ["old root", "next root"].map((name) => makeAuthority("P-256", name, clock.now())) as [
  AuthorityFiles,
  AuthorityFiles,
];

let world: NodeWorld;
/** The mesh's API, where its authority is. */
let mesh: Client;
/** Pods that were ever seen ready without the label that peers look for. */
const early: string[] = [];
const watching = new AbortController();

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

/** Plugs in the authority that signs, and the roots that are trusted. */
async function plugIn({ certificate, key }: AuthorityFiles, ...roots: readonly AuthorityFiles[]): Promise<void> {
  const files = {
    "ca-cert.pem": certificate,
    "ca-key.pem": key,
    "cert-chain.pem": "",
    "root-cert.pem": roots.map((each) => each.certificate).join(""),
  };
  const data = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString("base64")]),
  );
  const secrets = mesh.of<Secret>(secretKind);
  const at = { namespace: "istio-system", name: "cacerts" };
  if (await secrets.find(at)) await secrets.patch(at, { kind: "merge", body: { data } });
  else await secrets.create({ metadata: at, type: "Opaque", data });
}

/** Everything that the agent's token for the control plane is read from. */
const tokenFile = (): string => join(world.runDir, `node-${world.node}.token`);

beforeAll(async () => {
  world = await NodeWorld.start({
    secured: async ({ runDir }) => {
      mesh = new Client(new Connection({ url: `unix://${runDir}/api-mesh.sock` }, { clock }));
      await plugIn(old, old);
    },
  });
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
  mesh?.connection[Symbol.dispose]();
  await world?.[Symbol.asyncDispose]();
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
  });

  it("say so before they are ready, and until when their certificate is good", async () => {
    for (const name of ["server", "client"]) {
      const pod = await world.ready("shop", name);
      expect(pod.metadata.labels).toMatchObject({ [tlsMode]: "istio", app: name });
      expect(certificateOf(pod)).toMatchObject({ status: "True", reason: "Valid" });
      expect(certificateOf(pod)!.message).toContain((await held(name)).serial);
    }
    expect(early).toEqual([]);
    const listed = await mesh.json<{ items: { spec: { pod: string }; status: { certificate?: { state: string } } }[] }>(
      {
        method: "GET",
        path: "/apis/status.mesh.weft.dev/v1alpha1/proxies",
      },
    );
    const states = listed.items.map(({ spec, status }) => [spec.pod, status.certificate?.state] as const);
    expect(Object.fromEntries(states)).toEqual({ client: "Valid", server: "Valid" });
    const { items } = JSON.parse((await world.ask("/pods")).text) as { items: { certificate?: object }[] };
    expect(items.flatMap(({ certificate }) => certificate ?? [])).toMatchObject([
      { phase: "Valid" },
      { phase: "Valid" },
    ]);
  });

  it("get other certificates and roots under load without a failed request", async () => {
    await callsSucceed();
    const step = async (what: string, count: number, ...plugged: Parameters<typeof plugIn>): Promise<void> => {
      const before = await both();
      await plugIn(...plugged);
      await eventually(what, async () =>
        (await both()).every(({ serial, roots }, at) => serial !== before[at]!.serial && roots.length === count),
      );
      await noneFailed((await calls()).ok + 20);
    };
    await step("both roots are trusted", 2, old, old, next);
    await step("the next root signs", 2, next, next, old);
    await step("the old root is dropped", 1, next, next);
    await noneFailed(100);
  });

  it("go on while the control plane is away, also when their agent is replaced, and hear of it when it is back", async () => {
    const before = await both();
    await callsSucceed();
    await world.stopDiscovery();
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
    world.startDiscovery();
    await eventually("both have new ones", async () =>
      (await both()).every(({ serial }, at) => serial !== before[at]!.serial),
    );
    await world.pod("shop", "server", "says so", (pod) => certificateOf(pod)?.reason === "Valid");
    await noneFailed(100);
  });

  it("go on when the control plane is killed while the API is away, and get new certificates when that is back", async () => {
    await world.stopDiscovery();
    const log = join(world.root, "discovery.log");
    await using plane = new DiscoveryProcess(world.discoveryOptions(), log);
    plane.start();
    const renewed = async (from: readonly Held[]): Promise<void> => {
      await eventually(
        "both have new ones",
        async () => (await both()).every(({ serial }, at) => serial !== from[at]!.serial),
        60_000,
      );
    };
    const first = await both();
    await plugIn(next, next, old);
    await renewed(first);
    await callsSucceed();
    const before = await both();
    await world.stopServer();
    await plane.kill();
    plane.start();
    await eventually("it asks for the API", () => readFileSync(log, "utf8").includes("ENOENT"), 60_000);
    await noneFailed((await calls()).ok + 100);
    // It answers nobody: it knows neither the mesh nor whose tokens to take.
    expect(await both()).toEqual(before);
    world.startServer();
    await eventually("the API is back", async () => mesh.json({ method: "GET", path: "/version" }), 60_000);
    await plugIn(next, next);
    await renewed(before);
    await noneFailed((await calls()).ok + 50);
    await plane.kill();
    world.startDiscovery();
  }, 240_000);

  it("are not ready without a certificate, and say why; the agent's token is read again when it changes", async () => {
    const good = readFileSync(tokenFile(), "utf8");
    writeFileSync(tokenFile(), `${good.slice(0, -8)}tampered`);
    await world.create(podManifest("later"));
    const readiness = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "";
    const refused = await world.pod("shop", "later", "is refused", (pod) => readiness(pod).includes("UNAUTHENTICATED"));
    expect(readiness(refused)).toContain("the Pod's proxy has no certificate yet: no certificate was issued: ");
    expect(refused.metadata.labels).not.toHaveProperty(tlsMode);
    writeFileSync(tokenFile(), good);
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
