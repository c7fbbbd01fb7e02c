/** What is seen of a node's proxies while they run, end, refuse and serve: real Envoys, their agent, the control plane, the CLI. */
import { execFile, spawn } from "node:child_process";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { ControlPlane } from "#agent/control-plane.ts";
import { type ProxyReport, reportMethod } from "#api/weft/proxy-report.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { shortId } from "#runtime/names.ts";
import { eventually } from "../support/eventually.ts";
import { type Manifest, NodeWorld } from "./node-world.ts";

const run = promisify(execFile);
let world: NodeWorld;
let mesh: Client;

function podManifest(name: string, args: readonly string[] = [], nodeName = world.node): Manifest {
  const container = {
    name: "app",
    image: "test/program:v1",
    args,
    readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
  };
  const spec = { nodeName, serviceAccountName: name, terminationGracePeriodSeconds: 3, containers: [container] };
  return { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "shop", labels: { app: name } }, spec };
}

/** A route that Envoy alone can refuse: which of its variables there are is for it to say. */
const refusedRoute: Manifest = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "server", namespace: "shop" },
  spec: {
    hosts: ["server"],
    http: [
      {
        headers: { request: { set: { "x-answer": "%NO_SUCH_VARIABLE%" } } },
        route: [{ destination: { host: "server" } }],
      },
    ],
  },
};

const proxiesPath = "/apis/status.mesh.weft.dev/v1alpha1/proxies";

async function proxies(): Promise<readonly ProxyObject[]> {
  const { items } = await mesh.json<{ readonly items: readonly ProxyObject[] }>({ method: "GET", path: proxiesPath });
  return items;
}

/** A Pod's proxy once something is seen of it. */
async function seen(pod: string, what: string, check: (proxy: ProxyObject) => boolean): Promise<ProxyObject> {
  return eventually(`the proxy of ${pod} ${what}`, async () => {
    const found = (await proxies()).find(({ spec }) => spec.pod === pod);
    if (!found || !check(found)) throw new Error(JSON.stringify(found?.status ?? "there is none"));
    return found;
  });
}

/** Says of the mesh what the CLI says. */
async function weft(...args: readonly string[]): Promise<string> {
  const kubeconfig = join(world.root, "kubeconfig");
  const { stdout } = await run(process.execPath, ["src/cli/weft.ts", ...args, "--kubeconfig", kubeconfig]);
  return stdout;
}

beforeAll(async () => {
  world = await NodeWorld.start({ secured: async () => undefined, discovery: false });
  world.reportEveryMs = 1000;
  world.endpointsStaleMs = 3000;
  world.startDiscovery();
  mesh = new Client(new Connection({ url: `unix://${world.runDir}/api-mesh.sock` }, { clock }));
  const server = `unix://${world.runDir}/api-mesh.sock`;
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "mesh", cluster: { server } }],
    users: [],
    contexts: [{ name: "mesh", context: { cluster: "mesh", user: "" } }],
    "current-context": "mesh",
  };
  writeFileSync(join(world.root, "kubeconfig"), JSON.stringify(config));
  world.startAgent();
  const spec = { selector: { app: "server" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] };
  await world.create({ apiVersion: "v1", kind: "Service", metadata: { name: "server", namespace: "shop" }, spec });
  await world.create(podManifest("server"));
  await world.create(podManifest("client", ["--call", "http://server/hello"]));
  await Promise.all([world.ready("shop", "server"), world.ready("shop", "client")]);
}, 120_000);

afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(readFileSync(world.agentLog, "utf8").split("\n").slice(-30).join("\n"));
});

afterAll(async () => {
  mesh?.connection[Symbol.dispose]();
  await world?.[Symbol.asyncDispose]();
});

describe("a proxy's status", { timeout: 60_000 }, () => {
  it("tells of its process, its agent, its certificate and what it holds", async () => {
    const running = await seen(
      "server",
      "runs",
      ({ status }) => status.phase === "Running" && status.usage !== undefined,
    );
    expect(running.spec.envoyVersion).toMatch(/^1\.\d+\.\d+$/);
    expect(running.status).toMatchObject({
      connected: true,
      agent: { version: "0.0.0", live: true },
      process: { restarts: 0 },
      hijack: { state: "IPTables" },
      certificate: { state: "Valid" },
    });
    const { certificateNotAfter = "", usage, configuration } = running.status;
    const left = Date.parse(certificateNotAfter) - clock.now();
    expect(left).toBeGreaterThan(3_000_000);
    expect(left).toBeLessThan(3_700_000);
    expect(usage!.memoryBytes).toBeGreaterThan(10_000_000);
    expect(configuration!.clusters).toBeGreaterThan(3);
    expect(configuration!.listeners).toBeGreaterThan(3);
    const { CDS, LDS } = running.status.types;
    // Envoy has clusters of its bootstrap besides.
    expect(CDS!.resources).toBeGreaterThan(2);
    expect(CDS!.resources).toBeLessThan(configuration!.clusters);
    for (const type of [CDS, LDS]) expect(type!.bytes).toBeGreaterThan(500);
  });

  it("tells of requests: what a client sends and a server gets are rates, and 5xx are errors", async () => {
    const about25 = (rate: number): boolean => rate > 15 && rate < 40;
    await seen("server", "gets requests", ({ status }) => about25(status.traffic!.inbound.requestsPerSecond));
    // Its first calls came before there was a server.
    await seen("client", "sends requests that succeed", ({ status }) => {
      const { requestsPerSecond, errorsPerSecond } = status.traffic!.outbound;
      return about25(requestsPerSecond) && errorsPerSecond === 0;
    });
    const busy = await seen("client", "uses CPU", ({ status }) => status.usage!.cpuMillis > 0);
    expect(busy.status.usage!.cpuMillis).toBeLessThan(2000);
    const counted = await seen("server", "has counted requests and their times", ({ status: { inbound } }) => {
      return inbound !== undefined && inbound.all > 20 && inbound.timed > 20;
    });
    expect(counted.status.inbound!.failed).toBeLessThan(counted.status.inbound!.all);
  });

  it("tells that Envoy was killed, how it ended, and how often it was started again", async () => {
    const pod = await world.pods.get({ namespace: "shop", name: "server" });
    const killed = clock.now();
    process.kill(world.start(pod, "istio-proxy").pid, "SIGKILL");
    const again = await seen("server", "was started again", ({ status }) => status.process?.restarts === 1);
    expect(again.status.process!.lastExit).toMatchObject({ reason: "it was ended by SIGKILL" });
    await eventually("the Pod has an event", async () => {
      const { items } = await world.events.list({ namespace: "shop" });
      const found = items.find(({ reason }) => reason === "ProxyEnded");
      return found?.involvedObject?.name === "server" && found.message?.includes("it was ended by SIGKILL");
    });
    const { startedAt = "" } = (await seen("server", "runs again", ({ status }) => status.phase === "Running")).status
      .process!;
    // Starts are told in whole seconds.
    expect(Date.parse(startedAt)).toBeGreaterThan(killed - 1_000);
    const listed = await weft("sidecar", "list", "-n", "shop");
    expect(listed).toMatch(
      /^PROXY +CLUSTER +TYPE +PHASE +SYNCED +BEHIND +RESTARTS +CERTIFICATE +REVISION +ENVOY +AGENT$/m,
    );
    expect(listed).toMatch(/^server\.shop +east +sidecar +Running +(\d)\/\1 +- +1 +\d+m/m);
    expect(listed).toMatch(/^server\.shop: it was ended by SIGKILL \d+s ago$/m);
    expect(await weft("sidecar", "describe", "server")).toMatch(/^Last exit: +it was ended by SIGKILL \(\d+s ago\)$/m);
    expect(await weft("sidecar", "logs", "server", "--tail", "500")).toMatch(/^\S+ \[.*\]\[warning\]\[main\] /m);
    expect(await weft("sidecar", "logs", "server", "--previous", "--tail", "1")).toMatch(/^\d{4}-.*\n$/);
    const chosen = JSON.parse(await weft("sidecar", "list", "-l", "app=client", "-o", "json")) as ProxyObject[];
    expect(chosen.map(({ spec }) => spec.pod)).toEqual(["client"]);
  });

  it("tells what it refuses, in Envoy's words, and since when", async () => {
    const kubeconfig = join(world.root, "kubeconfig");
    const following = ["sidecar", "logs", "client", "--follow", "--tail", "1", "--kubeconfig", kubeconfig];
    const follower = spawn(process.execPath, ["src/cli/weft.ts", ...following]);
    onTestFinished(() => void follower.kill());
    let logged = "";
    follower.stdout.on("data", (chunk: Buffer) => (logged += chunk.toString()));
    await eventually("the log is followed", () => logged !== "");
    const asked = clock.now();
    await world.create(refusedRoute);
    const refusing = await seen("client", "refuses", ({ status }) =>
      Object.values(status.types).some(({ state }) => state === "NACKED"),
    );
    const nacked = Object.values(refusing.status.types).find(({ state }) => state === "NACKED")!;
    expect(nacked.message).toContain("NO_SUCH_VARIABLE");
    expect(Date.parse(refusing.status.unacknowledgedSince!)).toBeGreaterThan(asked - 1_000);
    expect(await weft("sidecar", "describe", "client")).toMatch(/^refuses \w+ for \d\S*: .*NO_SUCH_VARIABLE/m);
    await eventually("it is in the log that is followed", () => logged.includes("NO_SUCH_VARIABLE"));
    await eventually("the Pod has an event", async () => {
      const { items } = await world.events.list({ namespace: "shop" });
      return items.some(
        ({ reason, message, involvedObject }) =>
          reason === "ProxyRefuses" && involvedObject?.name === "client" && message?.includes("NO_SUCH_VARIABLE"),
      );
    });
    const path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/server";
    await mesh.json({ method: "DELETE", path });
    await seen("client", "has all again", ({ status }) => status.unacknowledgedSince === undefined);
  });
});

/** Stands between a proxy and its agent on the proxy's own socket, and keeps what the agent sends to itself while it is told to. */
class Withholding implements Disposable {
  readonly #path: string;
  readonly #server: Server;
  readonly #fromAgent = new Set<Socket>();
  #withheld = false;

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer((proxy) => {
      const agent = connect(`${path}.agent`);
      this.#fromAgent.add(agent);
      agent.on("close", () => this.#fromAgent.delete(agent));
      for (const [one, other] of [
        [proxy, agent],
        [agent, proxy],
      ] as const) {
        one.on("error", () => other.destroy());
        one.on("close", () => other.destroy());
      }
      proxy.pipe(agent);
      agent.pipe(proxy);
      if (this.#withheld) agent.unpipe(proxy);
    });
  }

  static async at(path: string): Promise<Withholding> {
    const own = new Withholding(path);
    renameSync(path, `${path}.agent`);
    await new Promise<void>((resolve) => {
      own.#server.listen(path, resolve);
    });
    chmodSync(path, 0o777);
    return own;
  }

  /** From now on the proxy hears nothing. */
  begin(): void {
    this.#withheld = true;
    for (const agent of this.#fromAgent) {
      agent.unpipe();
      agent.pause();
    }
  }

  /** The proxy connects anew, and is told all. */
  end(): void {
    this.#withheld = false;
    for (const agent of this.#fromAgent) agent.destroy();
  }

  [Symbol.dispose](): void {
    this.end();
    this.#server.close();
    if (existsSync(`${this.#path}.agent`)) renameSync(`${this.#path}.agent`, this.#path);
  }
}

it("figures of all proxies are metrics of the control plane, a series for each cluster and not for each proxy", async () => {
  const socketPath = join(world.runDir, "discovery.sock");
  const text = await new Promise<string>((resolve, reject) => {
    get({ socketPath, path: "/metrics", agent: false }, (response) => {
      let read = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (read += chunk));
      response.on("end", () => resolve(read));
    }).on("error", reject);
  });
  expect(text).toMatch(/^weft_proxies\{cluster="east",phase="Running"\} 2$/m);
  expect(text).toMatch(/^weft_proxy_restarts\{cluster="east"\} 1$/m);
  expect(text).toMatch(/^weft_proxy_configuration_bytes\{cluster="east",type="LDS"\} \d{4,}$/m);
  expect(text).toMatch(/^weft_proxy_memory_bytes\{cluster="east"\} \d{8,}$/m);
  expect(text).toMatch(/^weft_proxy_requests_per_second\{cluster="east",direction="inbound"\} \d/m);
});

describe("the endpoints of a proxy", { timeout: 90_000 }, () => {
  it("are those that it was sent", async () => {
    const held = await seen("client", "is compared", ({ status }) => status.endpoints?.state === "InSync");
    expect(held.status.endpoints!.addresses).toBeGreaterThan(0);
    expect(held.status.findings).toBeUndefined();
  });

  it("are found to be stale while it hears nothing of a change, and in sync again once it does", async () => {
    const { metadata } = await world.pods.get({ namespace: "shop", name: "client" });
    using between = await Withholding.at(join(world.runDir, "proxies", shortId(metadata.uid), "xds.sock"));
    const pod = await world.pods.get({ namespace: "shop", name: "client" });
    process.kill(world.start(pod, "istio-proxy").pid, "SIGKILL");
    await seen(
      "client",
      "runs by way of the test",
      ({ status }) => status.process?.restarts === 1 && status.phase === "Running",
    );
    await seen("client", "is in sync", ({ status }) => status.endpoints?.state === "InSync");
    between.begin();
    const another = podManifest("server-2");
    await world.create({ ...another, metadata: { name: "server-2", namespace: "shop", labels: { app: "server" } } });
    const { status: made } = await world.ready("shop", "server-2");
    const stale = await seen("client", "is stale", ({ status }) => status.endpoints?.stale?.[0]?.missing !== undefined);
    const address = `${made!.podIP}:8080`;
    expect(stale.status.endpoints).toMatchObject({
      state: "Stale",
      stale: [{ cluster: "outbound|80||server.shop.svc.cluster.local", surplus: [], missing: [address] }],
    });
    expect(stale.status.types["EDS"]!.state).toBe("STALE");
    const words = await eventually("it is a finding, and Kubernetes was asked", async () => {
      const { items } = await mesh.json<{ items: { spec: { code: string; message: string; pod: string } }[] }>({
        method: "GET",
        path: "/apis/status.mesh.weft.dev/v1alpha1/proxyfindings",
      });
      const found = items.find(({ spec }) => spec.code === "ProxyEndpointsStale" && spec.pod === "client");
      return found?.spec.message.includes("(1 of them ready in Kubernetes)") === true ? found.spec.message : undefined;
    });
    expect(words).toContain(`lacks ${address} (1 of them`);
    expect(await weft("sidecar", "list", "-n", "shop")).toContain(
      "client.shop: ProxyEndpointsStale: it holds other endpoints",
    );
    await eventually("the Pod has an event", async () => {
      const { items } = await world.events.list({ namespace: "shop" });
      return items.some(
        ({ reason, involvedObject }) => reason === "ProxyEndpointsStale" && involvedObject?.name === "client",
      );
    });
    between.end();
    await seen("client", "is in sync again", ({ status }) => status.endpoints?.state === "InSync" && !status.findings);
  });
});

/** A stream of reports as the node's agent opens one, and how it ended. */
class Claim implements Disposable {
  readonly #connection = new ControlPlane({
    address: `unix:${world.runDir}/ads.sock`,
    trust: {
      rootsFile: join(world.stateDir, "agents", world.node, "roots.pem"),
      tokenFile: join(world.runDir, `node-${world.node}.token`),
      serverName: "istiod.istio-system.svc",
    },
    logger,
  });
  readonly #way = this.#connection.connect();
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly ended: Promise<string>;

  constructor() {
    const metadata = this.#connection.metadata();
    metadata.set("clusterid", "east");
    const same = (bytes: Buffer): Buffer => bytes;
    this.#stream = this.#way.client.makeBidiStreamRequest(reportMethod, same, same, metadata);
    this.ended = new Promise((resolve) => {
      this.#stream.on("error", (error) => resolve(error.message));
      this.#stream.on("end", () => resolve("ended"));
      this.#stream.resume();
    });
  }

  say(word: object): void {
    this.#stream.write(Buffer.from(JSON.stringify(word)));
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
    this.#way[Symbol.dispose]();
  }
}

const hello = (pod: string): object => ({
  kind: "hello",
  node: { id: `sidecar~10.10.9.9~${pod}.shop~shop.svc.cluster.local`, cluster: "east", namespace: "shop" },
});

const report: ProxyReport = { agent: "9", process: "Running", ready: true, restarts: 77 };

describe("what an agent says is refused", { timeout: 60_000 }, () => {
  it("of a proxy of another node", async () => {
    await world.create(podManifest("elsewhere", [], "node-2"));
    using claim = new Claim();
    claim.say(hello("elsewhere"));
    claim.say({ kind: "report", report });
    expect(await claim.ended).toMatch(/PERMISSION_DENIED.*may not be the proxy .*elsewhere/);
    expect((await proxies()).map(({ spec }) => spec.pod)).not.toContain("elsewhere");
  });

  it.each([
    ["of a Pod that there is not", [hello("nobody")], /PERMISSION_DENIED.*no such Pod/],
    ["before it says of which proxy", [{ kind: "report", report }], /INVALID_ARGUMENT.*first message/],
    ["in a message that is too long", [{ kind: "hello", more: "x".repeat(300_000) }], /RESOURCE_EXHAUSTED/],
    ["in a message that is none", [{ kind: "other" }], /INVALID_ARGUMENT.*none of hello, report/],
  ])("%s", async (_, words, why) => {
    using claim = new Claim();
    for (const word of words) claim.say(word);
    expect(await claim.ended).toMatch(why);
  });

  it("more often than it may", async () => {
    using claim = new Claim();
    for (let at = 0; at < 30; at += 1) claim.say(at === 0 ? hello("nobody") : { kind: "report", report });
    expect(await claim.ended).toMatch(/RESOURCE_EXHAUSTED|PERMISSION_DENIED/);
  });
});
