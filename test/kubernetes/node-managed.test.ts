/** Node-managed sidecars on a real node: an agent beside the kubelet gives Envoys to Pods that know nothing of it. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
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
  await apply(...nodeAgentAccount());
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
  await inPod("shop", "a")(["pkill", "nc"]);
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
