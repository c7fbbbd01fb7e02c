/**
 * What settings of the whole mesh change in its running proxies, one after the other. Names of groups are those of Istio's
 * reference "MeshConfig" and "ProxyConfig".
 */
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MeshConfig } from "#api/istio/mesh-config.ts";
import type { ClientTLSSettings } from "#api/istio/traffic-policy.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { eventually } from "../support/eventually.ts";
import type { Call, Result } from "./caller.ts";
import { greeting } from "./greeting.ts";
import { World } from "./world.ts";

const settings: MeshConfig = {
  pathNormalization: { normalization: "DECODE_AND_MERGE_SLASHES" },
  inboundTrafficPolicy: { mode: "LOCALHOST" },
  inboundClusterStatName: "in_%SERVICE%_%SERVICE_PORT%_%TARGET_PORT%",
  outboundClusterStatName: "out_%SERVICE_FQDN%_%SERVICE_PORT_NAME%",
};

let world: World;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-mesh-settings-"));
  const { certificate, key } = createAuthority("edge").issue("edge.example.com");
  writeFileSync(join(folder, "edge.crt"), certificate);
  writeFileSync(join(folder, "edge.key"), key, { mode: 0o644 });
  const files = `serverCertificate: ${join(folder, "edge.crt")}, privateKey: ${join(folder, "edge.key")}`;
  world = await World.start("m", {
    mesh: settings,
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      {
        name: "special",
        labels: { app: "special" },
        annotations: { "proxy.istio.io/config": "proxyHeaders: { server: { value: annotated } }" },
      },
      { name: "server", labels: { app: "greeter" }, serves: true },
      { name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } },
    ],
    services: [
      { name: "plain" },
      { name: "greeter", servedBy: ["server"] },
      { name: "echo", ports: [{ name: "tcp", port: 9000, to: "tcp" }] },
      { name: "failing" },
      { name: "narrow" },
    ],
    names: { "here.example.com": "@plain-v1-0" },
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 8090, name: http, protocol: HTTP }, hosts: ["*"] }
    - { port: { number: 8443, name: https, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, ${files} } }`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge }
spec:
  hosts: ["*"]
  gateways: [edge/edge]
  http: [{ route: [{ destination: { host: plain } }], rewrite: { authority: other.example.com } }]`,
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const send = (url: string, call?: Call) => world.caller("caller").send(`http://${url}`, call);
const fromOutside = (path: string, headers: Readonly<Record<string, string>> = {}) =>
  world.outside.send(`http://${world.addressOf("edge")}:8090${path}`, { headers, fresh: true });

/** Changes settings, and sends until the answer is as it should be: the change is on its way to running proxies. */
async function becomes(
  change: MeshConfig,
  ask: () => Promise<Result>,
  as: (answer: Result) => boolean,
): Promise<Result> {
  world.setMesh({ ...settings, ...change });
  return eventually(`proxies follow ${JSON.stringify(change)}`, async () => {
    // While a listener is replaced, a connection may end.
    const answer = await ask().catch(() => undefined);
    return answer && as(answer) ? answer : undefined;
  });
}

describe("ProxyPathNormalization", () => {
  test("DECODE_AND_MERGE_SLASHES decodes slashes and makes several one", async () => {
    expect((await send("plain:9080/a%2fb//c")).seen?.path).toBe("/a/b/c");
  });
});

describe("InboundTrafficPolicy", () => {
  test("LOCALHOST calls the application on its loopback", async () => {
    const { status, seen } = await send("greeter:9080/");
    // No Pod has that address, so the server does not know itself there.
    expect({ status, pod: seen?.pod }).toEqual({ status: 200, pod: "unknown" });
  });
});

describe("inboundClusterStatName", () => {
  test("names statistics of a workload's ports", async () => {
    await send("greeter:9080/");
    const count = await world.envoy("server").sumOf(/^cluster\.in_greeter\.shop_9080_8080;?\.upstream_rq_total$/);
    expect(count).toBeGreaterThan(0);
  });
});

describe("outboundClusterStatName", () => {
  test("names statistics of services", async () => {
    await send("plain:9080/");
    const name = /^cluster\.out_plain\.shop\.svc\.cluster\.local_http;?\.upstream_rq_total$/;
    expect(await world.envoy("caller").sumOf(name)).toBeGreaterThan(0);
  });

  test("names statistics of connections", async () => {
    const socket = await world.caller("caller").connect("echo", 9000);
    await once(socket, "data");
    const name = /^tcp\.out_echo\.shop\.svc\.cluster\.local_tcp\.downstream_cx_total$/;
    expect(await world.envoy("caller").sumOf(name)).toBe(1);
    socket.destroy();
  });
});

describe("ProxyHeaders", () => {
  test("without any said, servers are envoy to who calls, and Istio's headers are there", async () => {
    const { headers, seen } = await send("plain:9080/");
    expect(headers).toMatchObject({ server: "envoy", "x-envoy-upstream-service-time": expect.any(String) as string });
    expect(seen?.headers).toMatchObject({ "x-request-id": expect.any(String) as string, "x-envoy-attempt-count": "1" });
    expect((await fromOutside("/")).headers).toMatchObject({ server: "istio-envoy" });
  });

  test("a Pod's annotation goes before the mesh's", async () => {
    expect((await world.caller("special").send("http://plain:9080/")).headers).toMatchObject({ server: "annotated" });
  });

  test("server, requestId, attemptCount and envoyDebugHeaders can be changed or switched off", async () => {
    const proxyHeaders = {
      server: { value: "weaver" },
      requestId: { disabled: true },
      attemptCount: { disabled: true },
      envoyDebugHeaders: { disabled: true },
    };
    const ask = () => send("plain:9080/", { fresh: true });
    const all = ({ headers, seen }: Result): boolean =>
      headers["server"] === "weaver" && seen?.headers["x-envoy-attempt-count"] === undefined;
    const { headers, seen } = await becomes({ defaultConfig: { proxyHeaders } }, ask, all);
    expect(headers["x-envoy-upstream-service-time"]).toBeUndefined();
    expect(seen?.headers["x-request-id"]).toBeUndefined();
    const disabled = { defaultConfig: { proxyHeaders: { server: { disabled: true } } } };
    await becomes(disabled, ask, (answer) => answer.headers["server"] === undefined);
  });

  test("xForwardedPort and xForwardedHost tell what the caller asked for", async () => {
    const proxyHeaders = { xForwardedPort: { enabled: true }, xForwardedHost: { enabled: true } };
    const { seen } = await becomes(
      { defaultConfig: { proxyHeaders } },
      () => fromOutside("/", { host: "asked.example.com" }),
      (answer) => ["port", "host"].every((name) => answer.seen?.headers[`x-forwarded-${name}`] !== undefined),
    );
    expect(seen).toMatchObject({
      host: "other.example.com",
      headers: { "x-forwarded-port": "8090", "x-forwarded-host": "asked.example.com" },
    });
  });

  test("preserveHttp1HeaderCase keeps the names of headers as they were written", async () => {
    world.setMesh({ ...settings, defaultConfig: { proxyHeaders: { preserveHttp1HeaderCase: true } } });
    await eventually("an answer's header is written as the server does", async () => {
      const socket = await world.caller("caller").connect("plain", 9080);
      socket.write("GET / HTTP/1.1\r\nHost: plain:9080\r\nConnection: close\r\n\r\n");
      return /^Date: /m.test(await greeting(socket));
    });
  });
});

describe("Topology", () => {
  const forwarded = { "x-forwarded-for": "192.0.2.1, 192.0.2.2", "x-forwarded-client-cert": "By=me" };

  test("numTrustedProxies says whose word is taken for the client's address", async () => {
    const ask = () => fromOutside("/", forwarded);
    const address = ({ seen }: Result): string | undefined => seen?.headers["x-envoy-external-address"];
    const topology = (numTrustedProxies: number) => ({ defaultConfig: { gatewayTopology: { numTrustedProxies } } });
    expect(address(await ask())).not.toMatch(/^192/);
    await becomes(topology(2), ask, (answer) => address(answer) === "192.0.2.1");
    await becomes(topology(1), ask, (answer) => address(answer) === "192.0.2.2");
  });

  test("forwardClientCertDetails lets the header of callers through", async () => {
    const ask = () => fromOutside("/", forwarded);
    const cert = ({ seen }: Result): string | undefined => seen?.headers["x-forwarded-client-cert"];
    expect(cert(await ask())).toBeUndefined();
    const gatewayTopology = { forwardClientCertDetails: "ALWAYS_FORWARD_ONLY" } as const;
    await becomes({ defaultConfig: { gatewayTopology } }, ask, (answer) => cert(answer) === "By=me");
  });

  test("proxyProtocol takes the client's address from the connection's header", async () => {
    world.setMesh({ ...settings, defaultConfig: { gatewayTopology: { proxyProtocol: {} } } });
    await eventually("the gateway reads PROXY headers", async () => {
      const socket = await world.outside.connect(world.addressOf("edge"), 8090);
      socket.write("PROXY TCP4 192.0.2.9 192.0.2.10 40000 80\r\n");
      socket.write("GET / HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
      return (await greeting(socket)).includes('"x-forwarded-for":"192.0.2.9"');
    });
  });
});

describe("ConnectionSettings", () => {
  test("httpHeadersWithUnderscoresAction and httpPathWithEscapedSlashesAction", async () => {
    const strict = {
      httpHeadersWithUnderscoresAction: "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
      httpPathWithEscapedSlashesAction: "REJECT_REQUEST",
    } as const;
    const ask = () => fromOutside("/", { a_b: "c" });
    expect((await becomes({}, ask, ({ status }) => status === 200)).status).toBe(200);
    await becomes({ defaultConfig: { connectionSettings: strict } }, ask, ({ status }) => status === 400);
    expect((await fromOutside("/a%2fb")).status).toBe(400);
  });

  test("the profile EDGE is for gateways alone, and what is said besides goes before it", async () => {
    const edge = { profile: "EDGE" } as const;
    const ask = () => fromOutside("/a%2fb");
    await becomes({ defaultConfig: { connectionSettings: edge } }, ask, ({ status }) => status === 307);
    expect((await send("plain:9080/a%2fb", { headers: { a_b: "c" } })).status).toBe(200);
    const kept = { ...edge, httpPathWithEscapedSlashesAction: "KEEP_UNCHANGED" } as const;
    const passed = ({ seen }: Result): boolean => seen?.path === "/a%2fb";
    await becomes({ defaultConfig: { connectionSettings: kept } }, ask, passed);
  });

  test("httpRequestTimeout and httpRequestHeadersTimeout end requests that do not come", async () => {
    const slow = { httpRequestHeadersTimeout: "0.2s", httpRequestTimeout: "0.2s" };
    world.setMesh({ ...settings, defaultConfig: { connectionSettings: slow } });
    for (const begun of ["GET / HTTP/1.1\r\nHost:", "POST / HTTP/1.1\r\nHost: edge\r\nContent-Length: 9\r\n\r\n"]) {
      await eventually("the request is ended", async () => {
        const socket = await world.outside.connect(world.addressOf("edge"), 8090);
        socket.write(begun);
        const guard = setTimeout(() => socket.destroy(), 2000);
        const answer = await greeting(socket);
        clearTimeout(guard);
        return answer.startsWith("HTTP/1.1 408");
      });
    }
  });
});

describe("TLSConfig", () => {
  test("tlsDefaults: minProtocolVersion of servers that say none", async () => {
    const version = async (): Promise<string> => {
      const socket = await world.outside.connect(world.addressOf("edge"), 8443);
      const tls = connectTls({
        socket,
        servername: "edge.example.com",
        rejectUnauthorized: false,
        maxVersion: "TLSv1.2",
      });
      const { promise, resolve } = Promise.withResolvers<string>();
      tls.once("secureConnect", () => resolve(tls.getProtocol() ?? ""));
      tls.once("error", () => resolve("refused"));
      const found = await promise;
      tls.destroy();
      return found;
    };
    expect(await version()).toBe("TLSv1.2");
    world.setMesh({ ...settings, tlsDefaults: { minProtocolVersion: "TLSV1_3" } });
    await eventually("TLS 1.2 is not taken", async () => (await version()) === "refused");
  });
});

describe("DefaultTrafficPolicy", () => {
  test("holds where no DestinationRule says the same part", async () => {
    world.setMesh({
      ...settings,
      defaultTrafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } },
    });
    const connection = async (): Promise<number | undefined> => (await send("narrow:9080/")).seen?.connection;
    await eventually("each request has a connection of its own", async () => {
      const seen = [await connection(), await connection(), await connection()];
      return new Set(seen).size === 3;
    });
    world.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: narrow }
spec: { host: narrow, trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } }`);
    await eventually("the rule's part replaces it", async () => {
      const seen = [await connection(), await connection(), await connection()];
      return new Set(seen).size === 1;
    });
  });
});

describe("MeshConfig", () => {
  test("defaultHttpRetryPolicy", async () => {
    using _failing = world.backends.behave("failing", () => ({ status: 503 }));
    const before = world.backends.seen.length;
    const tries = (): number => world.backends.seen.slice(before).filter(({ pod }) => pod.startsWith("failing")).length;
    world.setMesh({ ...settings, defaultHttpRetryPolicy: { attempts: 4, retryOn: "5xx" } });
    await eventually("a request is tried five times", async () => {
      const had = tries();
      await send("failing:9080/");
      return tries() - had === 5;
    });
    world.setMesh({ ...settings, defaultHttpRetryPolicy: { attempts: 0 } });
    await eventually("a request is tried once", async () => {
      const had = tries();
      await send("failing:9080/");
      return tries() - had === 1;
    });
  });

  test("outboundTrafficPolicy", async () => {
    const to = (port: number) => () => send(`unknown.example.com:${port}/`, { fresh: true });
    await becomes({}, to(8080), ({ status }) => status === 200);
    await becomes({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }, to(9080), ({ status }) => status === 502);
    // The listener for what no service has comes apart from the routes of those ports that some have.
    await eventually("connections are dropped", async () => {
      const answer = await to(8080)().then(() => "an answer", String);
      return /hang up|reset/.test(answer);
    });
  });

  describe("outboundTrafficPolicy ALLOW_ANY_DYNAMIC_DNS", () => {
    const lookingUp = (tls?: ClientTLSSettings): MeshConfig => ({
      outboundTrafficPolicy: { mode: "ALLOW_ANY_DYNAMIC_DNS", ...(tls && { tls }) },
    });
    const to = (port: number, call?: Call) => () => send(`here.example.com:${port}/`, { fresh: true, ...call });

    test("plain HTTP goes to the host that it is for, whatever address was dialled", async () => {
      const before = await becomes({}, to(8080), ({ status }) => status === 200);
      expect(before.seen?.pod).toBe("stranger");
      await becomes(lookingUp(), to(8080), ({ seen }) => seen?.pod === "plain-v1-0");
      const onServicePort = await to(9080, { host: "here.example.com:8080" })();
      expect(onServicePort.seen?.pod).toBe("plain-v1-0");
      expect((await send("nowhere.example.com:8080/", { fresh: true })).status).toBe(503);
      expect((await send("plain:9080/")).status).toBe(200);
    });

    test("other bytes go to the address that was dialled, though the server speaks first", async () => {
      await becomes(lookingUp(), to(8080), ({ seen }) => seen?.pod === "plain-v1-0");
      const socket = await world.caller("caller").connect("here.example.com", 9000);
      expect(await greeting(socket)).toBe("stranger");
    });

    test("tls asks for the request's host, and checks it unless told", async () => {
      const skipping = lookingUp({ mode: "SIMPLE", insecureSkipVerify: true });
      await becomes(skipping, to(8444), ({ seen }) => seen?.pod === "plain-v1-0");
      expect(world.backends.handshakes.at(-1)).toMatchObject({ pod: "plain-v1-0", serverName: "here.example.com" });
      await becomes(lookingUp({ mode: "SIMPLE" }), to(8444), ({ status }) => status === 503);
      const failures = /^cluster\.AllowAnyDynamicDNSCluster;?\.ssl\.fail_verify_error$/;
      expect(await world.envoy("caller").sumOf(failures)).toBeGreaterThan(0);
    });
  });

  test("h2UpgradePolicy", async () => {
    const ask = () => send("plain:9080/");
    expect((await ask()).seen?.protocol).toBe("1.1");
    // The Pods' port speaks HTTP/1.1 alone, so the upgrade shows in its refusal.
    await becomes({ h2UpgradePolicy: "UPGRADE" }, ask, ({ status }) => status === 502 || status === 503);
    await becomes({}, ask, ({ status }) => status === 200);
  });

  test("accessLogFile, accessLogFormat and accessLogEncoding", async () => {
    const log = join(folder, "access.log");
    writeFileSync(log, "");
    chmodSync(log, 0o666);
    const logged = async (change: MeshConfig, line: string): Promise<void> => {
      world.setMesh({ ...settings, accessLogFile: log, ...change });
      await eventually(`the log has ${line}`, async () => {
        await send("plain:9080/logged", { fresh: true });
        return readFileSync(log, "utf8").includes(line);
      });
    };
    await logged({ accessLogFormat: "asked %REQ(:PATH)%\n" }, "asked /logged\n");
    const format = '{ "path": "%REQ(:PATH)%" }';
    await logged({ accessLogFormat: format, accessLogEncoding: "JSON" }, '{"path":"/logged"}');
  });

  test("defaultServiceExportTo", async () => {
    const ask = () => fromOutside("/");
    expect((await becomes({}, ask, ({ status }) => status === 200)).seen?.pod).toMatch(/^plain/);
    // The gateway is in another namespace than the service.
    await becomes({ defaultServiceExportTo: ["."] }, ask, ({ status }) => status !== 200);
  });
});

describe("ServiceEntryVisibility", () => {
  const entry = (name: string, namespace: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  hosts: [${name}.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 8080, name: http, protocol: HTTP }]
  endpoints: [{ address: "@plain-v1-0" }]`;

  test("hides ServiceEntries of namespaces that a policy is for, and others by default", async () => {
    for (const [name, namespace] of [
      ["own", "shop"],
      ["trusted", "bank"],
      ["distant", "lab"],
    ] as const) {
      world.apply(entry(name, namespace));
    }
    world.apply("kind: Namespace\napiVersion: v1\nmetadata: { name: bank, labels: { trusted: yes } }");
    // Requests for a host that the caller does not see go to the address that it dialled, where the stranger answers.
    const takers = async (change: MeshConfig, changed: string, pod: string): Promise<readonly unknown[]> => {
      const ask = (name: string) => send(`${name}.test:8080/`, { fresh: true });
      await becomes(
        change,
        () => ask(changed),
        ({ seen }) => seen?.pod === pod,
      );
      return Promise.all(["own", "trusted", "distant"].map(async (name) => (await ask(name)).seen?.pod));
    };
    const plain = "plain-v1-0";
    const limits = {
      defaultVisibility: "NAMESPACE",
      policies: [{ visibility: "PUBLIC", matchingRules: [{ namespaceSelector: { matchLabels: { trusted: "yes" } } }] }],
    } as const;
    const unheeded = await takers({ serviceEntryVisibility: limits }, "distant", plain);
    expect(unheeded).toEqual([plain, plain, plain]);
    const visibility = { ...limits, applyToSidecars: true } as const;
    const limited = await takers({ serviceEntryVisibility: visibility }, "distant", "stranger");
    expect(limited).toEqual([plain, plain, "stranger"]);
    const none = { applyToSidecars: true, defaultVisibility: "NONE" } as const;
    expect(await takers({ serviceEntryVisibility: none }, "own", "stranger")).toEqual([
      "stranger",
      "stranger",
      "stranger",
    ]);
    for (const [name, namespace] of [["own"], ["trusted", "bank"], ["distant", "lab"]] as const) {
      world.remove("ServiceEntry", name, namespace);
    }
  });
});
