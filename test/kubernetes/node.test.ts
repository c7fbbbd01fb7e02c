/** Real nodes: kubelet, containerd, kube-proxy and a Pod network, with Pods whose containers are real. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { whileRunning } from "./daemon.ts";
import { startDns } from "./dns.ts";
import { type Image, toolsImage } from "./image.ts";
import { ClusterNetwork } from "./network.ts";
import { type KubernetesNode, startNode } from "./node.ts";

const resources = new AsyncDisposableStack();
let cluster: Cluster;
let nodes: readonly KubernetesNode[];
let image: Image;

/** A Pod of a node that serves its own name over HTTP, and says so in its log. */
function serverPod(name: string, node: string): string {
  const serve = `mkdir -p /tmp/www && echo ${name} > /tmp/www/index.html && echo serving && exec httpd -f -p 8080 -h /tmp/www`;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: "server" } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: "server",
          image: image.name,
          imagePullPolicy: "Never",
          command: ["sh", "-c", serve],
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
        },
        { name: "beside", image: image.name, imagePullPolicy: "Never" },
      ],
    },
  });
}

/** Whom the API takes a caller for. */
interface UserInfo {
  readonly username: string;
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const service = JSON.stringify({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "server" },
  spec: { selector: { app: "server" }, ports: [{ port: 80, targetPort: "http" }] },
});

/** Milliseconds that a command may take on a busy machine. */
const patience = 130_000;

/** Runs a kubectl command that must succeed. @returns what it says, without white space around it. */
async function kubectl(line: string | readonly string[], input = ""): Promise<string> {
  const outcome = await cluster.kubectl(line, { input, patience });
  if (outcome.code !== 0) throw new Error(`kubectl ${String(line)}: ${outcome.stderr}`);
  return outcome.stdout.trim();
}

const inside = async (pod: string, script: string, input?: string): Promise<string> =>
  kubectl(["exec", "-i", pod, "-c", "server", "--", "sh", "-c", script], input);

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("node"));
  image = resources.use(await toolsImage("weft.dev/test/tools:1", ["curl"]));
  cluster = resources.use(await startCluster({ name: "one", network }));
  resources.use(await startDns(cluster));
  const labels = (zone: string) => ({ "topology.kubernetes.io/region": "north", "topology.kubernetes.io/zone": zone });
  nodes = [
    resources.use(await startNode(cluster, { name: "n1", images: [image], labels: labels("a") })),
    resources.use(await startNode(cluster, { name: "n2", images: [image], labels: labels("b") })),
  ];
  await kubectl(
    "apply -f -",
    [serverPod("s1", "n1"), serverPod("s2", "n1"), serverPod("s3", "n2"), service].join("\n---\n"),
  );
  await kubectl("wait pod/s1 pod/s2 pod/s3 --for=condition=Ready --timeout=2m");
});
afterAll(() => resources.disposeAsync());

test("nodes are Ready, with their addresses, labels and runtime", async () => {
  const lines = (await kubectl("get nodes --no-headers -o wide -L topology.kubernetes.io/zone")).split("\n");
  expect(lines).toHaveLength(2);
  for (const [index, { name, address }] of nodes.entries()) {
    expect(lines[index]).toMatch(
      new RegExp(`^${name} +Ready .*v1\\.36\\.3 +${address} .*containerd://.* ${"ab"[index]}$`),
    );
  }
});

describe("kubectl reaches containers", () => {
  test("exec: input, output, errors and exit codes", async () => {
    expect(await inside("s1", "hostname; cat; id -u", "given")).toBe("s1\ngiven0");
    const failed = await cluster.kubectl(["exec", "s1", "-c", "beside", "--", "sh", "-c", "echo wrong >&2; exit 7"]);
    expect(failed).toMatchObject({ code: 7, stdout: "" });
    expect(failed.stderr).toContain("wrong");
  });

  test("logs", async () => {
    expect(await kubectl("logs s2 -c server")).toBe("serving");
    expect(await kubectl("logs s2 -c server --timestamps")).toMatch(/^\d{4}-\d\d-\d\dT\S+ serving$/);
    expect(await kubectl("logs s2 -c beside")).toBe("");
  });

  test("port-forward, to a Pod and to a Service", async () => {
    await using toPod = await cluster.portForward("default", "pod/s2", 8080);
    expect(await (await fetch(`http://127.0.0.1:${toPod.port}/`)).text()).toBe("s2\n");
    await using toService = await cluster.portForward("default", "service/server", 80);
    expect(await (await fetch(`http://127.0.0.1:${toService.port}/`)).text()).toMatch(/^s[123]\n$/);
  });
});

const get = (url: string): string => `curl --silent --show-error --max-time 5 ${url}`;

describe("the Pod network", () => {
  test("joins Pods of one node and of two, by their own addresses", async () => {
    for (const [from, to] of [
      ["s1", "s1"],
      ["s1", "s2"],
      ["s1", "s3"],
      ["s3", "s1"],
    ] as const) {
      const address = await kubectl(`get pod ${to} -o jsonpath={.status.podIP}`);
      expect(await inside(from, get(`http://${address}:8080/`))).toBe(to);
    }
  });

  test("has Services, which have names and lead to all of their Pods", async () => {
    const answers = new Set<string>();
    const all = async (): Promise<boolean> => answers.add(await inside("s1", get("http://server/"))).size === 3;
    await eventually("all Pods answer, the calling one too", all, 60_000);
    expect([...answers].sort()).toEqual(["s1", "s2", "s3"]);
    expect(await inside("s3", get("http://server.default.svc.cluster.local/"))).toMatch(/^s[123]$/);
  });

  test("leads Pods to the API, which knows them by their tokens", async () => {
    const account = "/var/run/secrets/kubernetes.io/serviceaccount";
    const review = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`;
    const url = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews";
    const headers = `--oauth2-bearer "$(cat ${account}/token)" --header "Content-Type: application/json"`;
    const call = `curl --silent --show-error --cacert ${account}/ca.crt ${headers} --data '${review}' ${url}`;
    const answer = await inside("s1", call);
    expect(answer).toContain('"SelfSubjectReview"');
    const { userInfo } = (JSON.parse(answer) as { status: { userInfo: UserInfo } }).status;
    expect(userInfo.username).toBe("system:serviceaccount:default:default");
    expect(userInfo.extra["authentication.kubernetes.io/node-name"]).toEqual(["n1"]);
  });
});

test("Pods go on while kubelet and containerd are away, and are deleted afterwards", async () => {
  const [node] = nodes;
  await node!.kubelet.stop();
  await node!.containerd.stop();
  const address = await kubectl("get pod s1 -o jsonpath={.status.podIP}");
  expect(await inside("s3", get(`http://${address}:8080/`))).toBe("s1");
  await node!.start();
  const answers = async (): Promise<boolean> => {
    const { code, stderr } = await cluster.kubectl("exec s1 -- true");
    if (code !== 0) throw new Error(stderr);
    return true;
  };
  await whileRunning([node!.kubelet, node!.containerd], "kubelet answers again", answers);
  await kubectl("delete pod s1 s2 --timeout=2m");
  const containers = async (): Promise<string> => node!.run(["ctr", "--namespace=k8s.io", "tasks", "ls", "--quiet"]);
  await eventually("no container is left", async () => (await containers()) === "", 120_000);
});
