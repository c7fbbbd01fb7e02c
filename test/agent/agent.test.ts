import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { hijackCondition } from "#api/kubernetes/pod-status.ts";
import { hijackKey, sockmapKey } from "#api/weft/hijack-mode.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { mesh, type Mesh } from "#api/weft/mesh.ts";
import { freePort } from "#base/free-port.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { sandboxName, sandboxesOf } from "#runtime/sandbox.ts";
import { busy, eventually } from "../support/eventually.ts";
import { NodeWorld, isReady } from "./node-world.ts";

let world: NodeWorld;

interface Entry {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly container?: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
}

function podManifest(
  name: string,
  { namespace = "plain", labels = {}, annotations = {}, container = {}, spec = {} }: Entry,
) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name, ...labels }, annotations },
    spec: {
      nodeName: world.node,
      terminationGracePeriodSeconds: 3,
      containers: [
        {
          name: "app",
          image: "test/program:v1",
          env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
          readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
          ...container,
        },
      ],
      ...spec,
    },
  };
}

function shell(script: string, name: string) {
  return { name, image: "test/sh", args: [script] };
}

function serviceManifest(name: string) {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "shop" },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
  };
}

const run = async (name: string, entry: Entry = {}): Promise<void> => world.create(podManifest(name, entry));

function containerOf(pod: Pod) {
  return pod.status!.containerStatuses![0]!;
}

async function remove(namespace: string, name: string): Promise<void> {
  await world.pods.delete({ namespace, name });
  await eventually(`${name} is gone`, async () => (await world.pods.find({ namespace, name })) === undefined);
}

beforeAll(async () => {
  world = await NodeWorld.start();
  world.startAgent();
});

/** The end of an agent's log, without what only says that somebody is away. */
function interesting(log: string): string {
  const lines = log.split("\n").filter((line) => !/was not written|xDS stream ended|heartbeat failed/.test(line));
  return lines.slice(-15).join("\n");
}

afterEach(({ task }) => {
  if (task.result?.state === "fail") console.error(interesting(readFileSync(world.agentLog, "utf8")));
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

describe("a node's agent", () => {
  it("registers the node with its network, its addresses and its lease", async () => {
    const node = await eventually("the node is ready", async () => {
      const found = await world.nodes.find({ name: world.node });
      return found?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True")
        ? found
        : undefined;
    });
    expect(node.spec.podCIDR).toBe("10.10.0.0/24");
    expect(node.status!.addresses).toContainEqual({ type: "InternalIP", address: "10.10.0.1" });
    expect(node.metadata.labels).toMatchObject({
      "topology.kubernetes.io/region": "r",
      "topology.kubernetes.io/zone": "z",
    });
    expect(node.metadata.annotations!["mesh.weft.dev/agent-socket"]).toBe(`${world.runDir}/node-node-1.sock`);
    const path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1";
    const lease = await eventually("the lease is renewed", async () =>
      world.client.json<{ spec: { renewTime: string } }>({ method: "GET", path }),
    );
    expect(Math.abs(Date.parse(lease.spec.renewTime) - Date.now())).toBeLessThan(15_000);
  });

  it("runs a Pod: network, environment, probes, status, events, logs", async () => {
    await run("first", {
      container: {
        args: ["$(GREETING)", "$$(X)"],
        env: [
          { name: "GREETING", value: "hello" },
          { name: "TWICE", value: "$(GREETING) $(GREETING) $(NONE)" },
          { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
        ],
      },
    });
    const pod = await world.ready("plain", "first");
    const { status } = pod;
    expect(status).toMatchObject({ phase: "Running", hostIP: "10.10.0.1", qosClass: "BestEffort" });
    expect(status!.podIP).toMatch(/^10\.10\.0\.\d+$/);
    expect(containerOf(pod)).toMatchObject({ ready: true, started: true, restartCount: 0 });
    const { env } = await world.inPod<{ env: Record<string, string> }>("plain", "first", 8080, "/");
    expect(env).toMatchObject({ TWICE: "hello hello $(NONE)", IP: status!.podIP, HOSTNAME: "first" });
    expect((await world.ask("/containerLogs/plain/first/app")).text).toBe("listening on 8080\n");
    expect((await world.ask("/containerLogs/plain/first/app?timestamps=true")).text).toMatch(/^2\S+Z listening/);
    await expect
      .poll(async () => (await world.events.list({ namespace: "plain" })).items.map(({ reason }) => reason))
      .toEqual(expect.arrayContaining(["Created", "Started"]));
    await remove("plain", "first");
  });

  it("says what is wrong with a Pod that cannot run", async () => {
    await run("unknown", { container: { image: "nobody/has:this" } });
    const unknown = await world.pod(
      "plain",
      "unknown",
      "waits",
      (pod) => containerOf(pod)?.state?.waiting?.reason === "ErrImagePull",
    );
    expect(containerOf(unknown).state!.waiting!.message).toContain('no program for the image "nobody/has:this"');
    await run("lacking", {
      container: { env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "a" } } }] },
    });
    const lacking = await world.pod(
      "plain",
      "lacking",
      "waits",
      (pod) => containerOf(pod)?.state?.waiting?.reason === "CreateContainerConfigError",
    );
    expect(containerOf(lacking).state!.waiting!.message).toBe("there is no ConfigMap settings");
    await Promise.all([remove("plain", "unknown"), remove("plain", "lacking")]);
  });

  it("notices an end at once, starts again, and backs off from a program that keeps ending", async () => {
    await run("restarting");
    await world.ready("plain", "restarting");
    const before = performance.now();
    await world.ask("/proxy/plain/restarting/8080/exit/3");
    await world.pod("plain", "restarting", "is not ready", (pod) => !isReady(pod));
    expect(performance.now() - before).toBeLessThan(1000 * busy);
    const again = await world.pod(
      "plain",
      "restarting",
      "is ready again",
      (pod) => isReady(pod) && containerOf(pod).restartCount === 1,
    );
    expect(containerOf(again).lastState!.terminated).toMatchObject({ exitCode: 3, reason: "Error" });
    expect((await world.ask("/containerLogs/plain/restarting/app?previous=true")).text).toContain("listening");
    await world.ask("/proxy/plain/restarting/8080/exit/0");
    const waiting = await world.pod(
      "plain",
      "restarting",
      "backs off",
      (pod) => containerOf(pod).state?.waiting !== undefined,
    );
    expect(containerOf(waiting).state!.waiting!.reason).toBe("CrashLoopBackOff");
    await remove("plain", "restarting");
  });

  it("runs to the end what is to end, init containers first", async () => {
    await run("job", {
      spec: {
        restartPolicy: "Never",
        initContainers: [shell("echo prepared; sleep 0.2", "prepare")],
        containers: [shell("echo worked", "work")],
      },
    });
    const done = await world.pod("plain", "job", "has ended", (pod) => pod.status?.phase === "Succeeded");
    expect(done.status!.containerStatuses![0]!.state!.terminated).toMatchObject({ exitCode: 0, reason: "Completed" });
    const [first] = done.status!.initContainerStatuses!;
    expect(first!.state!.terminated!.finishedAt! <= containerOf(done).state!.terminated!.startedAt!).toBe(true);
    expect((await world.ask("/containerLogs/plain/job/work")).text).toBe("worked\n");
    await run("failing", { spec: { restartPolicy: "Never", containers: [shell("exit 5", "work")] } });
    await world.pod("plain", "failing", "has failed", (pod) => pod.status?.phase === "Failed");
    await Promise.all([remove("plain", "job"), remove("plain", "failing")]);
  });

  it("starts a container anew when its image is changed", async () => {
    await run("changing");
    const before = await world.ready("plain", "changing");
    const spec = { containers: before.spec.containers.map((one) => ({ ...one, image: "test/program:v2" })) };
    await world.pods.patch({ namespace: "plain", name: "changing" }, { kind: "merge", body: { spec } });
    const after = await world.pod(
      "plain",
      "changing",
      "runs the other image",
      (pod) => isReady(pod) && containerOf(pod).restartCount === 1,
    );
    expect(containerOf(after)).toMatchObject({ image: "test/program:v2", lastState: { terminated: { exitCode: 0 } } });
    await remove("plain", "changing");
  });

  it("takes traffic away from a Pod whose readiness fails, and restarts one whose liveness does", async () => {
    await run("unready", {
      container: { readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1, failureThreshold: 1 } },
    });
    await world.ready("plain", "unready");
    await world.ask("/proxy/plain/unready/8080/unready");
    await world.pod("plain", "unready", "is not ready", (pod) => !isReady(pod));
    await run("dying", {
      container: {
        readinessProbe: { exec: { command: ["sh", "-c", "test $POD_NAME = dying"] }, periodSeconds: 1 },
        livenessProbe: { tcpSocket: { port: 8081 }, periodSeconds: 1, failureThreshold: 2 },
      },
    });
    const dying = await world.pod("plain", "dying", "is restarted", (pod) => containerOf(pod)?.restartCount === 1);
    expect(containerOf(dying).lastState!.terminated).toMatchObject({ exitCode: 0 });
    await Promise.all([remove("plain", "unready"), remove("plain", "dying")]);
  });

  it("runs a probe's command as the container: its user, its folder", async () => {
    const script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    const command = ["sh", "-c", 'test "$(id -u):$(id -g):$(pwd)" = 65534:65534:/usr'];
    await run("modest", {
      container: {
        ...shell(script, "app"),
        workingDir: "/usr",
        securityContext: { runAsUser: 65534 },
        readinessProbe: { exec: { command }, periodSeconds: 1 },
      },
    });
    expect(containerOf(await world.ready("plain", "modest")).restartCount).toBe(0);
    await remove("plain", "modest");
  });

  it("says again how a Pod is when others have said otherwise, also while no agent ran", async () => {
    await run("doubted");
    const takeBack = async (pod: Pod): Promise<void> => {
      const conditions = pod.status!.conditions!.map((one) =>
        one.type === "Ready" ? { ...one, status: "False" } : one,
      );
      const patch = { kind: "merge", body: { status: { conditions } } } as const;
      const written = await world.pods.patch(pod.metadata, patch, { subresource: "status" });
      expect(isReady(written)).toBe(false);
    };
    await takeBack(await world.ready("plain", "doubted"));
    const again = await world.ready("plain", "doubted");
    await world.endAgent("SIGKILL");
    await takeBack(again);
    world.startAgent();
    await world.ready("plain", "doubted");
    await remove("plain", "doubted");
  });

  it("leaves nothing of the Pods that were removed", async () => {
    await expect.poll(() => sandboxesOf(world.instance)).toEqual([]);
  });
});

interface Calls {
  readonly ok: number;
  readonly failed: number;
  readonly last: string;
  readonly problems: readonly string[];
}

async function calls(): Promise<Calls> {
  return world.inPod<Calls>("shop", "client", 8080, "/calls");
}

/** From now on, calls succeed. */
async function callsSucceed(): Promise<void> {
  await eventually("the client answers", async () => world.inPod("shop", "client", 8080, "/calls?forget"));
  await eventually("calls succeed", async () => (await calls()).ok > 20);
}

describe("Pods with sidecars", () => {
  it("call each other by name through their proxies", async () => {
    await world.create(serviceManifest("server"));
    await run("server", { namespace: "shop" });
    await run("client", { namespace: "shop", container: { args: ["--call", "http://server/hello"] } });
    const [server] = await Promise.all([world.ready("shop", "server"), world.ready("shop", "client")]);
    expect(server.status!.conditions).toContainEqual(
      expect.objectContaining({ type: "mesh.weft.dev/ProxyReady", status: "True" }),
    );
    await eventually("calls succeed", async () => (await calls()).ok > 5);
    const { env } = JSON.parse((await calls()).last) as { env: Record<string, string> };
    expect(env["POD_NAME"]).toBe("server");
    const stats = (await world.ask("/proxy/shop/server/15000/stats?filter=inbound.*rq_total")).text;
    expect(stats).toMatch(/http\.inbound_.*downstream_rq_total: [1-9]/);
    const info = await world.inPod<{ node: { id: string } }>("shop", "server", 15000, "/server_info");
    expect(info.node.id).toBe(`sidecar~${server.status!.podIP}~server.shop~shop.svc.cluster.local`);
  });

  it("have proxies of a user each, of which none gets at another's socket", async () => {
    const proxies = await Promise.all(
      ["client", "server"].map(async (name) =>
        world.start(await world.pods.get({ namespace: "shop", name }), "istio-proxy"),
      ),
    );
    const [one, two] = proxies.map(({ pid }) => {
      const { uid, gid } = statSync(`/proc/${pid}`);
      return { pid, uid, gid };
    });
    expect([one!.gid, two!.gid]).toEqual([1337, 1337]);
    expect(one!.uid).not.toBe(two!.uid);
    const look = (pid: number): string => {
      const user = ["setpriv", `--reuid=${one!.uid}`, "--regid=1337", "--clear-groups"];
      const { stdout, stderr } = spawnSync(user[0]!, [...user.slice(1), "ls", `/proc/${pid}/root/run/weft`], {
        encoding: "utf8",
      });
      return `${stdout}${stderr}`;
    };
    expect(look(one!.pid)).toContain("xds.sock");
    expect(look(two!.pid)).toMatch(/Permission denied/);
  });

  it("are counted in the mesh's status", async () => {
    const path = "/apis/mesh.weft.dev/v1alpha1/meshes/default";
    const ready = await eventually("both are in sync", async () => {
      const { status } = await world.client.json<Mesh>({ method: "GET", path });
      return status?.conditions?.find(({ message }) => message === "2 proxies connected, 2 in sync");
    });
    expect(ready).toMatchObject({ type: "Ready", status: "True", reason: "Serving" });
  });

  it("go on while the agent is killed and replaced, without a failed request", async () => {
    const pids = async (): Promise<unknown> => {
      const { items } = JSON.parse((await world.ask("/pods")).text) as { items: { containers: unknown }[] };
      return [
        items.map(({ containers }) => containers),
        await world.inPod("shop", "server", 8080, "/").then((at) => (at as { pid: number }).pid),
      ];
    };
    await world.inPod("shop", "client", 8080, "/calls?forget");
    const before = await calls();
    const known = await pids();
    await world.endAgent("SIGKILL");
    await new Promise((resolve) => {
      setTimeout(resolve, 1500);
    });
    world.startAgent();
    await eventually("the next agent answers", async () => (await world.ask("/healthz")).text === "ok");
    await eventually("calls go on", async () => (await calls()).ok > before.ok + 100);
    const after = await calls();
    expect(after.problems).toEqual([]);
    expect(after.failed).toBe(0);
    expect(await pids()).toEqual(known);
    expect(isReady(await world.pods.get({ namespace: "shop", name: "server" }))).toBe(true);
  });

  it("are led by eBPF where they ask for it, and nothing of that stays", async () => {
    const annotations = { [hijackKey]: "ebpf", [sockmapKey]: "true" };
    await world.create(serviceManifest("led"));
    await run("led", { namespace: "shop", annotations });
    await run("leading", { namespace: "shop", annotations, container: { args: ["--call", "http://led/hello"] } });
    const there = await Promise.all([world.ready("shop", "led"), world.ready("shop", "leading")]);
    await eventually("calls succeed", async () => (await world.inPod<Calls>("shop", "leading", 8080, "/calls")).ok > 5);
    await eventually("their status tells of the shortcut", async () => {
      const { status } = await world.pods.get({ namespace: "shop", name: "led" });
      const told = status?.conditions?.find(({ type }) => type === hijackCondition);
      return told?.reason === "EBPF" && told.message?.includes("sockmap");
    });
    const pins = `/sys/fs/bpf/weft-${world.instance}-${world.node}`;
    expect(readdirSync(`${pins}/pods`)).toHaveLength(2);
    const near = ["-j", "map", "dump", "pinned", `${pins}/maps/weft_near`];
    expect(JSON.parse(execFileSync("bpftool", near, { encoding: "utf8" }))).toHaveLength(2);
    const hasRules = ({ metadata }: Pod): boolean => {
      const namespace = namespacePath(sandboxName({ instance: world.instance, pod: metadata.uid }));
      const words = [`--net=${namespace}`, "iptables-save", "-t", "nat"];
      return execFileSync("nsenter", words, { encoding: "utf8" }).includes("ISTIO");
    };
    expect(there.map(hasRules)).toEqual([false, false]);
    const proxied = async (name: string, direction: string): Promise<void> => {
      const path = `/proxy/shop/${name}/15000/stats?filter=${direction}.*downstream_rq_total`;
      expect((await world.ask(path)).text).toMatch(/downstream_rq_total: [1-9]/);
    };
    await proxied("led", "http.inbound");
    await proxied("leading", "http.outbound");
    const starts = (): unknown => there.flatMap((pod) => ["app", "istio-proxy"].map((name) => world.start(pod, name)));
    const before = starts();
    await world.inPod("shop", "leading", 8080, "/calls?forget");
    for (const mode of ["iptables", "ebpf"] as const) {
      const body = { metadata: { annotations: { [hijackKey]: mode } } };
      for (const name of ["led", "leading"])
        await world.pods.patch({ namespace: "shop", name }, { kind: "merge", body });
      // Somewhere in the middle.
      await new Promise((resolve) => {
        setTimeout(resolve, 60);
      });
      await world.endAgent("SIGKILL");
      world.startAgent();
      await eventually(`both are led by ${mode}`, () => there.every((pod) => hasRules(pod) === (mode === "iptables")));
    }
    const annotate = async (name: string, word: string | null): Promise<unknown> => {
      const body = { metadata: { annotations: { [hijackKey]: word } } };
      return world.pods.patch({ namespace: "shop", name }, { kind: "merge", body });
    };
    const ofMesh = async (hijack: string | null): Promise<unknown> =>
      world.client.of<Mesh>(mesh).patch({ name: "default" }, { kind: "merge", body: { spec: { hijack } } });
    const ofNamespace = async (word: string | null): Promise<unknown> => {
      const body = { metadata: { labels: { [hijackKey]: word } } };
      return world.client.of(namespace).patch({ name: "shop" }, { kind: "merge", body });
    };
    const led = async (...modes: readonly ("iptables" | "ebpf")[]): Promise<void> => {
      await eventually(`they are led by ${modes.join(" and ")}`, () =>
        there.every((pod, at) => hasRules(pod) === (modes[at] === "iptables")),
      );
    };
    // The Pod's word goes before the namespace's, and that before the mesh's.
    for (const name of ["led", "leading"]) await annotate(name, null);
    await led("iptables", "iptables");
    await ofMesh("ebpf");
    await led("ebpf", "ebpf");
    await ofNamespace("iptables");
    await led("iptables", "iptables");
    await annotate("led", "ebpf");
    await led("ebpf", "iptables");
    await annotate("led", "epbf");
    await led("iptables", "iptables");
    await eventually("the word is told of", async () => {
      const { items } = await world.events.list({ namespace: "shop" });
      return items.some(({ reason, message }) => reason === "InvalidHijack" && message?.includes('"epbf"'));
    });
    await ofMesh(null);
    await ofNamespace(null);
    const after = await world.inPod<Calls>("shop", "leading", 8080, "/calls");
    expect(after).toMatchObject({ failed: 0, problems: [] });
    expect(after.ok).toBeGreaterThan(20);
    expect(starts()).toEqual(before);
    for (const name of ["led", "leading"]) await remove("shop", name);
    await eventually("nothing is in the kernel", () => !existsSync(pins));
  });

  it("have their proxy back within two seconds of its end", async () => {
    const server = await world.pods.get({ namespace: "shop", name: "server" });
    const old = world.start(server, "istio-proxy");
    process.kill(old.pid, "SIGKILL");
    const ended = Date.now();
    const next = await eventually("another proxy runs", () => {
      const start = world.start(server, "istio-proxy");
      return start.pid === old.pid ? undefined : start;
    });
    expect(next.startedAt - ended).toBeLessThan(2000 * busy);
    await eventually("it has its configuration", async () => {
      const { state } = await world.inPod<{ state: string }>("shop", "server", 15000, "/server_info");
      return state === "LIVE";
    });
    await world.ready("shop", "server");
  });

  it("serve on while the control plane is away, and hear of changes when it is back", async () => {
    await callsSucceed();
    await world.stopDiscovery();
    await callsSucceed();
    expect((await calls()).problems).toEqual([]);
    world.startDiscovery();
    await run("later", { namespace: "shop" });
    await world.ready("shop", "later");
    await remove("shop", "later");
  });

  it("look up names again within two seconds of the name server's end", async () => {
    const old = world.nameServer();
    process.kill(old, "SIGKILL");
    await eventually("another one runs", () => world.nameServer() !== old);
    await callsSucceed();
    await callsSucceed();
    expect((await calls()).problems).toEqual([]);
  });

  it("are kept running while the API is away, and their ends are known afterwards", async () => {
    const client = await world.pods.get({ namespace: "shop", name: "client" });
    const before = world.start(client, "app");
    await world.endAgent("SIGKILL");
    await world.stopServer();
    process.kill(before.pid, "SIGKILL");
    world.startAgent();
    const after = await eventually("another start", () => {
      const now = world.start(client, "app");
      return now.pid === before.pid ? undefined : now;
    });
    await callsSucceed();
    world.startServer();
    const told = await world.pod(
      "shop",
      "client",
      "tells of its restart",
      (pod) => isReady(pod) && containerOf(pod).restartCount === 1,
    );
    expect(containerOf(told).lastState!.terminated).toMatchObject({ exitCode: 137, signal: 9 });
    expect(world.start(client, "app")).toEqual(after);
  });

  it("go without a failed request when one of two is removed", async () => {
    await run("server-2", { namespace: "shop", labels: { app: "server" } });
    await world.ready("shop", "server-2");
    await eventually("both are called", async () => (await calls()).last.includes("server-2"));
    await world.inPod("shop", "client", 8080, "/calls?forget");
    await remove("shop", "server");
    await eventually("calls go on", async () => (await calls()).ok > 50);
    expect((await calls()).problems).toEqual([]);
    expect((await calls()).last).toContain("server-2");
  });

  it("are refused with the reason when their annotations are wrong", async () => {
    await run("mistaken", {
      namespace: "shop",
      annotations: { "traffic.sidecar.istio.io/excludeInboundPorts": "80,http" },
    });
    const told = await eventually("an event tells", async () => {
      const { items } = await world.events.list({ namespace: "shop" });
      return items.find(({ reason }) => reason === "FailedCreatePodSandBox");
    });
    expect(told.message).toBe('annotation traffic.sidecar.istio.io/excludeInboundPorts: "http" is not a port');
    await remove("shop", "mistaken");
  });
});

function gatewayManifest(hostPort: number) {
  return podManifest("gateway", {
    namespace: "shop",
    labels: { "sidecar.istio.io/inject": "true", istio: "gateway" },
    annotations: { "inject.istio.io/templates": "gateway" },
    spec: {
      containers: [{ name: "istio-proxy", image: "auto", ports: [{ name: "http", containerPort: 8080, hostPort }] }],
    },
  });
}

describe("a gateway", () => {
  it("leads from a port of the host into the mesh, while agents come and go", async () => {
    const istio = "networking.istio.io/v1";
    const metadata = { name: "gateway", namespace: "shop" };
    await world.create({
      apiVersion: istio,
      kind: "Gateway",
      metadata,
      spec: {
        selector: { istio: "gateway" },
        servers: [{ port: { number: 8080, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
      },
    });
    await world.create({
      apiVersion: istio,
      kind: "VirtualService",
      metadata,
      spec: { hosts: ["*"], gateways: ["gateway"], http: [{ route: [{ destination: { host: "server" } }] }] },
    });
    const port = await freePort();
    const taken = createServer().listen(port, "127.0.0.1");
    await once(taken, "listening");
    await world.create(gatewayManifest(port));
    const waiting = await world.pod(
      "shop",
      "gateway",
      "tells that the port is taken",
      ({ status }) => status?.conditions?.find(({ type }) => type === "Ready")?.reason === "HostPortNotAvailable",
    );
    expect(waiting.status!.conditions!.find(({ type }) => type === "Ready")!.message).toBe(
      `host port ${port}: 127.0.0.1:${port} is taken by another program`,
    );
    taken.close();
    await world.ready("shop", "gateway");
    const ask = async (): Promise<unknown> => {
      const response = await fetch(`http://127.0.0.1:${port}/through`);
      return response.status === 200 ? ((await response.json()) as { pod: string }).pod : undefined;
    };
    await eventually("the gateway leads to the server", async () => (await ask()) === "server-2");
    await world.endAgent("SIGTERM");
    expect(await ask()).toBe("server-2");
    world.startAgent();
    await eventually("the next agent answers", async () => (await world.ask("/healthz")).text === "ok");
    expect(await ask()).toBe("server-2");
    await remove("shop", "gateway");
    await expect(ask()).rejects.toThrow("fetch failed");
  });
});
