/**
 * What a workload behind a sidecar reaches, and by which names: capture of outbound and inbound traffic, protocols,
 * visibility, unknown destinations.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Call, Result } from "./caller.ts";
import { strangerAddress, World } from "./world.ts";

let world: World;

const answer = (name: string, namespace: string, host: string, text: string, more = ""): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  hosts: [${host}]
  ${more}
  http: [{ directResponse: { status: 200, body: { string: ${text} } } }]`;

/** A TCP service outside of the mesh, with the address that it was given. */
const database = (name: string, address: string, pod: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example.com]
  resolution: STATIC
  ports: [{ number: 9000, name: tcp, protocol: TCP }]
  endpoints: [{ address: "@${pod}" }]
status: { addresses: [{ host: ${name}.example.com, value: ${address} }] }`;

beforeAll(async () => {
  world = await World.start("s", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "teller", namespace: "bank", labels: { app: "teller" } },
      { name: "strict", namespace: "strict", labels: { app: "strict" } },
      { name: "server", labels: { app: "greeter" }, serves: true },
    ],
    services: [
      { name: "plain" },
      { name: "greeter", servedBy: ["server"] },
      { name: "calls", ports: [{ name: "grpc", port: 9090, to: "h2c" }] },
      { name: "echo", ports: [{ name: "tcp", port: 9000, to: "tcp" }] },
      {
        name: "sniffed",
        ports: [
          { name: "any", port: 7000, to: "http" },
          { name: "other", port: 7001, to: "tcp" },
        ],
      },
      { name: "direct", ports: [{ name: "http", port: 8080, to: "http" }] },
      { name: "headless", pods: { v1: 2 }, headless: true, ports: [{ name: "http", port: 8080, to: "http" }] },
      ...["quiet", "audited", "hidden"].map((name) => ({ name })),
      { name: "open" },
      { name: "vault", namespace: "bank" },
      { name: "safe", namespace: "bank" },
      { name: "external" },
      {
        name: "nickname",
        externalName: "quiet.shop.svc.cluster.local",
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "tcp", port: 9000, to: "tcp" },
        ],
      },
      { name: "diminutive", externalName: "nickname.shop.svc.cluster.local" },
    ],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: strict }
spec:
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress: [{ hosts: ["./*", shop/open.shop.svc.cluster.local] }]`,
      answer("for-all", "shop", "quiet", "public", 'exportTo: ["*"]'),
      answer("quiet", "shop", "quiet", "private", 'exportTo: ["."]'),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: audited }
spec:
  hosts: [audited]
  http:
    - { match: [{ sourceNamespace: bank }], directResponse: { status: 200, body: { string: for-bank } } }
    - { route: [{ destination: { host: audited } }] }`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vault, namespace: bank }
spec:
  hosts: [vault]
  http: [{ route: [{ destination: { host: safe } }] }]`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: hidden, namespace: bank }
spec:
  hosts: [hidden.shop.svc.cluster.local]
  exportTo: ["."]
  http: [{ route: [{ destination: { host: diminutive.shop.svc.cluster.local } }] }]`,
      answer("sniffed", "shop", "sniffed", "routed"),
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api }
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 8080, name: http, protocol: HTTP }]
  endpoints: [{ address: "@external-v1-0" }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: moved }
spec:
  hosts: [moved.example.com]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{ number: 7777, targetPort: 8080, name: http, protocol: HTTP }]`,
      database("first", "240.240.0.1", "echo-v1-0"),
      database("second", "240.240.0.2", "external-v1-0"),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

function send(from: string, url: string, call?: Call): Promise<Result> {
  return world.caller(from).send(`http://${url}`, call);
}

/** The next bytes that a peer sends, or nothing when it closes. */
async function next(socket: Socket): Promise<string> {
  const closed = once(socket, "close").then(() => "");
  const data = once(socket, "data").then(([chunk]) => String(chunk));
  return Promise.race([data, closed]);
}

describe("names of a service", () => {
  test.each(["plain", "plain.shop", "plain.shop.svc", "plain.shop.svc.cluster.local", "plain.shop.svc.cluster.local."])(
    "%s",
    async (host) => {
      for (const each of [host, `${host}:9080`, host.toUpperCase()]) {
        const { seen } = await send("caller", "plain:9080/", { host: each });
        expect(seen?.pod).toBe("plain-v1-0");
      }
    },
  );

  test("its address", async () => {
    const { seen } = await send("caller", "plain:9080/", { host: "10.110.0.1:9080" });
    expect(seen?.pod).toBe("plain-v1-0");
  });

  test("a bare name is of the caller's namespace", async () => {
    const vault = await send("teller", "vault:9080/", { host: "vault" });
    expect(vault.seen?.pod).toBe("safe-v1-0");
    // Not a name of anything to a caller of another namespace: passed on to the service's address, where nobody is.
    expect((await send("caller", "vault.bank:9080/", { host: "vault" })).seen).toBeUndefined();
  });

  test("names in a VirtualService are of the VirtualService's namespace", async () => {
    expect((await send("caller", "vault.bank:9080/")).seen?.pod).toBe("safe-v1-0");
  });
});

describe("capture", () => {
  test("a call goes out through the caller's proxy and in through the server's", async () => {
    const { status, seen } = await send("caller", "greeter:9080/hello");
    expect({ status, pod: seen?.pod, path: seen?.path }).toEqual({ status: 200, pod: "server", path: "/hello" });
    expect(await world.envoy("server").sumOf(/^cluster\.inbound\|8080\|\|.*upstream_rq_total$/)).toBe(1);
  });

  test("a port that no service names is passed on to the workload", async () => {
    const { seen } = await send("caller", `${world.addressOf("server")}:8081/`, { http2: true });
    expect(seen?.pod).toBe("server");
  });
});

describe("protocols", () => {
  test("gRPC goes as HTTP/2, trailers included", async () => {
    using _ok = world.backends.behave("calls", () => ({ trailers: { "grpc-status": "0" } }));
    const { headers, seen } = await send("caller", "calls:9090/shop.Reviews/List", {
      method: "POST",
      http2: true,
      headers: { "content-type": "application/grpc", te: "trailers" },
    });
    expect({ pod: seen?.pod, protocol: seen?.protocol }).toEqual({ pod: "calls-v1-0", protocol: "2.0" });
    expect(headers["grpc-status"]).toBe("0");
  });

  test("TCP goes byte by byte, also where the server speaks first", async () => {
    const socket = await world.caller("caller").connect("echo", 9000);
    expect(await next(socket)).toBe("echo-v1-0\n");
    socket.write("ping");
    expect(await next(socket)).toBe("ping");
    socket.destroy();
  });

  test("HTTP on a port of unknown protocol is recognised and routed", async () => {
    expect((await send("caller", "sniffed:7000/")).text).toBe("routed");
  });

  test("other bytes on such a port are passed on", async () => {
    const socket = await world.caller("caller").connect("sniffed", 7001);
    socket.write("\u0001\u0002\u0003");
    expect(await next(socket)).toContain("sniffed-v1-0\n");
    socket.destroy();
  });

  test("a headless service's Pods are reached one by one", async () => {
    for (const pod of ["headless-v1-0", "headless-v1-1"]) {
      const { seen } = await send("caller", `${world.addressOf(pod)}:8080/`, { host: "headless" });
      expect(seen?.pod).toBe(pod);
    }
  });
});

describe("ServiceEntry", () => {
  test("a host outside of the mesh has the endpoints that the entry names", async () => {
    expect((await send("caller", "api.example.com:8080/")).seen?.pod).toBe("external-v1-0");
  });
});

describe("ServiceEntry without addresses", () => {
  test("TCP services of one port are told apart by the addresses that they were given", async () => {
    for (const [address, pod] of [
      ["240.240.0.1", "echo-v1-0"],
      ["240.240.0.2", "external-v1-0"],
    ] as const) {
      const socket = await world.caller("caller").connect(address, 9000);
      expect(await next(socket)).toBe(`${pod}\n`);
      socket.destroy();
    }
  });
});

describe("ServicePort targetPort", () => {
  test("the port of the address that the caller chose, where the entry leaves the address to the caller", async () => {
    const { seen } = await send("caller", "moved.example.com:7777/");
    expect(seen?.pod).toBe("stranger");
  });
});

describe("ExternalName", () => {
  test("a Service that is another name of one of the mesh has its routes", async () => {
    expect((await send("caller", "nickname:9080/")).text).toBe("private");
    expect((await send("caller", "diminutive.shop:9080/")).text).toBe("private");
  });

  test("a route to it leads to the service that it stands for", async () => {
    expect((await send("teller", "hidden.shop:9080/")).seen?.pod).toBe("quiet-v1-0");
  });
});

describe("VirtualService exportTo and sourceNamespace", () => {
  test("what is exported to its own namespace only goes before what others see, and is not followed elsewhere", async () => {
    expect((await send("caller", "quiet:9080/")).text).toBe("private");
    expect((await send("teller", "quiet.shop:9080/")).text).toBe("public");
  });

  test("sourceNamespace is the caller's", async () => {
    expect((await send("teller", "audited.shop:9080/")).text).toBe("for-bank");
    expect((await send("caller", "audited:9080/")).seen?.pod).toBe("audited-v1-0");
  });
});

describe("OutboundTrafficPolicy", () => {
  test("ALLOW_ANY passes requests for unknown hosts on to where they were going", async () => {
    const { seen } = await send("caller", `${strangerAddress}:8080/`, { host: "unknown.example.com" });
    expect(seen?.pod).toBe("stranger");
  });

  test("ALLOW_ANY passes other bytes on too", async () => {
    const socket = await world.caller("caller").connect(strangerAddress, 9000);
    expect(await next(socket)).toBe("stranger\n");
    socket.destroy();
  });

  test("REGISTRY_ONLY answers 502 to requests for unknown hosts", async () => {
    const { status, seen } = await send("strict", `${strangerAddress}:9080/`, { host: "unknown.example.com" });
    expect({ status, seen }).toEqual({ status: 502, seen: undefined });
  });

  test("REGISTRY_ONLY closes other connections", async () => {
    const socket = await world.caller("strict").connect(strangerAddress, 9000);
    expect(await next(socket)).toBe("");
    socket.destroy();
  });
});

describe("Sidecar IstioEgressListener hosts", () => {
  test("a host that is listed is reached", async () => {
    expect((await send("strict", "open.shop:9080/")).seen?.pod).toBe("open-v1-0");
  });

  test("another one is unknown", async () => {
    expect((await send("strict", "hidden.shop:9080/")).status).toBe(502);
    expect((await send("caller", "hidden:9080/")).seen?.pod).toBe("hidden-v1-0");
  });
});
