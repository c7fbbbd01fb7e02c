/** Node-managed sidecars on a real node: an agent beside the kubelet gives Envoys to Pods that know nothing of it. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeAgentAccount } from "#agent/managed/node-agent-objects.ts";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { command } from "#runtime/command.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { Daemon } from "./daemon.ts";
import { startDns } from "./dns.ts";
import { type Image, toolsImage } from "./image.ts";
import { startMesh, type TestMesh } from "./mesh.ts";
import { ClusterNetwork } from "./network.ts";
import { type KubernetesNode, startNode } from "./node.ts";
import { startNodeAgent } from "./node-agent.ts";

const resources = new AsyncDisposableStack();
let cluster: Cluster;
let network: ClusterNetwork;
let mesh: TestMesh;
let node: KubernetesNode;
let agent: Daemon;
let tools: Image;

/** Milliseconds that a command may take on a busy machine. */
const patience = 200_000;
/** Its one file is read by Pods as `/program.ts`, too. */
const program = join(import.meta.dirname, "..", "agent", "program.ts");

async function kubectl(line: string | readonly string[], input = ""): Promise<string> {
  const outcome = await cluster.kubectl(line, { input, patience });
  if (outcome.code !== 0) throw new Error(`kubectl ${String(line)}: ${outcome.stderr}\n${agent.log}`);
  return outcome.stdout.trim();
}

const apply = async (...objects: readonly object[]): Promise<string> =>
  kubectl("apply -f -", objects.map((object) => JSON.stringify(object)).join("\n---\n"));

/** A Pod that answers at 8080, and calls a URL 25 times a second where one is told. */
function programPod(namespace: string, name: string, call?: string): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 2,
      containers: [
        {
          name: "program",
          image: tools.name,
          imagePullPolicy: "Never",
          command: ["node", "/program.ts", ...(call === undefined ? [] : ["--call", call])],
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/ready", port: "http" }, periodSeconds: 1, timeoutSeconds: 5 },
        },
      ],
    },
  };
}

function serviceOf(namespace: string, name: string): object {
  const spec = { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] };
  return { apiVersion: "v1", kind: "Service", metadata: { namespace, name }, spec };
}

const namespaceOf = (name: string, labels = {}): object => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});
const fieldOf = async (namespace: string, pod: string, path: string): Promise<string> =>
  kubectl(`get pod -n ${namespace} ${pod} -o jsonpath=${path}`);
const addressOf = async (namespace: string, pod: string): Promise<string> => fieldOf(namespace, pod, "{.status.podIP}");
const conditionOf = async (namespace: string, pod: string, field = "status"): Promise<string> =>
  fieldOf(namespace, pod, `{.status.conditions[?(@.type=="mesh.weft.dev/TrafficCaptured")].${field}}`);

/** A program of the node gets no token from the kubelet, as the agents of a DaemonSet do: it asks for its own. */
function tokenRights(): readonly object[] {
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const metadata = { name: "weft-agent-token" };
  const name = "weft-agent";
  const rules = [
    { verbs: ["get"], apiGroups: [""], resources: ["nodes"] },
    { verbs: ["create"], apiGroups: [""], resources: ["serviceaccounts/token"], resourceNames: [name] },
  ];
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: metadata.name };
  const subjects = [{ kind: "ServiceAccount", name, namespace: "istio-system" }];
  return [
    { apiVersion, kind: "ClusterRole", metadata, rules },
    { apiVersion, kind: "ClusterRoleBinding", metadata, roleRef, subjects },
  ];
}

/** What a caller's calls came to since it began to count. */
interface Calls {
  readonly begun: number;
  readonly ok: number;
  readonly failed: number;
  readonly seconds: number;
  readonly problems: readonly string[];
}

const asked = ["curl", "--silent", "--show-error", "--max-time", "10"] as const;
/** Asks one who calls how its calls went, from beside it. */
async function callsOf(run: (argv: readonly string[]) => Promise<string>): Promise<Calls> {
  return JSON.parse(await run([...asked, "http://127.0.0.1:8080/calls"])) as Calls;
}
const inPod = (namespace: string, pod: string) => async (argv: readonly string[]) =>
  kubectl(["exec", "-n", namespace, pod, "--", ...argv]);
const outside = async (argv: readonly string[]): Promise<string> =>
  command(inside(namespacePath(network.outside), argv));

/** Begins to count anew. */
async function forget(...callers: readonly ((argv: readonly string[]) => Promise<string>)[]): Promise<void> {
  await Promise.all(callers.map(async (run) => run([...asked, "http://127.0.0.1:8080/calls?forget"])));
}

/** Processes of Envoys in the control groups of a Pod. */
async function proxiesOf(namespace: string, pod: string): Promise<readonly string[]> {
  const uid = await fieldOf(namespace, pod, "{.metadata.uid}");
  const found = await node.run([
    "sh",
    "-c",
    `cat $(find /sys/fs/cgroup -path '*pod${uid}/weft-proxy/cgroup.procs') < /dev/null`,
  ]);
  const ids = [...new Set(found.split("\n").filter((id) => id !== ""))];
  const names = await Promise.all(ids.map(async (id) => node.run(["cat", `/proc/${id}/comm`])));
  return names.map((name) => name.trim()).filter((name) => name.startsWith("envoy"));
}

const setMode = async (mode: string): Promise<void> => {
  const policies = mesh.api.client.of(peerAuthentication);
  const at = { namespace: "istio-system", name: "default" };
  await policies.delete(at).catch(() => undefined);
  await policies.create({ metadata: at, spec: { mtls: { mode } } });
};

beforeAll(async () => {
  network = resources.use(await ClusterNetwork.create("managed"));
  const files = { "/usr/bin/node": process.execPath, "/program.ts": program };
  tools = resources.use(await toolsImage("weft.dev/test/tools:1", ["curl"], files));
  cluster = resources.use(await startCluster({ name: "one", network }));
  resources.use(await startDns(cluster));
  node = resources.use(await startNode(cluster, { name: "n1", images: [tools] }));
  mesh = resources.use(await startMesh(cluster));
  agent = resources.use(startNodeAgent(cluster, node));
  await apply(...nodeAgentAccount(), ...tokenRights());
  await apply(namespaceOf("shop"), namespaceOf("plain"), namespaceOf("strict", { "mesh.weft.dev/sidecar": "node" }));
  await apply(programPod("shop", "b"), serviceOf("shop", "b"), programPod("plain", "stranger"));
  await apply(programPod("shop", "a", "http://b.shop.svc.cluster.local/"));
  await kubectl("wait pod --all -n shop --for=condition=Ready --timeout=3m");
});
afterAll(() => resources.disposeAsync());

const identities = async (): Promise<string> =>
  kubectl(
    "get pods -n shop -o jsonpath={range.items[*]}{.metadata.uid}{.status.containerStatuses[*].containerID}{.status.containerStatuses[*].restartCount}{end}",
  );

test("the mesh is enabled and disabled for a namespace under traffic: nothing restarts, no request fails", async () => {
  const url = `http://${await addressOf("shop", "b")}:8080/`;
  const argv = inside(namespacePath(network.outside), [process.execPath, program, "--call", url]);
  await using stranger = new Daemon({
    name: "a caller outside",
    argv,
    log: join(cluster.folder, "caller.log"),
  }).start();
  const before = await identities();
  const callers = [inPod("shop", "a"), outside] as const;
  await eventually("both call", async () => {
    const calls = await Promise.all(callers.map(callsOf));
    return calls.every(({ ok }) => ok > 20);
  }).catch((fault: unknown) => {
    throw new Error(stranger.log, { cause: fault });
  });
  const counted = async (what: string): Promise<void> => {
    for (const run of callers) {
      const calls = await callsOf(run);
      expect(calls, `${what}\n${agent.log}`).toMatchObject({ failed: 0, problems: [] });
      expect(calls.ok / calls.seconds).toBeGreaterThan(20);
    }
  };

  const held = `${await addressOf("shop", "b")} 8080`;
  await inPod("shop", "a")(["sh", "-c", `(sleep 1000 | nc ${held} > /dev/null 2>&1) > /dev/null 2>&1 &`]);
  await forget(...callers);
  await kubectl("label namespace shop mesh.weft.dev/sidecar=node");
  await eventually(
    "both Pods have joined",
    async () => {
      const states = await Promise.all(["a", "b"].map(async (pod) => conditionOf("shop", pod, "lastTransitionTime")));
      const labels = await kubectl("get pods -n shop -l security.istio.io/tlsMode=istio -o name");
      return states.every((state) => state !== "") && labels.split("\n").length === 2;
    },
    120_000,
  ).catch((fault: unknown) => {
    throw new Error(agent.log, { cause: fault });
  });
  await counted("while they joined");
  expect(await identities()).toBe(before);

  for (const pod of ["a", "b"]) expect(await conditionOf("shop", pod, "reason")).toBe("ConnectionsOutside");
  expect(await conditionOf("shop", "a", "message")).toContain(`with ${held.replace(" ", ":")}`);
  expect(await kubectl("get events -n shop --field-selector involvedObject.name=a")).toContain("ConnectionsOutside");
  await inPod("shop", "a")(["killall", "nc"]);
  for (const pod of ["a", "b"])
    await eventually("nothing is outside any more", async () => (await conditionOf("shop", pod)) === "True", 60_000);
  expect(await proxiesOf("shop", "b")).toHaveLength(1);

  // What the mesh now does to callers is seen by the callers: the test would notice a failed request.
  await setMode("STRICT");
  await forget(outside);
  await eventually("strangers are refused", async () => (await callsOf(outside)).failed > 10, 60_000);
  await forget(inPod("shop", "a"));
  await eventually("sidecars call", async () => (await callsOf(inPod("shop", "a"))).ok > 20, 60_000);
  await setMode("PERMISSIVE");
  await eventually("strangers are served", async () => {
    await forget(outside);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { ok, failed } = await callsOf(outside);
    return ok > 10 && failed === 0;
  });

  await forget(...callers);
  await kubectl("label namespace shop mesh.weft.dev/sidecar-");
  await eventually(
    "both Pods have left",
    async () => {
      const states = await Promise.all(["a", "b"].map(async (pod) => conditionOf("shop", pod)));
      return states.every((state) => state === "");
    },
    120_000,
  ).catch((fault: unknown) => {
    throw new Error(agent.log, { cause: fault });
  });
  await counted("while they left");
  expect(await identities()).toBe(before);
  expect(await proxiesOf("shop", "b")).toEqual([]);
  expect(await kubectl("get pods -n shop -l security.istio.io/tlsMode -o name")).toBe("");
  expect(stranger.pid).not.toBe(0);
});

/** A server of gRPC's health service, in a few lines. */
const healthServer = `require("node:http2").createServer((request, response) => {
  response.writeHead(200, { "content-type": "application/grpc", trailer: "grpc-status" });
  response.addTrailers({ "grpc-status": "0" });
  response.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
}).listen(9001)`;

const container = (name: string, command: readonly string[], readinessProbe?: object): object => ({
  name,
  image: tools.name,
  imagePullPolicy: "Never",
  command,
  ...(readinessProbe && { readinessProbe: { ...readinessProbe, periodSeconds: 1, timeoutSeconds: 5 } }),
});

/** A Pod whose containers are asked in all ways that a kubelet has. */
function probedPod(namespace: string, name: string): object {
  const files = "mkdir -p /tmp/www && touch /tmp/ok && echo hello > /tmp/www/index.html";
  const http = ["sh", "-c", `${files} && httpd -p 8081 -h /tmp/www && exec httpd -f -p 8080 -h /tmp/www`];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        container("http", http, { httpGet: { path: "/index.html", port: 8080 } }),
        container("tcp", ["httpd", "-f", "-p", "9000"], { tcpSocket: { port: 9000 } }),
        container("grpc", ["node", "-e", healthServer], { grpc: { port: 9001 } }),
        container("exec", ["sh", "-c", "touch /tmp/ok; exec sleep infinity"], {
          exec: { command: ["test", "-e", "/tmp/ok"] },
        }),
      ],
    },
  };
}

const httpGet = (address: string, port: number, ...more: readonly string[]): readonly string[] => [
  "curl",
  "--silent",
  "--show-error",
  "--max-time",
  "3",
  ...more,
  `http://${address}:${port}/index.html`,
];
/** What curl says of a connection that a proxy under STRICT ends. */
const refused = /reset by peer|Empty reply|Recv failure/;

async function ready(namespace: string, pod: string): Promise<void> {
  await kubectl(`wait pod -n ${namespace} ${pod} --for=condition=Ready --timeout=2m`).catch(async (fault: unknown) => {
    throw new Error(`${await kubectl(`describe pod -n ${namespace} ${pod}`)}\n${agent.log}`, { cause: fault });
  });
  await eventually(`${pod} has joined`, async () => (await conditionOf(namespace, pod)) === "True", 60_000).catch(
    async (fault: unknown) => {
      const told = await kubectl(`get pod -n ${namespace} ${pod} -o jsonpath={.status.conditions}`);
      throw new Error(`${told}\n${agent.log}`, { cause: fault });
    },
  );
}

describe("under STRICT", () => {
  let address: string;
  beforeAll(async () => {
    await setMode("STRICT");
    await apply(probedPod("strict", "probed"));
    await ready("strict", "probed");
    address = await addressOf("strict", "probed");
  });

  test("the kubelet's probes reach the application itself, by HTTP, TCP, gRPC and commands, and strangers do not", async () => {
    const stranger = inPod("plain", "stranger");
    for (const port of [8080, 9001]) await expect(stranger(httpGet(address, port))).rejects.toThrow(refused);
    const port = await fieldOf("strict", "probed", "{.spec.containers[0].readinessProbe.httpGet.port}");
    expect(port).toBe("8080");
    expect(await fieldOf("strict", "probed", "{.status.containerStatuses[*].restartCount}")).toBe("0 0 0 0");
  });
});

/** A Pod whose first container tells what becomes of a connection to an address that nobody has. */
function eagerPod(namespace: string, name: string): object {
  const line = "nc -w 3 10.64.0.250 80 < /dev/null; echo ended with $?";
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      terminationGracePeriodSeconds: 1,
      initContainers: [container("first", ["sh", "-c", `${line} 2>&1`])],
      containers: [container("program", ["sleep", "infinity"])],
    },
  };
}

describe("new Pods", () => {
  test("are captured before any of their containers starts", async () => {
    await apply(eagerPod("strict", "eager"), eagerPod("plain", "eager"));
    await ready("strict", "eager");
    await kubectl("wait pod -n plain eager --for=condition=Ready --timeout=1m");
    const told = async (namespace: string): Promise<string> => kubectl(`logs -n ${namespace} eager -c first`);
    // Captured, a connection is the proxy's, or is refused while there is none: nobody waits for that address.
    expect(await told("plain")).toMatch(/timed out|unreachable|No route/i);
    expect(await told("strict")).not.toMatch(/timed out|unreachable|No route/i);
    expect(await conditionOf("strict", "eager", "reason")).toBe("Captured");
  });

  test("are not made while the agent is away, where they were to get a sidecar; sidecars that run go on", async () => {
    await agent.stop();
    await apply(eagerPod("strict", "late"), eagerPod("plain", "late"));
    await kubectl("wait pod -n plain late --for=condition=Ready --timeout=2m");
    await eventually("it is told why", async () => {
      const events = await kubectl("get events -n strict --field-selector involvedObject.name=late");
      return events.includes("the mesh's agent of this node does not answer");
    });
    expect(await fieldOf("strict", "late", "{.status.podIP}")).toBe("");
    const stranger = inPod("plain", "stranger");
    await expect(stranger(httpGet(await addressOf("strict", "probed"), 8080))).rejects.toThrow(refused);
    expect(await proxiesOf("strict", "probed")).toHaveLength(1);
    agent.start();
    await ready("strict", "late");
    expect(await proxiesOf("strict", "probed")).toHaveLength(1);
  });
});
