/** Injected sidecars on a real node: the webhooks of a real API server, and Weft's agent with Envoy in real containers. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { mutatingWebhooks, validatingWebhooks } from "#injection/webhook-configuration.ts";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { startDns } from "./dns.ts";
import { type Image, toolsImage } from "./image.ts";
import { startMesh, type TestMesh } from "./mesh.ts";
import { ClusterNetwork } from "./network.ts";
import { startNode } from "./node.ts";
import { proxyImage } from "./proxy-image.ts";

const resources = new AsyncDisposableStack();
let cluster: Cluster;
let mesh: TestMesh;
let tools: Image;

/** Milliseconds that a command may take on a busy machine. */
const patience = 200_000;

async function kubectl(line: string | readonly string[], input = ""): Promise<string> {
  const outcome = await cluster.kubectl(line, { input, patience });
  if (outcome.code !== 0) throw new Error(`kubectl ${String(line)}: ${outcome.stderr}\n${mesh.discovery.log}`);
  return outcome.stdout.trim();
}

const apply = async (...objects: readonly object[]): Promise<string> =>
  kubectl("apply -f -", objects.map((object) => JSON.stringify(object)).join("\n---\n"));

const script = `mkdir -p /tmp/www && echo hello > /tmp/www/index.html && echo 'own_metric 7' > /tmp/www/metrics && exec httpd -f -p 8080 -h /tmp/www`;

/** A Pod that serves a text and metrics of its own at 8080, which its probes ask for. */
function serverPod(namespace: string, name: string): object {
  const get = (path: string) => ({ httpGet: { path, port: 8080 }, periodSeconds: 1, timeoutSeconds: 5 });
  const annotations = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "8080",
    "sidecar.istio.io/proxyCPU": "10m",
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name }, annotations },
    spec: {
      terminationGracePeriodSeconds: 5,
      containers: [
        {
          name: "server",
          image: tools.name,
          imagePullPolicy: "Never",
          command: ["sh", "-c", script],
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: get("/index.html"),
          livenessProbe: { ...get("/metrics"), failureThreshold: 30 },
          startupProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 60 },
        },
      ],
    },
  };
}

function serviceOf(namespace: string, name: string): object {
  const spec = { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] };
  return { apiVersion: "v1", kind: "Service", metadata: { namespace, name }, spec };
}

const curl = "curl --silent --show-error --max-time 10";
const inside = async (namespace: string, pod: string, line: string): Promise<string> =>
  kubectl(["exec", "-n", namespace, pod, "-c", "server", "--", "sh", "-c", line]);
const addressOf = async (namespace: string, pod: string): Promise<string> =>
  kubectl(`get pod -n ${namespace} ${pod} -o jsonpath={.status.podIP}`);

const namespaceOf = (name: string, labels = {}): object => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("inject"));
  const [one, two] = await Promise.all([
    toolsImage("weft.dev/test/tools:1", ["curl"]),
    proxyImage("weft.dev/test/proxyv2:1"),
  ]);
  tools = resources.use(one);
  resources.use(two);
  // Webhooks reach Services by their endpoints: no kube-proxy runs where the API server does.
  const apiServer = ["--enable-aggregator-routing=true"];
  cluster = resources.use(await startCluster({ name: "one", network, apiServer }));
  resources.use(await startDns(cluster));
  resources.use(await startNode(cluster, { name: "n1", images: [tools, two] }));
  mesh = resources.use(await startMesh(cluster));
  const values = {
    global: {
      hub: "weft.dev/test",
      tag: "1",
      imagePullPolicy: "Never",
      proxy: { resources: { requests: { cpu: "10m" } } },
    },
  };
  await mesh.api.namespaces.create({ metadata: { name: "istio-system" } }).catch(() => undefined);
  await mesh.api.client.of<ConfigMap>(configMap).create({
    metadata: { namespace: "istio-system", name: "istio-sidecar-injector" },
    data: { values: JSON.stringify(values) },
  });
  await mesh.api.client
    .of(peerAuthentication)
    .create({ metadata: { namespace: "istio-system", name: "default" }, spec: { mtls: { mode: "STRICT" } } });
  await apply(mutatingWebhooks({ revision: "default", namespace: "istio-system", cluster: "one" }));
  await eventually("the webhooks know the mesh's authority", async () => {
    const bundles = await kubectl(
      "get mutatingwebhookconfiguration istio-sidecar-injector -o jsonpath={.webhooks[*].clientConfig.caBundle}",
    );
    return bundles.split(" ").filter((each) => each !== "").length === 4;
  });
  await apply(namespaceOf("shop", { "istio-injection": "enabled" }), namespaceOf("plain"));
  await apply(
    ...["a", "b"].flatMap((name) => [serverPod("shop", name), serviceOf("shop", name)]),
    serverPod("plain", "stranger"),
  );
  await kubectl("wait pod --all -n shop --for=condition=Ready --timeout=3m").catch(async (fault: unknown) => {
    const told = await kubectl("describe pods -n shop");
    const log = await cluster.kubectl("logs -n shop a -c istio-proxy --tail=60");
    throw new Error(`${told.slice(-4000)}\n${log.stdout}${log.stderr}`, { cause: fault });
  });
  await kubectl("wait pod --all -n plain --for=condition=Ready --timeout=2m");
});
afterAll(() => resources.disposeAsync());

test("Pods of a namespace that asks for it get a sidecar, and others stay as they are", async () => {
  const names = (namespace: string, pod: string, list: string): Promise<string> =>
    kubectl(`get pod -n ${namespace} ${pod} -o jsonpath={.spec.${list}[*].name}`);
  expect(await names("shop", "a", "initContainers")).toBe("istio-init istio-proxy");
  expect(await names("shop", "a", "containers")).toBe("server");
  expect(await names("plain", "stranger", "initContainers")).toBe("");
  expect(await kubectl("get pod -n plain stranger -o jsonpath={.metadata.annotations}")).not.toContain(
    "istio.io/status",
  );
});

describe("under STRICT", () => {
  test("sidecars call each other by mutual TLS, and a stranger is refused", async () => {
    expect(await inside("shop", "a", `${curl} http://b/`)).toBe("hello");
    const address = await addressOf("shop", "b");
    await expect(inside("plain", "stranger", `${curl} http://${address}:8080/`)).rejects.toThrow(
      /reset by peer|Empty reply|Recv failure/,
    );
  });

  test("the kubelet's probes reach the application by way of the agent", async () => {
    const port = await kubectl("get pod -n shop a -o jsonpath={.spec.containers[0].readinessProbe.httpGet.port}");
    expect(port).toBe("15020");
    await inside("shop", "a", "rm /tmp/www/index.html");
    await kubectl("wait pod -n shop a --for=condition=Ready=false --timeout=2m");
    await inside("shop", "a", "echo hello > /tmp/www/index.html");
    await kubectl("wait pod -n shop a --for=condition=Ready --timeout=2m");
  });

  test("metrics of proxy and application are one list, which Prometheus is told of", async () => {
    const annotations = await kubectl("get pod -n shop a -o jsonpath={.metadata.annotations}");
    expect(JSON.parse(annotations)).toMatchObject({
      "prometheus.io/port": "15020",
      "prometheus.io/path": "/stats/prometheus",
    });
    const metrics = await inside(
      "plain",
      "stranger",
      `${curl} http://${await addressOf("shop", "a")}:15020/stats/prometheus`,
    );
    expect(metrics).toContain("own_metric 7");
    expect(metrics).toMatch(/^envoy_server_uptime/m);
  });
});

test("a Job ends when its own container does, after it called through its sidecar", async () => {
  const container = {
    name: "job",
    image: tools.name,
    imagePullPolicy: "Never",
    command: ["sh", "-c", `${curl} --fail http://b/`],
  };
  const template = { spec: { restartPolicy: "Never", containers: [container] } };
  await apply({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { namespace: "shop", name: "once" },
    spec: { backoffLimit: 0, template },
  });
  await kubectl("wait job/once -n shop --for=condition=Complete --timeout=3m");
  expect(await kubectl("logs -n shop job/once -c job")).toBe("hello");
});

describe("Istio's objects as custom resources of a cluster", () => {
  const resourceOf = (kind: string, plural: string): object => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.networking.istio.io` },
    spec: {
      group: "networking.istio.io",
      scope: "Namespaced",
      names: { kind, plural },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  });
  const rule = (weight: number): object => ({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { namespace: "plain", name: "rule" },
    spec: { hosts: ["b"], http: [{ route: [{ destination: { host: "b" }, weight }] }] },
  });

  test("are checked, and a cluster that has been seen to ask refuses what it could not have checked", async () => {
    await apply(resourceOf("Gateway", "gateways"), resourceOf("VirtualService", "virtualservices"));
    await kubectl("wait crd --all --for=condition=Established --timeout=1m");
    const options = { revision: "default", namespace: "istio-system" };
    await apply(validatingWebhooks(options));
    const policy =
      "get validatingwebhookconfiguration istio-validator-istio-system -o jsonpath={.webhooks[0].failurePolicy}";
    expect(await kubectl(policy)).toMatch(/^(Ignore|Fail)$/);
    await eventually("it fails closed", async () => (await kubectl(policy)) === "Fail", 60_000);
    const refused = await cluster.kubectl("apply -f -", { input: JSON.stringify(rule(-1)), patience });
    expect(refused.stderr).toContain("VirtualService plain/rule is not valid: spec.http[0].route[0].weight");
    await apply(rule(100));
  });
});

test("while the control plane is away no Pod is made without its sidecar, others are, and sidecars go on", async () => {
  await mesh.discovery.stop();
  const made = await cluster.kubectl("apply -f -", { input: JSON.stringify(serverPod("shop", "late")), patience });
  expect(made.code).not.toBe(0);
  expect(made.stderr).toContain("sidecar-injector.istio.io");
  await apply(serverPod("plain", "late"));
  expect(await inside("shop", "a", `${curl} http://b/`)).toBe("hello");
  mesh.discovery.start();
  await mesh.serves();
  await eventually("Pods are made again", async () => {
    const again = await cluster.kubectl("apply -f -", { input: JSON.stringify(serverPod("shop", "late")), patience });
    return again.code === 0;
  });
});
