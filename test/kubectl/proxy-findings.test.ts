/** What an operator sees of a proxy that does what it should not: the production processes, the CLI and kubectl. */
import { execFile } from "node:child_process";
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
    const [one] = JSON.parse(await weft("proxy-status", "-o", "json")) as [{ findings: object[] }];
    expect(one.findings).toMatchObject([{ code: "ProxyForeignAnswer", count: 1 }]);
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
