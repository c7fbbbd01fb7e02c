/** What a Pod of a Kubernetes node gets beside its proxy: names looked up at the agent, and metrics in one list. */
import { createServer, type RequestListener } from "node:http";
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DnsServer } from "#agent/dns/server.ts";
import { dnsPort } from "#agent/dns/service.ts";
import { LookupTable } from "#agent/dns/table.ts";
import { proxyUid } from "#agent/layout.ts";
import { metricsOf, servePodMetrics } from "#agent/managed/pod-metrics.ts";
import { captureNames, releaseNames } from "#agent/managed/pod-names.ts";
import { podOf } from "#agent/testing/pods.ts";
import { systemClock as clock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { command } from "#runtime/command.ts";
import { listenInside, serveInside } from "#runtime/namespace-socket.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { TestNetwork } from "../support/network.ts";

const address = "10.10.0.2";
let network: TestNetwork;
let pod: string;
let other: string;

beforeAll(async () => {
  network = await TestNetwork.create("extras");
  pod = namespacePath(await network.add("pod", address));
  other = namespacePath(await network.add("other", "10.10.0.3"));
});
afterAll(() => network[Symbol.asyncDispose]());

const run = async (where: string, line: string): Promise<string> => command(inside(where, ["sh", "-c", line]));

describe("names", () => {
  const server = "10.10.0.9";
  const lookUp = async (name: string, seconds = 30): Promise<string> =>
    run(pod, `timeout ${seconds} busybox nslookup -type=a ${name} ${server} 2>&1`);
  const hosts = { "api.example.com": { ips: ["240.240.0.1"], registry: "External", shortname: "", namespace: "" } };

  test("are the agent's while it serves the Pod, and others' before and after", async () => {
    await expect(captureNames(pod, [server])).rejects.toThrow("nothing listens on 127.0.0.1:15053");
    const sockets = await serveInside(pod, { host: "127.0.0.1", port: dnsPort, uid: proxyUid });
    using names = new DnsServer(sockets, { forward: () => Promise.resolve(undefined) });
    names.setTable(new LookupTable(hosts, { namespace: "shop", clusterDomain: "cluster.local", sharesDomain: true }));
    await expect(lookUp("api.example.com", 2)).rejects.toThrow(/ended with code/);
    // Again and again, as by agents that follow one another.
    for (let turn = 0; turn < 2; turn += 1) await captureNames(pod, [server]);
    expect(await lookUp("api.example.com")).toContain("240.240.0.1");
    const rules = await run(pod, "iptables-save -t nat");
    expect(rules.match(/-A OUTPUT .*WEFT_NAMES/g)).toHaveLength(2);
    for (let turn = 0; turn < 2; turn += 1) await releaseNames(pod);
    await expect(lookUp("api.example.com", 2)).rejects.toThrow(/ended with code/);
    expect(await run(pod, "iptables-save -t nat")).not.toContain("WEFT");
  });
});

describe("metrics", () => {
  async function serve(port: number, answer: RequestListener): Promise<Disposable> {
    const listener = await listenInside(pod, { host: "127.0.0.1", port });
    const server = createServer(answer);
    const sockets = new Set<Socket>();
    listener.on("connection", (socket: Socket) => {
      sockets.add(socket);
      server.emit("connection", socket);
    });
    return {
      [Symbol.dispose]: () => {
        listener.close();
        for (const socket of sockets) socket.destroy();
      },
    };
  }
  const ask = async (path: string, more = ""): Promise<string> =>
    run(other, `curl --silent --max-time 10 --write-out ' %{http_code}' ${more} http://${address}:15020${path}`);

  test("of proxy and application are one list, also when the application is away or comes back", async () => {
    using _proxy = await serve(15_090, ({ url }, response) => response.end(`proxy_metric{of="${url}"} 1\n`));
    let application = await serve(9100, ({ url }, response) => response.end(`own_metric{of="${url}"} 2\n`));
    const drained: string[] = [];
    const metrics = "http://127.0.0.1:9100/own";
    const drain = (): Promise<void> => Promise.resolve(void drained.push("drained"));
    using _served = await servePodMetrics({ network: pod, metrics, drain, clock, logger });
    const both = 'proxy_metric{of="/stats/prometheus"} 1\nown_metric{of="/own"} 2\n 200';
    for (let turn = 0; turn < 3; turn += 1) expect(await ask("/stats/prometheus")).toBe(both);
    application[Symbol.dispose]();
    expect(await ask("/stats/prometheus")).toBe('proxy_metric{of="/stats/prometheus"} 1\n 200');
    application = await serve(9100, ({ url }, response) => response.end(`own_metric{of="${url}"} 2\n`));
    expect(await ask("/stats/prometheus")).toBe(both);
    application[Symbol.dispose]();
    expect(await ask("/drain", "-X POST")).toMatch(/ 403$/);
    expect(await ask("/quitquitquit", "-X POST")).toMatch(/ 404$/);
    expect(drained).toEqual([]);
  });

  test.each([
    [{}, undefined],
    [{ scrape: "true" }, "http://127.0.0.1:80/metrics"],
    [{ scrape: "true", port: "9100", path: "own" }, "http://127.0.0.1:9100/own"],
    [{ scrape: "false", port: "9100" }, undefined],
    [{ scrape: "true", port: "15020" }, undefined],
    [{ scrape: "true", port: "9100@elsewhere" }, undefined],
  ])("of an application with the annotations %j are at %s", (told, expected) => {
    const annotations = Object.fromEntries(
      Object.entries(told).map(([name, value]) => [`prometheus.io/${name}`, value]),
    );
    const made = podOf();
    const of = (more: Readonly<Record<string, string>>): string | undefined =>
      metricsOf({ ...made, metadata: { ...made.metadata, annotations: { ...annotations, ...more } } });
    expect(of({})).toBe(expected);
    expect(of({ "prometheus.istio.io/merge-metrics": "false" })).toBeUndefined();
  });
});
