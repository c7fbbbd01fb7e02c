/** A control plane installed by `weft install` into a real cluster whose node runs it, and removed without a trace. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import type { Certificate } from "#base/testing/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { startDns } from "./dns.ts";
import { type Image, toolsImage } from "./image.ts";
import { inventoryOf } from "./inventory.ts";
import { reachedEtcd } from "./install-stores.ts";
import { ClusterNetwork } from "./network.ts";
import { type KubernetesNode, startNode } from "./node.ts";
import { proxyImage } from "./proxy-image.ts";
import {
  fingerprint,
  gatewayObjects,
  gatewayPod,
  secretReader,
  shownAt,
  siteCertificate,
  siteSecret,
} from "./tls-gateway.ts";

const weft = join(import.meta.dirname, "..", "..", "weft");
const patience = 200_000;
const resources = new AsyncDisposableStack();
let network: ClusterNetwork;
let cluster: Cluster;
let kubeconfig: string;
let tools: Image;
let own: Image;
let node: KubernetesNode;
/** All objects of the cluster before anything was installed. */
let before: readonly string[];

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Weft's command against the cluster. */
async function command(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, KUBECONFIG: kubeconfig }, timeout: patience };
    const child = execFile(weft, [...args], options, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

async function succeeds(...args: readonly string[]): Promise<string> {
  const outcome = await command(...args);
  if (outcome.code === 0) return outcome.stdout;
  const told = await cluster.kubectl("describe pods -n istio-system", { patience });
  const logs = await Promise.all(
    ["weft-server", "istiod"].map((app) =>
      cluster.kubectl(`logs -n istio-system -l app=${app} --all-containers --tail=30`, { patience }),
    ),
  );
  const log = logs.map(({ stdout }) => stdout).join("\n");
  throw new Error(`${args.join(" ")}: ${outcome.stdout}${outcome.stderr}\n${told.stdout.slice(-6000)}\n${log}`);
}

async function kubectlIn(where: Cluster, line: string | readonly string[], input = ""): Promise<string> {
  const outcome = await where.kubectl(line, { input, patience });
  if (outcome.code !== 0) throw new Error(`kubectl ${String(line)} in ${where.name}: ${outcome.stderr}`);
  return outcome.stdout.trim();
}

const kubectl = async (line: string | readonly string[], input = ""): Promise<string> =>
  kubectlIn(cluster, line, input);

const applyIn = async (where: Cluster, ...objects: readonly object[]): Promise<string> =>
  kubectlIn(where, "apply -f -", objects.map((object) => JSON.stringify(object)).join("\n---\n"));
const apply = async (...objects: readonly object[]): Promise<string> => applyIn(cluster, ...objects);

const inventory = async (where = cluster): Promise<readonly string[]> =>
  inventoryOf(async (line) => kubectlIn(where, line));

const installFlags = (): readonly string[] => [
  "--image",
  own.name,
  "--image-pull-policy=Never",
  "--cluster=one",
  "--store=/var/lib/weft",
  "--timeout=120",
];

const shop = { name: "shop", labels: { "istio-injection": "enabled" } };

const serve = "mkdir -p /tmp/www && echo hello > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www";

function pod(namespace: string, name: string): object {
  const container = {
    name: "server",
    image: tools.name,
    imagePullPolicy: "Never",
    command: ["sh", "-c", serve],
    readinessProbe: { httpGet: { path: "/index.html", port: 8080 }, periodSeconds: 1, timeoutSeconds: 5 },
  };
  const annotations = { "sidecar.istio.io/proxyCPU": "10m", "sidecar.istio.io/proxyMemory": "64Mi" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name }, annotations },
    spec: { terminationGracePeriodSeconds: 1, containers: [container] },
  };
}

const service = (namespace: string, name: string): object => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace, name },
  spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
});

const curlIn = (where: Cluster, namespace: string, from: string, ...args: readonly string[]): Promise<string> => {
  const exec = ["exec", "-n", namespace, from, "-c", "server", "--"];
  return kubectlIn(where, [...exec, "curl", "--silent", "--show-error", "-m10", ...args]);
};
const curl = (namespace: string, from: string, url: string): Promise<string> => curlIn(cluster, namespace, from, url);

beforeAll(async () => {
  network = resources.use(await ClusterNetwork.create("install"));
  [tools, own] = await Promise.all([toolsImage("weft.dev/test/tools:1", ["curl"]), proxyImage("weft.dev/test/weft:1")]);
  resources.use(tools);
  resources.use(own);
  // Webhooks and aggregated APIs are reached by their endpoints: no kube-proxy runs where the API server does.
  cluster = resources.use(
    await startCluster({ name: "one", network, apiServer: ["--enable-aggregator-routing=true"] }),
  );
  resources.use(await startDns(cluster));
  node = resources.use(await startNode(cluster, { name: "n1", images: [tools, own] }));
  mkdirSync(node.path("/var/lib/weft"));
  chownSync(node.path("/var/lib/weft"), 1337, 1337);
  kubeconfig = join(cluster.folder, "install.kubeconfig");
  writeFileSync(kubeconfig, cluster.kubeconfig(), { mode: 0o600 });
  before = await inventory();
});
afterAll(() => resources.disposeAsync());

describe("an installation that cannot work", () => {
  test("is not begun where the cluster keeps Istio's kinds by itself", async () => {
    const crd = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "gateways.networking.istio.io" },
      spec: {
        group: "networking.istio.io",
        scope: "Namespaced",
        names: { kind: "Gateway", plural: "gateways" },
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
      },
    };
    await apply(crd);
    const { code, stderr } = await command("install", ...installFlags());
    expect(code).toBe(1);
    expect(stderr).toContain("CustomResourceDefinition gateways.networking.istio.io");
    expect(stderr).toContain("nothing was changed");
    await kubectl("delete crd gateways.networking.istio.io");
    await eventually("the group is not served", async () => (await inventory()).join() === before.join(), 60_000);
  });

  test("says which Pod does not start, why, and what to do; uninstalling takes all of it back", async () => {
    const flags = ["--image=weft.dev/none:1", "--image-pull-policy=Never", "--store=memory", "--timeout=8"];
    const { code, stderr } = await command("install", ...flags);
    expect(code).toBe(1);
    expect(stderr).toMatch(/Deployment weft-server has 1 of 1 new Pods, 0 of them ready: container weft-server of Pod/);
    expect(stderr).toContain("ErrImageNeverPull");
    expect(stderr).toContain("kubectl -n istio-system describe pods -l app=weft-server");
    await succeeds("uninstall");
    await eventually("nothing is left", async () => (await inventory()).join() === before.join(), 60_000);
  });
});

describe("installed", () => {
  const flags = (): readonly string[] => [...installFlags(), "--members=NodePort"];

  beforeAll(async () => {
    await succeeds("install", ...flags());
  });

  test("the same again changes nothing", async () => {
    const generations = (): Promise<string> =>
      kubectl("get deployments,apiservices -A -o jsonpath={.items[*].metadata.generation}");
    const found = await generations();
    const secret = await kubectl("get secrets -n istio-system -o jsonpath={.items[*].metadata.resourceVersion}");
    await succeeds("install", ...flags());
    expect(await generations()).toBe(found);
    expect(await kubectl("get secrets -n istio-system -o jsonpath={.items[*].metadata.resourceVersion}")).toBe(secret);
  });

  test("an administrator reaches the mesh's own API, in which its server says how members reach it", async () => {
    const file = join(cluster.folder, "admin.kubeconfig");
    await succeeds("install", ...flags(), "--admin-kubeconfig", file);
    await using forward = await cluster.portForward("istio-system", "service/weft-server", 16440);
    writeFileSync(file, readFileSync(file, "utf8").replace(":16440", `:${forward.port}`));
    const get = async (...what: readonly string[]): Promise<string> => succeeds("get", ...what, "--kubeconfig", file);
    expect(await get("clusters.mesh.weft.dev")).toMatch(/^one /m);
    await eventually(
      "the server has written it",
      async () => (await get("configmaps", "-n", "istio-system")).includes("weft-members-api"),
      60_000,
    );
  });

  test("its parts may do no more than they must", async () => {
    const may = async (account: string, verb: string, what: string): Promise<string> => {
      const as = `--as=system:serviceaccount:istio-system:${account}`;
      return (await cluster.kubectl(`auth can-i ${verb} ${what} ${as} -A`, { patience })).stdout.trim();
    };
    expect(await may("istiod", "list", "pods")).toBe("yes");
    for (const account of ["istiod", "weft-server", "weft-guard"]) {
      expect(await may(account, "create", "pods")).toBe("no");
      expect(await may(account, "update", "secrets")).toBe("no");
      expect(await may(account, "create", "clusterrolebindings")).toBe("no");
    }
    expect(await may("weft-server", "get", "secrets")).toBe("no");
  });

  test("Pods are injected and call each other by mutual TLS, as an object that kubectl wrote in the cluster says", async () => {
    await apply({
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { namespace: "istio-system", name: "default" },
      spec: { mtls: { mode: "STRICT" } },
    });
    const namespace = (name: string, labels = {}) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels },
    });
    await apply(namespace("shop", { "istio-injection": "enabled" }), namespace("plain"));
    await apply(...["a", "b"].flatMap((name) => [pod("shop", name), service("shop", name)]), pod("plain", "stranger"));
    await kubectl("wait pod --all -n shop --for=condition=Ready --timeout=3m");
    await kubectl("wait pod --all -n plain --for=condition=Ready --timeout=1m");
    expect(await curl("shop", "a", "http://b/")).toBe("hello");
    const address = await kubectl("get pod -n shop b -o jsonpath={.status.podIP}");
    await expect(curl("plain", "stranger", `http://${address}:8080/`)).rejects.toThrow(
      /reset by peer|Empty reply|Recv/,
    );
  });

  test("a second cluster joins it by commands alone, is served as the first, and leaves without a trace", async () => {
    const second = resources.use(
      await startCluster({
        name: "two",
        network,
        apiServer: ["--enable-aggregator-routing=true"],
        pods: "10.65.0.0/16",
        services: "10.97.0.0/16",
      }),
    );
    resources.use(await startDns(second));
    resources.use(await startNode(second, { name: "n2", images: [tools, own] }));
    const found = await inventory(second);
    const file = join(second.folder, "admin.kubeconfig");
    writeFileSync(file, second.kubeconfig(), { mode: 0o600 });
    const mesh = join(cluster.folder, "mesh.kubeconfig");
    await succeeds("install", ...flags(), "--admin-kubeconfig", mesh);
    await using forward = await cluster.portForward("istio-system", "service/weft-server", 16440);
    writeFileSync(mesh, readFileSync(mesh, "utf8").replace(":16440", `:${forward.port}`));
    const access = ["--kubeconfig", file, "--mesh-kubeconfig", mesh];
    const joined = await succeeds("cluster", "add", "two", ...access, "--server", second.internalUrl);
    expect(joined).toMatch(new RegExp(`injection +its Pods will reach the control plane at ${node.address}:3\\d{4}`));
    await applyIn(
      second,
      { apiVersion: "v1", kind: "Namespace", metadata: shop },
      service("shop", "b"),
      pod("shop", "c"),
    );
    await kubectlIn(second, "wait pod c -n shop --for=condition=Ready --timeout=3m");
    // Strict mutual TLS, from the second cluster into the first.
    await eventually("b answers", async () => (await curlIn(second, "shop", "c", "http://b/")) === "hello", 90_000);
    const teapot = { fault: { abort: { httpStatus: 418, percentage: { value: 100 } } } };
    const spec = { hosts: ["b"], http: [{ ...teapot, route: [{ destination: { host: "b" } }] }] };
    const virtual = "networking.istio.io/v1";
    await applyIn(second, {
      apiVersion: virtual,
      kind: "VirtualService",
      metadata: { namespace: "shop", name: "b" },
      spec,
    });
    expect(await kubectl("get virtualservices -n shop -o name")).toContain("/b");
    const code = ["-o", "/dev/null", "-w", "%{http_code}", "http://b/"];
    for (const [where, from] of [
      [cluster, "a"],
      [second, "c"],
    ] as const) {
      const asked = async (): Promise<boolean> => (await curlIn(where, "shop", from, ...code)) === "418";
      await eventually(`${where.name} has what was written in the second cluster`, asked, 90_000);
    }
    await kubectl("delete virtualservice b -n shop");
    await kubectlIn(second, "delete namespace shop --wait");
    const left = async (): Promise<boolean> => (await command("cluster", "remove", "two", ...access)).code === 0;
    await eventually("no proxy of the second cluster is connected", left, 60_000);
    await eventually(
      "the second cluster has nothing of the mesh",
      async () => {
        expect(await inventory(second)).toEqual(found);
        return true;
      },
      60_000,
    );
    expect(await curl("shop", "a", "http://b/")).toBe("hello");
  }, 300_000);

  describe("gateways whose service account", () => {
    const [first, second] = [siteCertificate(), siteCertificate()];
    const shown = async (pod: string): Promise<string> =>
      shownAt(node, await kubectl(`get pod -n edge ${pod} -o jsonpath={.status.podIP}`));
    const shows = async (pod: string, { certificate }: Certificate): Promise<boolean> =>
      eventually(`${pod} shows the certificate`, async () => (await shown(pod)) === fingerprint(certificate), 60_000);
    const ready = async (): Promise<string> => kubectl("wait pod --all -n edge --for=condition=Ready --timeout=2m");
    const forbidden = async (): Promise<string> => {
      const path = "{.status.conditions[?(@.reason=='ForbiddenCredential')].message}".replaceAll("'", '"');
      return kubectl(["get", "gateways.networking.istio.io", "site", "-n", "edge", "-o", `jsonpath=${path}`]);
    };
    const told = async (account: string): Promise<boolean> =>
      eventually(
        `it is said of ${account}`,
        async () =>
          (await forbidden()).startsWith(
            `spec.servers[0].tls.credentialName: Service account edge/${account} may not list Secrets`,
          ),
        60_000,
      );

    test("may read Secrets show theirs, and others show none, which the Gateway's status says", async () => {
      await apply(...gatewayObjects(), siteSecret(first), secretReader("site"));
      await apply(...gatewayPod("site"), ...gatewayPod("bare"));
      await ready();
      await shows("site", first);
      await told("bare");
      expect(await shown("bare")).toBe("none");
    });

    test("is given the right show it, within a minute", async () => {
      await apply(secretReader("bare"));
      await shows("bare", first);
      await eventually("nothing is said any more", async () => (await forbidden()) === "", 60_000);
    });

    test("loses the right keep what they have, and get no more, nor does a new one get any", async () => {
      await kubectl("delete rolebinding site -n edge");
      await told("site");
      // Streams that have begun are looked at every ten seconds, later on a machine that does much else.
      await systemClock.sleep(20_000);
      await apply(siteSecret(second));
      await shows("bare", second);
      expect(await shown("site")).toBe(fingerprint(first.certificate));
      await kubectl("delete pod site -n edge --wait");
      await apply(...gatewayPod("site"));
      await ready();
      expect(await shown("site")).toBe("none");
      await kubectl("delete namespace edge --wait");
    });
  });

  test("the mesh's objects outlive the Pod of their server", async () => {
    await kubectl("delete pod -n istio-system -l app=weft-server --wait");
    await kubectl("wait apiservice v1.security.istio.io --for=condition=Available --timeout=2m");
    await eventually(
      "the object is there",
      async () => (await kubectl("get peerauthentication -n istio-system -o name")).includes("default"),
      60_000,
    );
    expect(await curl("shop", "a", "http://b/")).toBe("hello");
  });

  test("it is not removed under Pods that have a proxy, and leaves nothing behind", async () => {
    const { code, stderr } = await command("uninstall");
    expect(code).toBe(1);
    expect(stderr).toContain("2 Pods have a proxy that would lose the mesh, shop/a among them");
    await kubectl("delete namespace shop plain --wait");
    expect(await succeeds("uninstall")).toContain("Weft is uninstalled");
    await eventually(
      "nothing is left",
      async () => {
        expect(await inventory()).toEqual(before);
        return true;
      },
      60_000,
    );
  });
});

const strict = {
  apiVersion: "security.istio.io/v1",
  kind: "PeerAuthentication",
  metadata: { namespace: "istio-system", name: "kept" },
  spec: { mtls: { mode: "STRICT" } },
};

/** The mesh's objects are there when the Pods of its servers are others. */
async function outlivesServers(): Promise<void> {
  await apply(strict);
  await kubectl("delete pod -n istio-system -l app=weft-server --wait");
  await kubectl("rollout status deployment weft-server -n istio-system --timeout=2m");
  await kubectl("wait apiservice v1.security.istio.io --for=condition=Available --timeout=2m");
  await eventually(
    "the object is there",
    async () => (await kubectl("get peerauthentication -n istio-system -o name")).includes("kept"),
    60_000,
  );
}

async function isGone(): Promise<void> {
  await succeeds("uninstall");
  await eventually("nothing is left", async () => (await inventory()).join() === before.join(), 60_000);
}

/** Flags of an installation with another store. */
const flagsWith = (...store: readonly string[]): readonly string[] => [
  ...installFlags().filter((flag) => !flag.startsWith("--store")),
  ...store,
];

describe("a mesh whose objects are kept", () => {
  test("in a volume that the cluster gives outlives its server's Pod", async () => {
    mkdirSync(node.path("/var/lib/weft-volume"));
    chownSync(node.path("/var/lib/weft-volume"), 1337, 1337);
    const volume = {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: "weft" },
      spec: {
        capacity: { storage: "2Gi" },
        accessModes: ["ReadWriteOnce"],
        storageClassName: "by-hand",
        hostPath: { path: "/var/lib/weft-volume" },
      },
    };
    await apply(volume);
    await succeeds("install", ...flagsWith("--store=claim:1Gi", "--storage-class=by-hand"));
    expect(await kubectl("get persistentvolumeclaims -n istio-system -o jsonpath={.items[*].status.phase}")).toBe(
      "Bound",
    );
    await outlivesServers();
    await succeeds("uninstall");
    await kubectl("delete persistentvolume weft");
    await isGone();
  });

  test("in an etcd has two servers, is there without one of them, and lets namespaces go without both", async () => {
    await using etcd = await reachedEtcd(network, join(cluster.folder, "etcd"));
    await apply(
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } },
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { namespace: "istio-system", name: "weft-etcd" },
        data: etcd.secret,
      },
    );
    await succeeds("install", ...flagsWith(`--store=etcds://${etcd.address}/weft`, "--store-secret=weft-etcd"));
    expect(await kubectl("get deployment weft-server -n istio-system -o jsonpath={.status.readyReplicas}")).toBe("2");
    await outlivesServers();
    const [one] = (await kubectl("get pods -n istio-system -l app=weft-server -o name")).split("\n");
    await kubectl(["delete", "-n", "istio-system", one ?? "", "--wait=false"]);
    expect(await kubectl("get peerauthentication -n istio-system -o name")).toContain("kept");
    await kubectl("create namespace passing");
    await kubectl("scale deployment weft-server -n istio-system --replicas=0");
    await kubectl("wait apiservice v1.security.istio.io --for=condition=Available=False --timeout=1m");
    // The guard gives the mesh's API a minute.
    await kubectl("delete namespace passing --wait --timeout=3m");
    await kubectl("scale deployment weft-server -n istio-system --replicas=2");
    await kubectl("wait apiservice v1.security.istio.io --for=condition=Available --timeout=2m");
    await succeeds("uninstall");
    await kubectl("delete namespace istio-system --wait");
    await isGone();
  });
});

describe("killed as each of its steps begins, and run again", () => {
  /** Runs Weft's command until it begins one of the steps, where it is killed. @returns that; undefined when it has ended well by itself. */
  async function killedAt(steps: readonly string[], ...args: readonly string[]): Promise<string | undefined> {
    const env = { ...process.env, KUBECONFIG: kubeconfig };
    const child = spawn(weft, [...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const said: string[] = [];
    let at: string | undefined;
    createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
    createInterface({ input: child.stdout }).on("line", (line) => {
      said.push(line);
      at ??= steps.find((step) => line === `  ... ${step}`);
      if (at !== undefined) child.kill("SIGKILL");
    });
    const [code] = (await once(child, "close")) as [number | null];
    if (at === undefined && code !== 0) throw new Error(`${args.join(" ")}: ${said.join("\n")}`);
    return at;
  }

  /** Does so until it has been killed at each. */
  async function killedAtEach(steps: readonly string[], ...args: readonly string[]): Promise<void> {
    const left = new Set(steps);
    for (;;) {
      const at = await killedAt([...left], ...args);
      if (at === undefined) break;
      left.delete(at);
    }
    expect([...left]).toEqual([]);
  }

  test("weft install ends with a mesh that serves", async () => {
    const steps = [
      "the namespace, accounts and roles",
      "what other clusters reach it by",
      "the mesh's API",
      "the control plane of proxies",
      "Istio's kinds in the cluster's API",
      "the webhooks that inject",
    ];
    await killedAtEach(steps, "install", ...flagsWith("--store=memory"), "--members=NodePort");
    await kubectl("wait apiservice v1.security.istio.io --for=condition=Available --timeout=2m");
    await apply(strict);
    expect(await kubectl("get peerauthentication -n istio-system -o name")).toContain("kept");
    await apply({ apiVersion: "v1", kind: "Namespace", metadata: shop }, pod("shop", "a"));
    await kubectl("wait pod a -n shop --for=condition=Ready --timeout=3m");
    expect(await kubectl("get pod a -n shop -o jsonpath={.metadata.annotations}")).toContain("sidecar.istio.io/status");
    await kubectl("delete namespace shop --wait");
  }, 400_000);

  test("weft uninstall leaves nothing", async () => {
    const steps = [
      "removing what was installed, and what the control plane wrote",
      "until all objects are gone",
      "until the control plane's Pods have ended",
      "until the mesh's roots are gone",
    ];
    await killedAtEach(steps, "uninstall");
    await eventually(
      "nothing is left",
      async () => {
        expect(await inventory()).toEqual(before);
        return true;
      },
      60_000,
    );
  }, 400_000);
});
