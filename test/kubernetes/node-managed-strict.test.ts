/** Node-managed sidecars under STRICT: the kubelet's probes, Pods that forge what they are known by, Jobs, joining and leaving. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { destinationRule } from "#api/istio/destination-rule.ts";
import { eventually } from "../support/eventually.ts";
import { areServed, callsOf, forget, ManagedWorld, namespaceOf, podOf, type Run, serviceOf } from "./managed-world.ts";

/** What probes come from in Pods, as the node translates it. */
const mark = "169.254.7.127";

let world: ManagedWorld;
let stranger: Run;

/** A server of gRPC's health service, in a few lines. */
const healthServer = `require("node:http2").createServer((request, response) => {
  response.writeHead(200, { "content-type": "application/grpc", trailer: "grpc-status" });
  response.addTrailers({ "grpc-status": "0" });
  response.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
}).listen(9001)`;

const often = (probe: object): object => ({ ...probe, periodSeconds: 1, timeoutSeconds: 5 });

/** A Pod whose containers are asked in all ways that a kubelet has. */
function probedPod(namespace: string, name: string): object {
  const files = "mkdir -p /tmp/www && touch /tmp/www/alive && echo hello > /tmp/www/index.html";
  const http = ["sh", "-c", `${files} && exec httpd -f -p 8080 -h /tmp/www`];
  const ready = (probe: object): object => ({ readinessProbe: often(probe) });
  return podOf(namespace, name, {
    containers: [
      world.container("http", http, {
        ...ready({ httpGet: { path: "/index.html", port: 8080 } }),
        livenessProbe: often({ httpGet: { path: "/alive", port: 8080 }, failureThreshold: 3 }),
      }),
      world.container("tcp", ["httpd", "-f", "-p", "9000"], ready({ tcpSocket: { port: 9000 } })),
      world.container("grpc", ["node", "-e", healthServer], ready({ grpc: { port: 9001 } })),
      world.container("exec", ["sh", "-c", "touch /tmp/ok; exec sleep infinity"], {
        ...ready({ exec: { command: ["test", "-e", "/tmp/ok"] } }),
      }),
    ],
  });
}

const curl = ["curl", "--silent", "--show-error", "--max-time", "3"];
const httpGet = (address: string, port: number, ...more: readonly string[]): readonly string[] => [
  ...curl,
  ...more,
  `http://${address}:${port}/index.html`,
];
/** What curl says of a connection that a proxy under STRICT ends. */
const refused = /reset by peer|Empty reply|Recv failure/;
/** What curl says where no answer comes, or nothing can be sent. */
const unanswered = /timed out|timeout|unreachable|No route|Couldn't connect/i;

beforeAll(async () => {
  world = await ManagedWorld.start("strict");
  stranger = world.inPod("plain", "stranger");
  await world.apply(
    namespaceOf("plain"),
    namespaceOf("strict", { "mesh.weft.dev/sidecar": "node" }),
    namespaceOf("guest"),
  );
  await world.setMode("STRICT");
  await world.apply(world.programPod("plain", "stranger"), world.programPod("guest", "b"), serviceOf("guest", "b"));
  await world.apply(
    probedPod("strict", "probed"),
    world.programPod("strict", "c", "http://b.guest.svc.cluster.local/"),
  );
  await world.kubectl("wait pod -n plain stranger --for=condition=Ready --timeout=2m");
  for (const pod of ["probed", "c"]) await world.joined("strict", pod);
});
afterAll(() => world[Symbol.asyncDispose]());

describe("the kubelet's probes", () => {
  /** By the names of containers: of "exec", "grpc", "http" and "tcp". */
  const restarts = async (): Promise<string> =>
    world.fieldOf("strict", "probed", "{.status.containerStatuses[*].restartCount}");

  test("reach the application itself, by HTTP, TCP, gRPC and commands, and strangers do not", async () => {
    const address = await world.addressOf("strict", "probed");
    for (const port of [8080, 9001]) await expect(stranger(httpGet(address, port))).rejects.toThrow(refused);
    const port = await world.fieldOf("strict", "probed", "{.spec.containers[0].readinessProbe.httpGet.port}");
    expect(port).toBe("8080");
    expect(await restarts()).toBe("0 0 0 0");
  });

  test("fail where the application does: it is unready, and it is started again beside the same proxy", async () => {
    const proxies = await world.proxiesOf("strict", "probed");
    const inside = world.inPod("strict", "probed", "http");
    await inside(["rm", "/tmp/www/index.html"]);
    await world.kubectl("wait pod -n strict probed --for=condition=Ready=false --timeout=1m");
    await inside(["sh", "-c", "echo hello > /tmp/www/index.html"]);
    await world.kubectl("wait pod -n strict probed --for=condition=Ready --timeout=1m");
    await inside(["rm", "/tmp/www/alive"]);
    await eventually("it is started again", async () => (await restarts()) === "0 0 1 0");
    await world.kubectl("wait pod -n strict probed --for=condition=Ready --timeout=1m");
    expect(await world.proxiesOf("strict", "probed")).toEqual(proxies);
    await expect(stranger(httpGet(await world.addressOf("strict", "probed"), 8080))).rejects.toThrow(refused);
  });
});

describe("a hostile Pod of the same node", () => {
  let forger: Run;
  let address: string;
  beforeAll(async () => {
    const securityContext = { capabilities: { add: ["NET_ADMIN", "NET_RAW"] } };
    const container = world.container("forger", ["sleep", "infinity"], { securityContext });
    await world.apply(podOf("plain", "forger", { containers: [container] }));
    await world.kubectl("wait pod -n plain forger --for=condition=Ready --timeout=1m");
    forger = world.inPod("plain", "forger");
    address = await world.addressOf("strict", "probed");
  });

  test("is no probe by marks of its packets", async () => {
    for (const value of ["0x1", "0x539", "0xffffffff"]) {
      const rule = ["-t", "mangle", "-A", "OUTPUT", "-p", "tcp", "-j", "MARK", "--set-mark", value];
      await forger(["iptables", ...rule]);
      await expect(forger(httpGet(address, 8080))).rejects.toThrow(refused);
    }
  });

  test("is no probe by an address that it takes, be it that of probes or the node's", async () => {
    for (const taken of [mark, world.node.address]) {
      await forger(["ip", "addr", "add", `${taken}/32`, "dev", "eth0"]);
      await expect(forger(httpGet(address, 8080, "--interface", taken))).rejects.toThrow(unanswered);
      await forger(["ip", "addr", "del", `${taken}/32`, "dev", "eth0"]);
    }
  });
});

test("a Job ends when its own container does, after it called through its sidecar", async () => {
  const called = "until curl --silent --fail --max-time 5 http://b.guest.svc.cluster.local/; do sleep 0.2; done";
  const container = world.container("job", ["sh", "-c", called]);
  const template = { spec: { restartPolicy: "Never", containers: [container] } };
  await world.apply({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { namespace: "strict", name: "once" },
    spec: { backoffLimit: 0, template },
  });
  await world.kubectl("wait job/once -n strict --for=condition=Complete --timeout=2m");
  const pod = await world.kubectl("get pods -n strict -l job-name=once -o jsonpath={.items[0].metadata.name}");
  await eventually("its proxy ends", async () => (await world.proxiesOf("strict", pod).catch(() => [])).length === 0);
});

describe("a Pod that callers of the mesh call under STRICT", () => {
  let caller: Run;
  beforeAll(async () => {
    caller = world.inPod("strict", "c");
    // Each call is a new connection, which is made as the proxy has heard last.
    await world.mesh.api.namespaces.create({ metadata: { name: "guest" } }).catch(() => undefined);
    const trafficPolicy = { connectionPool: { http: { maxRequestsPerConnection: 1 } } };
    await world.mesh.api.client.of(destinationRule).create({
      metadata: { namespace: "guest", name: "b" },
      spec: { host: "b.guest.svc.cluster.local", trafficPolicy },
    });
    await areServed("calls into a namespace outside", caller);
  });

  /** What was called since `forget`: at least 20 calls a second, none of which failed. */
  async function noneFailed(what: string): Promise<void> {
    const calls = await callsOf(caller);
    expect(calls, `${what}\n${await world.agentLog()}`).toMatchObject({ failed: 0, problems: [] });
    expect(calls.ok / calls.seconds).toBeGreaterThan(20);
  }
  const toGuest = async (): Promise<readonly string[]> => httpGet(await world.addressOf("guest", "b"), 8080);

  test("joins without a failed request, and then takes mutual TLS alone", async () => {
    await forget(caller);
    await world.kubectl("label namespace guest mesh.weft.dev/sidecar=node");
    await world.orLog(
      eventually("strangers are refused", async () => {
        const problem = await stranger(await toGuest()).catch((error: unknown) => error);
        return problem instanceof Error && refused.test(problem.message);
      }),
    );
    await noneFailed("while it joined");
  });

  test("leaves without a failed request", async () => {
    await forget(caller);
    await world.kubectl("label namespace guest mesh.weft.dev/sidecar-");
    const hasLeft = async (): Promise<boolean> => (await world.captured("guest", "b")) === "";
    await world.orLog(eventually("it has left", hasLeft, 120_000));
    await noneFailed("while it left");
    expect(await stranger(await toGuest())).toContain("/index.html");
    expect(await world.proxiesOf("guest", "b")).toEqual([]);
  });

  test("is refused to callers that hear of it too early, which they notice", async () => {
    await world.kubectl("label namespace guest mesh.weft.dev/sidecar=node");
    await world.joined("guest", "b");
    await areServed("calls into the mesh", caller);
    await forget(caller);
    await world.kubectl("label pod -n guest b security.istio.io/tlsMode=disabled --overwrite");
    await eventually("calls fail", async () => (await callsOf(caller)).failed > 10);
  });
});
