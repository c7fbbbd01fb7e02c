import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { captureRules } from "#runtime/capture.ts";
import { captureOf } from "./capture-command.ts";
import { openConnections } from "./envoy-process.ts";
import { ownNode } from "./proxy-pod.ts";
import { StatusServer } from "./status-server.ts";
import { readPodFile, readSurroundings, statusPortOf } from "./surroundings.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-sidecar-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const env = {
  POD_NAME: "reviews-1",
  POD_NAMESPACE: "shop",
  INSTANCE_IP: "10.0.0.1",
  SERVICE_ACCOUNT: "reviews",
  CA_ADDR: "istiod.istio-system.svc:15012",
  PROXY_CONFIG: '{"concurrency":2}\n',
  ISTIO_META_CLUSTER_ID: "east",
  ISTIO_META_WORKLOAD_NAME: "reviews",
  ISTIO_META_APP_CONTAINERS: "app,other",
};

describe("what the injection tells", () => {
  test("is read from variables", () => {
    expect(readSurroundings(env)).toMatchObject({
      name: "reviews-1",
      namespace: "shop",
      serviceAccount: "reviews",
      config: { concurrency: 2 },
      discovery: "istiod.istio-system.svc:15012",
      certificateTtlMs: 86_400_000,
      metadata: { CLUSTER_ID: "east", WORKLOAD_NAME: "reviews" },
      metrics: undefined,
    });
    const elsewhere = { ...env, PROXY_CONFIG: '{"discoveryAddress":"istiod-canary.istio-system.svc:15012"}' };
    expect(readSurroundings(elsewhere).discovery).toBe("istiod-canary.istio-system.svc:15012");
  });

  test.each([
    ['{"scrape":"true","port":"9000","path":"/own"}', "http://localhost:9000/own"],
    ['{"scrape":"true","port":"","path":""}', "http://localhost:80/metrics"],
    ['{"scrape":"false","port":"9000","path":"/own"}', undefined],
    ['{"scrape":"true","port":"15020","path":""}', undefined],
  ])("the application's metrics by %s are at %s", (text, url) => {
    expect(readSurroundings({ ...env, ISTIO_PROMETHEUS_ANNOTATIONS: text }).metrics).toBe(url);
  });

  test("is refused where it is wrong or not there", () => {
    expect(() => readSurroundings({ ...env, POD_NAME: "" })).toThrow("POD_NAME is not set");
    expect(() => readSurroundings({ ...env, PROXY_CONFIG: "{" })).toThrow("PROXY_CONFIG is no JSON");
  });

  test("labels and annotations are files of the downward API", () => {
    const file = join(folder, "labels");
    writeFileSync(file, 'app="reviews"\nnote="a=\\"b\\"\\nc"\n');
    expect(readPodFile(file)).toEqual({ app: "reviews", note: 'a="b"\nc' });
    expect(readPodFile(join(folder, "none"))).toEqual({});
  });

  test("the agent's port is Istio's, or that of the Pod's annotation", () => {
    expect(statusPortOf({})).toBe(15_020);
    expect(statusPortOf({ "status.sidecar.istio.io/port": "16020" })).toBe(16_020);
  });

  test("becomes the node that the control plane knows the proxy by", () => {
    const node = ownNode(readSurroundings(env), "sidecar", "cluster.local");
    expect(node.id).toBe("sidecar~10.0.0.1~reviews-1.shop~shop.svc.cluster.local");
    expect(node.metadata).toMatchObject({
      CLUSTER_ID: "east",
      NAMESPACE: "shop",
      WORKLOAD_NAME: "reviews",
      WEFT_SDS: "true",
    });
    expect(node.metadata).not.toHaveProperty("DNS_CAPTURE");
    const asking = ownNode(readSurroundings({ ...env, ISTIO_META_DNS_CAPTURE: "true" }), "sidecar", "cluster.local");
    expect(asking.metadata["DNS_CAPTURE"]).toBe("true");
    const bold = ownNode(readSurroundings({ ...env, ISTIO_META_WEFT_LENIENT: "true" }), "sidecar", "cluster.local");
    expect(bold.metadata).not.toHaveProperty("WEFT_LENIENT");
    const wrong = readSurroundings({ ...env, ISTIO_META_WEFT_IPV6: "true" });
    expect(ownNode(wrong, "sidecar", "cluster.local").metadata).not.toHaveProperty("WEFT_IPV6");
    expect(ownNode(wrong, "sidecar", "cluster.local", true).metadata).toMatchObject({ WEFT_IPV6: "true" });
  });
});

describe("istio-iptables", () => {
  const flags = {
    envoyPort: "15001",
    inboundCapturePort: "15006",
    proxyUid: "1234",
    inboundInterceptionMode: "REDIRECT",
    outboundIpRanges: "*",
    outboundIpRangesExclude: "",
    inboundPorts: "*",
    inboundPortsExclude: "15090,15021,15020,9000",
    outboundPorts: "",
    outboundPortsExclude: "25",
    excludeInterfaces: "",
  };
  const names = { capture: false, servers: ["10.96.0.10"] };

  test("sets the rules that its flags say", () => {
    const rules = captureRules(captureOf(flags, names)!);
    expect(rules).toContain("-A ISTIO_INBOUND -p tcp --dport 9000 -j RETURN");
    expect(rules).toContain("-A ISTIO_OUTPUT -p tcp --dport 25 -j RETURN");
    expect(rules).toContain("--uid-owner 1234");
    expect(rules).not.toContain("ISTIO_OUTPUT_DNS");
    const dns = captureRules(captureOf(flags, { ...names, capture: true })!);
    expect(dns).toContain("--dport 53 -d 10.96.0.10/32 -j REDIRECT --to-ports 15053");
  });

  test("sets none for NONE, and refuses what it cannot do", () => {
    expect(captureOf({ ...flags, inboundInterceptionMode: "NONE" }, names)).toBeUndefined();
    expect(() => captureOf({ ...flags, inboundInterceptionMode: "TPROXY" }, names)).toThrow("TPROXY");
    expect(() => captureOf({ ...flags, inboundPortsExclude: "x" }, names)).toThrow('"x" is not a port');
  });
});

test("connections of the mesh's traffic are counted, each once", () => {
  const stats = [
    "listener.0.0.0.0_15006.downstream_cx_active: 3",
    "listener.0.0.0.0_15006.worker_0.downstream_cx_active: 3",
    "listener.0.0.0.0_15021.downstream_cx_active: 1",
    "listener.admin.downstream_cx_active: 1",
    "http.admin.downstream_cx_active: 1",
    "listener.10.0.0.1_80.downstream_cx_active: 2",
  ];
  expect(openConnections(stats.join("\n"))).toBe(5);
  expect(openConnections("")).toBeUndefined();
});

describe("the agent's port", () => {
  test("asks the application what the kubelet wants to know, and takes commands", async () => {
    const application = createServer((request, response) =>
      response.writeHead(request.url === "/ok" ? 200 : 500).end(),
    );
    await new Promise<void>((resolve) => {
      application.listen(0, "127.0.0.1", resolve);
    });
    const { port } = application.address() as AddressInfo;
    const calls: string[] = [];
    using server = await StatusServer.listen({
      port: 0,
      application: "127.0.0.1",
      probes: new Map(
        ["ok", "bad"].map((path) => [`/app-health/${path}/readyz`, { httpGet: { path: `/${path}`, port } }]),
      ),
      metrics: undefined,
      drain: () => Promise.resolve(void calls.push("drain")),
      quit: () => void calls.push("quit"),
      clock: systemClock,
      logger: silentLogger,
    });
    const get = async (path: string, method = "GET") => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    expect((await get("/app-health/ok/readyz")).status).toBe(200);
    expect((await get("/app-health/bad/readyz")).status).toBe(500);
    expect((await get("/app-health/other/readyz")).status).toBe(404);
    expect((await get("/drain")).status).toBe(405);
    expect((await get("/drain", "POST")).status).toBe(200);
    expect((await get("/quitquitquit", "POST")).status).toBe(200);
    expect(calls).toEqual(["drain", "quit"]);
    application.close();
  });
});
