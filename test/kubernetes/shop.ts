import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import type { Cluster } from "./cluster.ts";
import { addProgram, type Image, packImage, pathOf } from "./image.ts";
import type { JoinedMesh } from "./joined-mesh.ts";
import { folderPrefix } from "./run.ts";

const root = join(import.meta.dirname, "..", "..");
const shopImage = "weft.dev/test/shop:1";

/** Milliseconds that a command may take on a busy machine. */
const patience = 240_000;

/** The image of the bookshop's programs, and of what sends load to them. What it runs unless told waits for ever: it also holds Pods open. */
export async function packShop(): Promise<Image> {
  const folder = mkdtempSync(join(tmpdir(), folderPrefix));
  try {
    await addProgram(folder, await pathOf("busybox"), "/bin/busybox");
    for (const applet of ["sh", "cat", "sleep"]) symlinkSync("busybox", join(folder, "bin", applet));
    await addProgram(folder, process.execPath, "/usr/bin/node");
    for (const part of ["package.json", "samples", "test/kubernetes/shop-load-main.ts"])
      cpSync(join(root, part), join(folder, "shop", part), { recursive: true });
    for (const empty of ["tmp", "etc"]) mkdirSync(join(folder, empty));
    return await packImage({ name: shopImage, folder, entrypoint: ["/bin/sleep", "infinity"] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A workload of the shop. */
export interface Workload {
  readonly service: "details" | "ratings";
  readonly version: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What a cluster's part of the shop is made of. */
export const shopNamespace = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "shop", labels: { "istio-injection": "enabled" } },
} as const;

/** A Service of the shop; both clusters have both. */
export function shopService(name: string): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "shop", name, labels: { app: name } },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 9080, targetPort: 9080 }] },
  };
}

function pod(name: string, labels: object, container: object): object {
  // Enough that a machine which does much else does not leave them without a turn for seconds.
  const annotations = { "sidecar.istio.io/proxyCPU": "50m", "sidecar.istio.io/proxyMemory": "64Mi" };
  const resources = { requests: { cpu: "100m" } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name, labels, annotations },
    spec: {
      terminationGracePeriodSeconds: 20,
      containers: [{ image: shopImage, imagePullPolicy: "Never", workingDir: "/shop", resources, ...container }],
    },
  };
}

/** A Pod of the bookshop in a cluster. */
export function shopPod(cluster: string, { service, version, labels = {} }: Workload): object {
  const env = Object.entries({ VERSION: version, CLUSTER: cluster, DRAIN_MS: "5000" });
  return pod(
    `${service}-${version}`,
    { app: service, version, ...labels },
    {
      name: "app",
      command: ["node", "--max-semi-space-size=2", `samples/bookshop/${service}.ts`],
      env: env.map(([name, value]) => ({ name, value })),
      ports: [{ name: "http", containerPort: 9080 }],
      readinessProbe: { httpGet: { path: "/health", port: 9080 }, periodSeconds: 1, timeoutSeconds: 5 },
    },
  );
}

/** A Pod that sends load to services of the shop: `details`, or `SERVICE/details` for details behind another Service. */
export function loadPod(services: readonly string[], name = "load", perSecond = 30): object {
  const urls = services.map((each) => {
    const [service, path = service] = each.split("/");
    return `${service}=http://${service}:9080/${path}/time-machine`;
  });
  const command = ["node", "--max-semi-space-size=2", "test/kubernetes/shop-load-main.ts", ...urls];
  const env = [{ name: "PER_SECOND", value: String(perSecond) }];
  return pod(name, { app: name }, { name: "app", command, env });
}

/** A VirtualService of the shop without retries, to one version or to all. */
export function shopRoute(service: string, subset?: string): object {
  const destination = { host: `${service}.shop.svc.cluster.local`, ...(subset === undefined ? {} : { subset }) };
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { namespace: "shop", name: service },
    spec: { hosts: [destination.host], http: [{ route: [{ destination }], retries: { attempts: 0 } }] },
  };
}

/** Runs kubectl in a cluster, which must succeed. */
export async function kubectl(
  cluster: Cluster,
  line: string | readonly string[],
  ...objects: readonly object[]
): Promise<string> {
  const input = objects.map((object) => JSON.stringify(object)).join("\n---\n");
  const { code, stdout, stderr } = await cluster.kubectl(line, { input, patience });
  if (code !== 0) throw new Error(`kubectl ${String(line)} in ${cluster.name}: ${stderr}`);
  return stdout.trim();
}

/** Says in the mesh by which images and settings Pods are injected. */
export async function injectionSettings(mesh: Pick<JoinedMesh, "api">): Promise<void> {
  const global = {
    hub: "weft.dev/test",
    tag: "1",
    imagePullPolicy: "Never",
    proxy: { resources: { requests: { cpu: "10m" } } },
  };
  await mesh.api.client.of<ConfigMap>(configMap).create({
    metadata: { namespace: "istio-system", name: "istio-sidecar-injector" },
    data: { values: JSON.stringify({ global }) },
  });
}

/** Waits until all Pods of the shop are Ready. */
export async function shopIsReady(cluster: Cluster): Promise<void> {
  try {
    await kubectl(cluster, "wait pod --all -n shop --for=condition=Ready --timeout=4m");
  } catch (fault) {
    const told = await kubectl(cluster, "describe pods -n shop");
    const log = await cluster.kubectl("logs -n shop -l app=details -c istio-proxy --tail=40", { patience });
    throw new Error(`${told.slice(-4000)}\n${log.stdout}${log.stderr}`, { cause: fault });
  }
}

/** What came of a load until a moment. */
export interface LoadState {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** How often each outcome was, by service: `200 VERSION CLUSTER`, or what went wrong. */
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** When the newest request of each outcome began, in milliseconds since the epoch. */
  readonly last: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** What the load of a cluster has come to, of one of its Pods. */
export async function loadOf(cluster: Cluster, pod = "load"): Promise<LoadState> {
  return JSON.parse(await kubectl(cluster, `exec -n shop ${pod} -c app -- cat /tmp/load.json`)) as LoadState;
}

/** What came of a load between two moments, of one service. */
export function between(
  before: LoadState,
  after: LoadState,
  service: string,
): { readonly perSecond: number; readonly outcomes: Readonly<Record<string, number>> } {
  const all = Object.entries(after.counts[service] ?? {}).map(
    ([outcome, count]) => [outcome, count - (before.counts[service]?.[outcome] ?? 0)] as const,
  );
  const outcomes = Object.fromEntries(all.filter(([, count]) => count > 0));
  const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  return { perSecond: total / ((after.at - before.at) / 1000), outcomes };
}

/** Outcomes that are no whole answer of the service. */
export function failures(outcomes: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(outcomes).filter(([outcome]) => !outcome.startsWith("200 ")));
}
