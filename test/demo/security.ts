import { once } from "node:events";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { command } from "#runtime/command.ts";
import { fabricName, probeAddress } from "#runtime/fabric.ts";
import { Connector } from "../support/connector.ts";
import { eventually } from "../support/eventually.ts";
import type { Demo } from "./demo.ts";

const apis = ["mesh", "east", "west"] as const;

/** What stands in a Secret, and must not be found on disk. */
export const secretWord = "an-open-sesame-of-the-test";
/** Arguments by which kubectl shows that Secret. */
export const secretOf = ["-n", "shop", "get", "secret", "kept", "-o"] as const;

/** Makes that Secret. */
export async function writeSecret(demo: Demo): Promise<void> {
  await demo.kubectl("mesh", [
    "-n",
    "shop",
    "create",
    "secret",
    "generic",
    "kept",
    `--from-literal=word=${secretWord}`,
  ]);
}

interface Pod {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly {
      readonly ports?: readonly { readonly containerPort: number }[];
      readonly readinessProbe?: { readonly httpGet: { readonly port: number } };
    }[];
  };
  readonly status: { readonly podIP: string };
}

async function podsOf(demo: Demo): Promise<readonly Pod[]> {
  const lists = (["east", "west"] as const).map(async (cluster) => {
    const text = await demo.kubectl(cluster, ["-n", "shop", "get", "pods", "-o", "json"]);
    return (JSON.parse(text) as { readonly items: readonly Pod[] }).items;
  });
  return (await Promise.all(lists)).flat();
}

/** Everything that a port says to a request in plain text, until it closes the connection. */
async function plainText(connector: Connector, address: string, port: number, path = "/health"): Promise<string> {
  const socket = await connector.connect(address, port);
  const closed = Promise.withResolvers<void>();
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  socket.once("close", () => closed.resolve());
  socket.write(`GET ${path} HTTP/1.1\r\nhost: stranger\r\nconnection: close\r\n\r\n`);
  await closed.promise;
  return text;
}

/** Which ports of the shop answer a stranger: those of the Pod without a sidecar. */
export const answersToAnybody: Readonly<Record<string, boolean>> = {
  "page-v1:9080": false,
  "details-v1:9080": false,
  "reviews-v1:9080": false,
  "reviews-v2:9080": false,
  "reviews-v3:9080": false,
  "ratings-v1:9080": false,
  "stock-v1:9090": false,
  "stock-v1:9091": false,
  "ticker-v1:9000": false,
  "ticker-v1:9001": false,
  "legacy-v1:9080": true,
};

/** Calls every port of every Pod of the shop from outside, in plain text. @returns which answer; others say nothing at all. */
export async function answersToStranger(demo: Demo): Promise<Readonly<Record<string, boolean>>> {
  using connector = new Connector(demo.info.outsideNamespace);
  const answered: Record<string, boolean> = {};
  for (const { metadata, spec, status } of await podsOf(demo)) {
    const ports = spec.containers.flatMap(({ ports: named = [], readinessProbe }) => [
      ...named.map(({ containerPort }) => containerPort),
      ...(readinessProbe ? [readinessProbe.httpGet.port] : []),
    ]);
    for (const port of new Set(ports)) {
      const text = await plainText(connector, status.podIP, port);
      expect(text === "" || text.startsWith("HTTP/1.1 200 OK")).toBe(true);
      answered[`${metadata.labels["app"]}-${metadata.labels["version"]}:${port}`] = text !== "";
    }
  }
  return answered;
}

/** Status and body of an answer of an API to a client that shows no credential. */
async function withoutCredential(url: string, secure: boolean): Promise<{ status: number; body: string }> {
  const options = { agent: false, rejectUnauthorized: false };
  const request = secure ? httpsRequest(url, options) : httpRequest(url.replace("https:", "http:"), options);
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}

/** Files, and sockets, below a folder that others than their owner can read, write or call. */
function openFiles(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => (statSync(path).mode & 0o077) !== 0);
}

/** What a demonstration's security promises, as tests of a running one. */
export function securityTests(running: () => Demo): void {
  test("strangers that speak plain text are refused by every port of a Pod with a sidecar, and answered by one without", async () => {
    expect(await answersToStranger(running())).toEqual(answersToAnybody);
  });

  test("monitoring reads a proxy's figures and its health without a certificate, as in Istio", async () => {
    const [{ status }] = (await podsOf(running())) as [Pod];
    using connector = new Connector(running().info.outsideNamespace);
    for (const port of [15_020, 15_090]) {
      const figures = await plainText(connector, status.podIP, port, "/stats/prometheus");
      expect(figures).toMatch(/^HTTP\/1.1 200 OK[^]*# TYPE envoy_/);
    }
    expect(await plainText(connector, status.podIP, 15_021, "/healthz/ready")).toMatch(/^HTTP\/1.1 200 OK/);
    const others = [
      [15_020, "/healthz/readyz"],
      [15_021, "/healthz/ready/../config_dump"],
      [15_090, "/stats/prometheus/"],
    ] as const;
    const answers = others.map(async ([port, path]) => plainText(connector, status.podIP, port, path));
    // Nothing is said of what else there is.
    for (const text of await Promise.all(answers)) expect(text).toMatch(/^HTTP\/1.1 404 [^]*\r\n\r\n$/);
  });

  test("nobody outside can call as the node's probes, which sidecars let through", async () => {
    const demo = running();
    const [{ status }] = (await podsOf(demo)) as [Pod];
    // What the kernel does with a packet that comes in from outside, by who it says it is from.
    const routed = async (from: string): Promise<string> =>
      command(["ip", "-n", fabricName(demo.name), "route", "get", status.podIP, "from", from, "iif", "outside"]);
    expect(await routed("203.0.113.2")).toContain("dev br-");
    await expect(routed(probeAddress)).rejects.toThrow("Invalid argument");
  });

  test("workloads know each other by certificates, from both ends", async () => {
    await running().page();
    const calls = [
      { service: "page", cluster: "east", caller: "istio-system/sa/istio-ingressgateway" },
      { service: "details", cluster: "east", caller: "shop/sa/page" },
      { service: "ratings", cluster: "west", caller: "shop/sa/reviews" },
    ] as const;
    for (const { service, cluster, caller } of calls) {
      const ends = `By=spiffe://cluster.local/ns/shop/sa/${service};Hash=[0-9a-f]{64};.*URI=spiffe://cluster.local/ns/${caller}"`;
      await eventually(`${service} is called by ${caller}`, async () => {
        const logs = ["-n", "shop", "logs", `deployment/${service}-v1`, "-c", service];
        return new RegExp(ends).test(await running().kubectl(cluster, logs));
      });
    }
  });

  test.each(apis)("the API of %s wants a credential, and knows the kubeconfig's", async (api) => {
    const demo = running();
    const { server } = await readKubeconfig(demo.info.kubeconfigs[api]);
    expect(server.url).toMatch(/^https:/);
    const refused = await withoutCredential(`${server.url}/api/v1/namespaces`, true);
    expect([refused.status, JSON.parse(refused.body)]).toMatchObject([401, { reason: "Unauthorized" }]);
    await expect(withoutCredential(`${server.url}/readyz`, false)).rejects.toThrow(/socket hang up|ECONNRESET/);
    const whoami = JSON.parse(await demo.kubectl(api, ["auth", "whoami", "-o", "json"])) as object;
    expect(whoami).toMatchObject({
      status: { userInfo: { username: "admin", groups: ["system:masters", "system:authenticated"] } },
    });
    expect(await demo.kubectl(api, ["auth", "can-i", "*", "*", "--all-namespaces"])).toBe("yes\n");
    const stranger = demo.kubectl(api, ["auth", "can-i", "list", "secrets", "--as", "ada"]);
    await expect(stranger).rejects.toMatchObject({ stdout: "no\n" });
  });

  test("nobody but root reads its keys, credentials and Secrets, or opens its sockets", async () => {
    const { name } = running();
    const state = `/var/lib/weft/${name}`;
    for (const folder of ["api", "credentials", "kubeconfigs"]) expect(openFiles(join(state, folder))).toEqual([]);
    const sockets = readdirSync(`/run/weft/${name}`).filter((file) => /\.(?:sock|token|json)$/.test(file));
    expect(sockets).toEqual(
      expect.arrayContaining(["ads.sock", "api-mesh.sock", "discovery.sock", "node-east-1.sock", "supervisor.sock"]),
    );
    for (const file of sockets)
      expect([file, statSync(`/run/weft/${name}/${file}`).mode & 0o777]).toEqual([file, 0o600]);
    for (const file of ["encryption-keys", "store.db", "store.db-wal"]) {
      expect([file, statSync(join(state, file)).mode & 0o777]).toEqual([file, 0o600]);
      const bytes = readFileSync(join(state, file), "latin1");
      for (const text of [secretWord, btoa(secretWord)]) expect(bytes).not.toContain(text);
    }
  });

  test("who wrote a rule is kept", async () => {
    await running().kubectl("west", ["-n", "shop", "annotate", "virtualservice", "bookshop", "note=seen"]);
    const history = await running().weft("history", "virtualservice/bookshop", "-n", "shop");
    // A head, and the newest first.
    expect(history.split("\n")[1]).toMatch(/ admin +patch +kubectl/);
  });
}
