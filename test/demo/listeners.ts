import { readFileSync, statSync } from "node:fs";
import { connect } from "node:http2";
import { connect as connectTls } from "node:tls";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { isLoopback } from "#base/loopback.ts";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { listeningOf } from "../support/sockets.ts";
import { eventually } from "../support/eventually.ts";
import type { Demo } from "./demo.ts";

/** A row of the table of listeners. */
interface Documented {
  readonly program: string;
  readonly listener: string;
  readonly mode: string;
}

/** The table of docs/security.md. */
function documented(): readonly Documented[] {
  const text = readFileSync(join(import.meta.dirname, "../../docs/security.md"), "utf8");
  const section = /^## Listeners\n([^]*?)^## /m.exec(text)?.[1] ?? "";
  const rows = section.matchAll(/^\| `?([a-z ]+)`? +\| `([^`]+)` +\| ([0-7]*) *\|/gm);
  return [...rows].map(([, program = "", listener = "", mode = ""]) => ({ program: program.trim(), listener, mode }));
}

/** What a program is called in the table; undefined for applications of the shop. */
function programOf(command: string): string | undefined {
  if (/^node .*samples\/bookshop\//.test(command)) return undefined;
  const weft = /\/src\/cli\/weft\.ts ([a-z]+)/.exec(command)?.[1];
  if (weft !== undefined) return `weft ${weft}`;
  if (command.includes("/src/agent/dns/dns-main.ts")) return "name server";
  if (command.includes("/src/runtime/forwarder-child.ts")) return "forwarder";
  return command.startsWith("/run/weft/envoy ") ? "proxy" : command;
}

/** A socket as the table names it: what differs from one mesh to the other has a name. */
type Naming = (program: string, socket: string) => string;

async function naming({ name, info }: Demo): Promise<Naming> {
  const configs = Object.values(info.kubeconfigs).map(async (file) => readKubeconfig(file));
  const apis = new Set((await Promise.all(configs)).map(({ server }) => new URL(server.url).port));
  const gateway = new URL(info.gateway).port;
  return (program, socket) => {
    const short = socket
      .replace(`/run/weft/${name}/`, "")
      .replace(/^unix api-(?:mesh|east|west)\.sock$/, "unix api-API.sock")
      .replace(/^unix node-(?:east|west)-1\.sock$/, "unix node-NODE.sock")
      .replace(/^unix proxies\/[0-9a-f]{10}\/xds\.sock$/, "unix proxies/POD/xds.sock")
      .replace(/^unix @envoy_domain_socket_(?:udp_)?(?:parent|child)_\d+@*$/, "unix @envoy_domain_socket_ID");
    const [, address, port = ""] = /^tcp (\S+):(\d+)$/.exec(short) ?? [];
    if (program === "weft server" && apis.has(port)) return `tcp ${address}:API`;
    if (program === "forwarder" && port === gateway) return `tcp ${address}:HOSTPORT`;
    // That of the shop's Gateway.
    return program === "proxy" && port === "8080" ? `tcp ${address}:SERVERPORT` : short;
  };
}

/** What an unproven caller of a method over TLS is answered. */
async function answeredStranger(socketPath: string, path: string): Promise<unknown> {
  const socket = connectTls({ path: socketPath, ALPNProtocols: ["h2"], rejectUnauthorized: false });
  const session = connect("https://istiod.istio-system.svc", { createConnection: () => socket });
  try {
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    for (const event of ["response", "trailers"] as const)
      stream.on(event, (headers) => headers["grpc-status"] !== undefined && resolve(headers["grpc-status"]));
    stream.once("error", reject);
    session.once("error", reject);
    // An empty message.
    stream.end(Buffer.alloc(5));
    return await promise;
  } finally {
    session.destroy();
  }
}

/** Compares what a running mesh listens on with what docs/security.md says of it. */
export function listenersTests(running: () => Demo): void {
  test("everything that listens stands in docs/security.md, and what stands there listens", async () => {
    const demo = running();
    const named = await naming(demo);
    const expected = documented();
    expect(expected.length).toBeGreaterThan(15);
    const found = () =>
      listeningOf(demo.name, demo.info.pid).flatMap(({ command, socket }) => {
        const program = programOf(command);
        return program === undefined ? [] : [{ program, socket, row: `${program}: ${named(program, socket)}` }];
      });
    // Sockets are in two processes for a moment while they are handed over.
    const rows = expected.map(({ program, listener }) => `${program}: ${listener}`).toSorted();
    await eventually("no program that hands sockets over runs", () =>
      found().every(({ row }) => rows.includes(row)),
    ).catch(() => undefined);
    const listening = found();
    expect([...new Set(listening.map(({ row }) => row))].toSorted()).toEqual(rows);
    const owners: number[] = [];
    for (const { program, socket, row } of listening) {
      const [, path] = /^unix (\/.*)$/.exec(socket) ?? [];
      const { mode } = expected.find((each) => `${each.program}: ${each.listener}` === row)!;
      if (path !== undefined) {
        expect([path, (statSync(path).mode & 0o777).toString(8).padStart(4, "0")]).toEqual([path, mode]);
        const { uid } = statSync(path);
        if (path.endsWith("/xds.sock")) {
          expect([path, uid]).toEqual([path, expect.toSatisfy((user: number) => user > 1_337_000_000)]);
          expect([path, statSync(dirname(path)).mode & 0o777]).toEqual([path, 0o700]);
          owners.push(uid);
        } else expect([path, uid]).toEqual([path, 0]);
      }
      const [, host] = /^(?:tcp|udp) (.*):\d+$/.exec(socket) ?? [];
      if (host !== undefined && program !== "proxy") expect([row, isLoopback(host)]).toEqual([row, true]);
    }
    // Each proxy is a user of its own.
    expect(new Set(owners).size).toBe(owners.length);
    // One of each, not only one of them.
    const count = (row: string): number =>
      new Set(listening.filter((one) => one.row === row).map((one) => one.socket)).size;
    expect([count("weft server: tcp 127.0.0.1:API"), count("weft server: unix api-API.sock")]).toEqual([3, 3]);
    expect(count("weft agent: unix node-NODE.sock")).toBe(2);
  });

  test.each([
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "/istio.v1.auth.IstioCertificateService/CreateCertificate",
  ])("the control plane does not answer strangers: %s", async (path) => {
    // gRPC's UNAUTHENTICATED.
    expect(await answeredStranger(`/run/weft/${running().name}/ads.sock`, path)).toBe("16");
  });
}
