/** What an operator sees of a proxy that does what it should not: the production processes, the CLI and kubectl. */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { event as eventKind, type Event } from "#api/kubernetes/event.ts";
import { pod } from "#api/kubernetes/pod.ts";
import { mesh as meshKind, type Mesh } from "#api/weft/mesh.ts";
import { typeUrls } from "#proto/encoded.ts";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { ServedMesh } from "../../bench/served.ts";
import { eventually } from "../support/eventually.ts";
import { kubectlPath } from "./kubectl.ts";

const run = promisify(execFile);
const kubectl = kubectlPath("1.37.1");
const podName = "bad-1";
const id = `sidecar~10.0.0.9~${podName}.ns-0~ns-0.svc.cluster.local`;
const node = { id, metadata: { CLUSTER_ID: "main", NAMESPACE: "ns-0" } };

let served: ServedMesh;
let proxy: DeltaStream;

beforeAll(async () => {
  served = await ServedMesh.start({ services: 4, namespaces: 2, sidecars: 0 });
  const spec = { containers: [{ name: "app", image: "none" }] };
  await served.cluster.of(pod).create({ metadata: { namespace: "ns-0", name: podName }, spec });
  const [host = "", port = ""] = served.ads.split(":");
  proxy = new DeltaStream({ host, port: Number(port) });
  proxy.ask({ node, typeUrl: typeUrls.cluster });
  await eventually("the proxy is served", () => proxy.responses[0]);
  proxy.ask({ typeUrl: typeUrls.cluster, responseNonce: "made-up" });
}, 120_000);

afterAll(async () => {
  proxy[Symbol.dispose]();
  await served[Symbol.asyncDispose]();
});

/** What a command prints; it may end with any code. */
async function printed(file: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, NO_COLOR: "1" };
  const all = [...args, "--kubeconfig", served.kubeconfig];
  const { stdout } = await run(file, all, { env, timeout: 60_000 }).catch(
    (error: unknown) => error as { stdout: string },
  );
  return stdout;
}

const weft = (...args: readonly string[]): Promise<string> => printed(process.execPath, ["src/cli/weft.ts", ...args]);

const said = `Proxy ${podName}.ns-0 (main) answers responses that were not sent on its stream`;

describe("a proxy that does what it should not is seen with", { timeout: 120_000 }, () => {
  test("weft proxy-status, in words and as data", async () => {
    await eventually("it is said", async () => (await weft("proxy-status")).includes(`ProxyForeignAnswer: ${said}`));
    const [one] = JSON.parse(await weft("proxy-status", "-o", "json")) as [object];
    expect(one).toMatchObject({ revision: "default", findings: [{ code: "ProxyForeignAnswer", count: 1 }] });
  });

  test("weft analyze, on its Pod, in its namespace", async () => {
    expect(await weft("analyze", "-n", "ns-0")).toContain(`[ProxyForeignAnswer] (Pod ns-0/${podName}) ${said}`);
    expect(await weft("analyze", "-n", "ns-1")).not.toContain("ProxyForeignAnswer");
    const data = JSON.parse(await weft("analyze", "-A", "-o", "json")) as readonly object[];
    expect(data).toContainEqual(
      expect.objectContaining({
        code: "ProxyForeignAnswer",
        level: "Warning",
        cluster: "main",
        documentationUrl: "docs/analyze.md#proxyforeignanswer",
      }),
    );
  });

  test("kubectl get and describe", async () => {
    const table = await printed(kubectl, ["get", "proxyfindings", "-A"]);
    expect(table).toMatch(/^NAMESPACE +NAME +CODE +COUNT +LAST +MESSAGE$/m);
    expect(table).toContain(`${podName}.main.proxy-foreign-answer`);
    const one = ["get", "proxyfinding", `${podName}.main.proxy-foreign-answer`, "-n", "ns-0", "-o", "json"];
    expect(JSON.parse(await printed(kubectl, one))).toMatchObject({
      kind: "ProxyFinding",
      spec: { pod: podName, cluster: "main", node: id, code: "ProxyForeignAnswer" },
      status: { count: 1 },
    });
    const described = await printed(kubectl, ["describe", "pod", podName, "-n", "ns-0", "--context", "main"]);
    expect(described).toContain("ProxyForeignAnswer");
  });

  test("an event of the Pod, and the Mesh's condition", async () => {
    const found = await eventually("the event is there", async () => {
      const { items } = await served.cluster.of<Event>(eventKind).list({ namespace: "ns-0" });
      return items.find(({ reason }) => reason === "ProxyForeignAnswer");
    });
    expect(found).toMatchObject({ type: "Warning", involvedObject: { kind: "Pod", name: podName } });
    expect(found.message).toContain(said);
    await eventually("the mesh counts it", async () => {
      const { status } = await served.mesh.of<Mesh>(meshKind).get({ name: "default" });
      return status?.conditions?.some(({ message }) =>
        message.includes("1 misbehaving, see kubectl get proxyfindings"),
      );
    });
  });

  test("a name that no terminal should obey is shown as text", async () => {
    const [host = "", port = ""] = served.ads.split(":");
    using odd = new DeltaStream({ host, port: Number(port) });
    odd.ask({ node: { id: "sidecar~1~a\u001B[2J.b~c" }, typeUrl: typeUrls.cluster });
    await eventually("it is refused", () => odd.ended);
    const text = await weft("proxy-status");
    expect(text).toContain("ProxyInvalidNode: A peer that has not said who it is has a node id");
    expect(text).not.toContain("\u001B");
  });
});

/** A `kubectl get --watch` as it goes on. */
class Watch implements Disposable {
  readonly #child: ReturnType<typeof spawn>;
  said = "";

  constructor(...args: readonly string[]) {
    const all = ["get", ...args, "--watch", "--output-watch-events", "--kubeconfig", served.kubeconfig];
    this.#child = spawn(kubectl, all, { stdio: ["ignore", "pipe", "pipe"] });
    for (const from of [this.#child.stdout, this.#child.stderr])
      from!.on("data", (chunk: Buffer) => (this.said += chunk.toString()));
  }

  /** The types of events of a proxy, in order. */
  of(pod: string): readonly string[] {
    return [...this.said.matchAll(/^(ADDED|MODIFIED|DELETED) .*$/gm)]
      .filter(([line]) => line.includes(` ${pod}.main `))
      .map(([, type]) => type!);
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

/** A proxy that has its clusters. */
async function connected(pod: string, labels: Readonly<Record<string, string>>): Promise<DeltaStream> {
  const [host = "", port = ""] = served.ads.split(":");
  const stream = new DeltaStream({ host, port: Number(port) });
  const own = `sidecar~10.0.0.8~${pod}.ns-0~ns-0.svc.cluster.local`;
  stream.ask({ node: { id: own, metadata: { ...node.metadata, LABELS: labels } }, typeUrl: typeUrls.cluster });
  await eventually("it is served", () => stream.responses[0]);
  return stream;
}

describe("kubectl get proxies --watch", { timeout: 60_000 }, () => {
  test("tells of proxies that come, change and go, and of nothing else", async () => {
    using all = new Watch("proxies", "-A");
    using one = new Watch("proxy", `${podName}.main`, "-n", "ns-0");
    using labelled = new Watch("proxies", "-n", "ns-0", "-l", "app=watched");
    const watches = [all, one, labelled];
    await eventually("two show what there is", () => all.of(podName).length > 0 && one.of(podName).length > 0);
    // Which begins with nothing has nothing to show when it begins.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const stream = await connected("good-1", { app: "watched" });
    await eventually("it has come", () => [all, labelled].every((watch) => watch.of("good-1").includes("ADDED")));
    stream.ask({ typeUrl: typeUrls.cluster, responseNonce: stream.responses[0]!.nonce });
    await eventually("it has changed", () => [all, labelled].every((watch) => watch.of("good-1").includes("MODIFIED")));
    stream[Symbol.dispose]();
    await eventually("it is gone", () => [all, labelled].every((watch) => watch.of("good-1").includes("DELETED")));
    expect(all.said).toMatch(/^EVENT +NAMESPACE +NAME +CLUSTER +TYPE +PHASE +SYNCED/m);
    for (const watch of [all, labelled])
      expect(watch.of("good-1").filter((type) => type !== "MODIFIED")).toEqual(["ADDED", "DELETED"]);
    expect(one.of("good-1")).toEqual([]);
    expect(labelled.of(podName)).toEqual([]);
    expect(watches.map(({ said }) => said).join()).not.toMatch(/error|unable/i);
  });

  test("is what discovery says of them, in both of its forms", async () => {
    const group = { method: "GET", path: "/apis/status.mesh.weft.dev/v1alpha1" } as const;
    const { resources } = await served.mesh.json<{ resources: readonly object[] }>(group);
    const verbs = ["get", "list", "watch"];
    expect(resources).toMatchObject([
      { name: "proxies", verbs },
      { name: "proxyfindings", verbs },
    ]);
    const table = await printed(kubectl, ["api-resources", "--api-group=status.mesh.weft.dev", "-o", "wide"]);
    expect(table.match(/get,list,watch/g)).toHaveLength(2);
  });

  test("a list has a version to watch from, and one of another time is too old", async () => {
    const path = "/apis/status.mesh.weft.dev/v1alpha1/proxies";
    const list = await served.mesh.json<{ metadata: { resourceVersion: string }; items: readonly object[] }>({
      method: "GET",
      path,
    });
    expect(list.items).toContainEqual(
      expect.objectContaining({
        metadata: expect.objectContaining({ resourceVersion: expect.stringMatching(/^\d+$/) }),
      }),
    );
    const watch = async (resourceVersion: string): Promise<string> =>
      (
        await served.mesh.bytes({ method: "GET", path, query: { watch: "true", timeoutSeconds: "1", resourceVersion } })
      ).toString();
    expect(await watch(list.metadata.resourceVersion)).not.toContain("ADDED");
    expect(await watch("0")).toContain('"type":"ADDED"');
    expect(JSON.parse(await watch("7"))).toMatchObject({ type: "ERROR", object: { code: 410, reason: "Expired" } });
  });
});
