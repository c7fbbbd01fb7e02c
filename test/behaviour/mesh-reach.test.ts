/**
 * What settings of the whole mesh say of its namespaces, its connections and its DNS, changed while proxies run. Names of
 * groups are fields of Istio's MeshConfig.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MeshConfig } from "#api/istio/mesh-config.ts";
import { eventually } from "../support/eventually.ts";
import { World } from "./world.ts";

const settings: MeshConfig = { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } };

/** A VirtualService that sends to a subset which only a DestinationRule makes: 503 tells that none holds. */
const toSubset = (host: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  gateways: [mesh, edge/edge]
  http: [{ route: [{ destination: { host: ${host}, subset: all } }] }]`;

const subsetOf = (host: string, namespace: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host}, namespace: ${namespace} }
spec: { host: ${host}.shop.svc.cluster.local, subsets: [{ name: all, labels: {} }] }`;

let world: World;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-mesh-reach-"));
  world = await World.start("mr", {
    mesh: settings,
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } },
    ],
    // The proxies' name server knows no other name.
    names: { "known.example.com": "@plain-v1-0" },
    services: [
      { name: "plain" },
      { name: "rooted" },
      { name: "exported" },
      { name: "unreachable", pods: { absent: 1 } },
      { name: "alive", ports: [{ name: "tcp", port: 9092, to: "tcp" }] },
      { name: "vault", namespace: "bank" },
    ],
    istio: [
      toSubset("rooted"),
      toSubset("exported"),
      subsetOf("rooted", "roots"),
      subsetOf("exported", "shop"),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: of-another, namespace: bank }
spec:
  hosts: [plain.shop.svc.cluster.local]
  http:
    - fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
      route: [{ destination: { host: plain.shop.svc.cluster.local } }]`,
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 8090, name: http, protocol: HTTP }, hosts: ["*"] }
    - { port: { number: 8443, name: tls, protocol: TLS }, hosts: [passed.example.com], tls: { mode: PASSTHROUGH } }`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: passed }
spec:
  hosts: [passed.example.com]
  gateways: [edge/edge]
  tls: [{ match: [{ sniHosts: [passed.example.com] }], route: [{ destination: { host: alive } }] }]`,
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: nameless }
spec:
  hosts: [nameless.example.com]
  resolution: DNS
  ports: [{ number: 9080, name: http, protocol: HTTP }]`,
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const set = (change: MeshConfig): void => world.setMesh({ ...settings, ...change });

async function statusOf(host: string): Promise<number> {
  return (await world.caller("caller").send(`http://${host}:9080/`, { fresh: true })).status;
}

/** The status of a host's answer through the gateway, which is in another namespace than services. */
async function statusAtEdge(host: string): Promise<number> {
  const url = `http://${world.addressOf("edge")}:8090/`;
  return (await world.outside.send(url, { host: `${host}.shop.svc.cluster.local`, fresh: true })).status;
}

/** Whether a request is answered so by now: changes are on their way. */
const answers = (status: number, ask: () => Promise<number>) => async (): Promise<boolean> =>
  (await ask().catch(() => 0)) === status;

const counted = (host: string, name: string): Promise<number> =>
  world.envoy("caller").sumOf(new RegExp(String.raw`^cluster\.outbound\|\d+\|\|${host};?\.${name}$`));

describe("namespaces", () => {
  test("rootNamespace: DestinationRules of it are for all", async () => {
    await eventually(
      "no rule holds",
      answers(503, () => statusOf("rooted")),
    );
    set({ rootNamespace: "roots" });
    await eventually(
      "the rule of the root namespace holds",
      answers(200, () => statusOf("rooted")),
    );
    set({});
    await eventually(
      "no rule holds any more",
      answers(503, () => statusOf("rooted")),
    );
  });

  test("defaultVirtualServiceExportTo", async () => {
    await eventually(
      "the rule of another namespace holds",
      answers(418, () => statusOf("plain")),
    );
    set({ defaultVirtualServiceExportTo: ["."] });
    await eventually(
      "it does not",
      answers(200, () => statusOf("plain")),
    );
    set({ defaultVirtualServiceExportTo: ["shop"] });
    await eventually(
      "it does where it is exported to",
      answers(418, () => statusOf("plain")),
    );
  });

  test("defaultDestinationRuleExportTo", async () => {
    set({});
    await eventually(
      "the rule holds at the gateway",
      answers(200, () => statusAtEdge("exported")),
    );
    set({ defaultDestinationRuleExportTo: ["."] });
    await eventually(
      "it does not",
      answers(503, () => statusAtEdge("exported")),
    );
    expect(await statusOf("exported")).toBe(200);
  });

  test("discoverySelectors", async () => {
    const namespace = (name: string, labels: object): void =>
      world.apply(JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } }), "east");
    set({});
    namespace("shop", { mesh: "on" });
    namespace("bank", { team: "y" });
    await eventually(
      "another namespace's Service is known",
      answers(200, () => statusOf("vault.bank")),
    );
    await eventually(
      "its VirtualService too",
      answers(418, () => statusOf("plain")),
    );
    const byExpression = { matchExpressions: [{ key: "team", operator: "In", values: ["x", "z"] }] };
    set({ discoverySelectors: [{ matchLabels: { mesh: "on" } }, byExpression] });
    // Nothing of the other namespace is known: no Service, and no VirtualService.
    await eventually(
      "the Service is not",
      answers(502, () => statusOf("vault.bank")),
    );
    await eventually(
      "nor the VirtualService",
      answers(200, () => statusOf("plain")),
    );
    namespace("bank", { team: "x" });
    await eventually(
      "the Service is again",
      answers(200, () => statusOf("vault.bank")),
    );
    await eventually(
      "so is the VirtualService",
      answers(418, () => statusOf("plain")),
    );
    namespace("shop", {});
    await eventually(
      "the caller's own namespace is not",
      answers(502, () => statusOf("plain")),
    );
    set({});
    await eventually(
      "without selectors all are",
      answers(418, () => statusOf("plain")),
    );
  });
});

describe("connections", () => {
  test("connectTimeout", async () => {
    const host = "unreachable.shop.svc.cluster.local";
    // By the mesh's usual 10 seconds the network itself has given up.
    set({ connectTimeout: "0.1s" });
    await eventually("a connection is given up", async () => {
      await statusOf("unreachable");
      return (await counted(host, "upstream_cx_connect_timeout")) > 0;
    });
  });

  test("tcpKeepalive finds out that a peer has vanished", async () => {
    set({ tcpKeepalive: { time: "1s", interval: "1s", probes: 2 } });
    await eventually("the proxy has it", async () =>
      (await world.envoy("caller").admin("GET", "/config_dump")).includes("keepalive_probes"),
    );
    const socket = await world.caller("caller").connect("alive", 9092);
    socket.on("error", () => undefined);
    await eventually("it talks", () => socket.read() !== null);
    await world.vanish("alive-v1-0");
    await eventually("it is closed", () => socket.resume().closed || socket.readableEnded);
  });

  test("dnsRefreshRate: a name that is not found is asked for again", async () => {
    set({ dnsRefreshRate: "0.1s" });
    const asked = (): Promise<number> => counted("nameless.example.com", "update_attempt");
    const before = await asked();
    await eventually("it is asked for", async () => (await asked()) > before + 10);
  });
});

describe("disableEnvoyListenerLog", () => {
  test("connections for which there is no filter chain are not logged", async () => {
    const log = join(folder, "access.log");
    writeFileSync(log, "");
    chmodSync(folder, 0o755);
    chmodSync(log, 0o666);
    const base = { accessLogFile: log, accessLogFormat: "%RESPONSE_FLAGS% %REQUESTED_SERVER_NAME% %REQ(:PATH)%\n" };
    let turn = 0;
    /** Whether the log tells of a connection that nobody takes; what comes after it is there in any case. */
    const isLogged = async (): Promise<boolean> => {
      turn += 1;
      const socket = await world.outside.connect(world.addressOf("edge"), 8443);
      const refused = connectTls({ socket, servername: `nobody-${turn}.example.com`, rejectUnauthorized: false });
      await new Promise((resolve) => {
        refused.once("error", resolve).once("close", resolve);
      });
      const path = `/after-${turn}`;
      await eventually("what comes after is logged", async () => {
        await world.outside.send(`http://${world.addressOf("edge")}:8090${path}`, { fresh: true });
        return readFileSync(log, "utf8").includes(path);
      });
      return readFileSync(log, "utf8").includes(`NR nobody-${turn}.example.com`);
    };
    set(base);
    await eventually("it is logged", isLogged);
    set({ ...base, disableEnvoyListenerLog: true });
    await eventually("it is not logged", async () => !(await isLogged()));
  });
});
