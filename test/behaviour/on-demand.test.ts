/**
 * Proxies that hold only what their workloads call: what they hold, and that the first request to anything else is answered
 * as if they held all.
 */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Call } from "./caller.ts";
import { mostAsks, World } from "./world.ts";

let world: World;

const caller = (name: string, workload = name, namespace = "shop") => ({
  name,
  namespace,
  labels: { app: name },
  metadata: { WORKLOAD_NAME: workload },
});

/** A VirtualService of namespace shop. */
const rule = (name: string, hosts: string, http: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: shop }
spec: { hosts: [${hosts}], http: ${http} }`;

const scope = (name: string, spec: string): string => `
apiVersion: mesh.weft.dev/v1alpha1
kind: EgressScope
metadata: { name: ${name}, namespace: shop }
spec: ${spec}`;

/** Hosts outside of the mesh, over HTTP. */
const external = (name: string, host: string, pod: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec:
  hosts: ["${host}"]
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints: [{ address: "@${pod}", ports: { http: 8080 } }]`;

const namespaceObject = (mode: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: switched, labels: { mesh.weft.dev/discovery: ${mode} } }`;

const fault = (code: number): string => `[{ directResponse: { status: ${code} } }]`;

beforeAll(async () => {
  world = await World.start("od", {
    mesh: { discovery: "OnDemand" },
    proxies: [
      { ...caller("page"), workers: 2 },
      caller("page-b", "page"),
      caller("whole", "whole", "everything"),
      caller("strict", "strict", "strict"),
      caller("seeded"),
      caller("switched", "switched", "switched"),
      caller("greedy"),
    ],
    services: [
      ...["first", "posted", "bare", "dotted", "split", "mirrored", "copies", "led", "goal", "lost", "quiet"].map(
        (name) => ({ name }),
      ),
      ...["burst-a", "burst-b", "burst-c", "burst-d", "live-a", "live-b", "kept", "seed", "plain"].map((name) => ({
        name,
      })),
      { name: "versions", pods: { v1: 1, v2: 1 } },
      { name: "wild" },
      { name: "looked-up" },
      { name: "narrow" },
      { name: "calls", ports: [{ name: "grpc", port: 9090, to: "h2c" as const }] },
      { name: "echo", ports: [{ name: "tcp", port: 9000, to: "tcp" as const }] },
      { name: "parted", ports: [{ name: "tcp", port: 9001, to: "tcp" as const }] },
      {
        name: "sniffed",
        ports: [
          { name: "any", port: 7000, to: "http" as const },
          { name: "other", port: 7001, to: "tcp" as const },
        ],
      },
      { name: "other", ports: [{ name: "http", port: 8080, to: "http" as const }] },
      { name: "vault", namespace: "bank" },
      { name: "declared", namespace: "strict" },
    ],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: versions, namespace: shop }
spec: { host: versions, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }`,
      rule("versions", "versions", "[{ route: [{ destination: { host: versions, subset: v2 } }] }]"),
      rule("led", "led", "[{ route: [{ destination: { host: goal } }] }]"),
      rule("mirrored", "mirrored", "[{ route: [{ destination: { host: mirrored } }], mirror: { host: copies } }]"),
      rule("quiet", "quiet", fault(418)),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: parted, namespace: shop }
spec: { hosts: [parted], tcp: [{ route: [{ destination: { host: parted } }] }] }`,
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: looked-up, namespace: shop }
spec:
  hosts: [looked-up.example.com]
  resolution: DNS
  ports: [{ number: 9080, name: http, protocol: HTTP, targetPort: 8080 }]`,
      external("wild", "*.wild.example.com", "wild-v1-0"),
      external("narrow", "narrow.wild.example.com", "narrow-v1-0"),
      `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: strict }
spec:
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress: [{ hosts: ["./*"] }]`,
      scope("seeded", "{ hosts: [{ host: seed.shop.svc.cluster.local }] }"),
    ],
    names: { "looked-up.example.com": "@looked-up-v1-0" },
    kubernetes: {
      east: [
        `
apiVersion: v1
kind: Namespace
metadata: { name: everything, labels: { mesh.weft.dev/discovery: All } }`,
        namespaceObject("All"),
      ],
    },
  });
}, 90_000);

afterAll(async () => world?.[Symbol.asyncDispose]());

/** Hosts of the outbound clusters that a proxy has, subsets by their names before a slash. */
async function held(proxy: string): Promise<readonly string[]> {
  const text = await world.envoy(proxy).admin("GET", "/clusters?format=json");
  const { cluster_statuses: all = [] } = JSON.parse(text) as { cluster_statuses?: { name: string }[] };
  return all
    .filter(({ name }) => name.startsWith("outbound|"))
    .map(({ name }) => name.split("|"))
    .map(([, , subset = "", host = ""]) =>
      (subset === "" ? host : `${subset}/${host}`).replace(".svc.cluster.local", ""),
    )
    .toSorted();
}

const send = (proxy: string, url: string, call?: Call) => world.caller(proxy).send(url, call);

/** The Pod that answered, or the status where a proxy did. */
async function answer(proxy: string, url: string, call?: Call): Promise<string> {
  const { status, seen } = await send(proxy, url, call);
  return status === 200 && seen ? seen.pod : String(status);
}

/** Answers to the same request, sent again and again until the end of some work. */
async function during(proxy: string, url: string, work: () => Promise<unknown>): Promise<ReadonlySet<string>> {
  const answers = new Set<string>();
  const ended = new AbortController();
  const sending = (async () => {
    while (!ended.signal.aborted) answers.add(await answer(proxy, url, { fresh: true }));
  })();
  try {
    await work();
  } finally {
    ended.abort();
    await sending;
  }
  return answers;
}

describe("what is held", () => {
  test("at first what nobody can ask for, and what is declared", async () => {
    expect(await held("greedy")).toEqual(["parted.shop"]);
    expect(await held("strict")).toEqual(["declared.strict", "parted.shop"]);
    expect(await held("seeded")).toEqual(["parted.shop", "seed.shop"]);
    expect((await held("whole")).length).toBeGreaterThan(20);
  });

  test("the first request to a host is answered, and the host is held by every proxy of the workload", async () => {
    expect(await answer("page", "http://first:9080/")).toBe("first-v1-0");
    expect(await held("page")).toContain("first.shop");
    await eventually("the other proxy holds it", async () => (await held("page-b")).includes("first.shop"));
    expect(await held("greedy")).toEqual(["parted.shop"]);
  });

  test("what is seldom called changes for nobody", async () => {
    const before = await world.envoy("page").admin("GET", "/config_dump?resource=dynamic_route_configs");
    world.apply(rule("quiet", "quiet", fault(419)));
    expect(await answer("whole", "http://quiet.shop:9080/")).toMatch(/41[89]/);
    await eventually("who holds all has it", async () => (await answer("whole", "http://quiet.shop:9080/")) === "419");
    expect(await world.envoy("page").admin("GET", "/config_dump?resource=dynamic_route_configs")).toBe(before);
    expect(await answer("page", "http://quiet:9080/")).toBe("419");
  });
});

describe("the first request", () => {
  test("with a body, small and large", async () => {
    const body = "x".repeat(2_000_000);
    const { status, seen } = await send("page", "http://posted:9080/", { method: "POST", body });
    expect([status, seen?.body.length]).toEqual([200, body.length]);
  });

  test("whose body is still being sent", async () => {
    const socket = await world.caller("page").connect("plain", 9080);
    const chunks: string[] = [];
    socket.setEncoding("utf8").on("data", (text: string) => chunks.push(text));
    socket.write("POST / HTTP/1.1\r\nhost: plain\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n1\r\na\r\n");
    await eventually("the host is held", async () => (await held("page")).includes("plain.shop"));
    socket.write("1\r\nb\r\n0\r\n\r\n");
    await once(socket, "close");
    expect(chunks.join("")).toMatch(/^HTTP\/1.1 200 [^]*plain-v1-0[^]*"body":"ab"/);
  });

  test("of gRPC", async () => {
    const call = { http2: true, method: "POST", body: "call", headers: { "content-type": "application/grpc" } };
    expect(await answer("page", "http://calls:9090/shop.Reviews/Get", call)).toBe("calls-v1-0");
  });

  test.each([
    ["a short name without a port", "bare", "bare-v1-0"],
    ["a name with its namespace, a port and other letters", "Dotted.Shop:9080", "dotted-v1-0"],
    ["a full name with a final dot", "split.shop.svc.cluster.local.", "split-v1-0"],
    ["a name in another namespace", "vault.bank:9080", "vault-v1-0"],
  ])("to %s", async (_what, host, pod) => {
    const name = pod.replace("-v1-0", pod.startsWith("vault") ? ".bank" : "");
    expect(await answer("page", `http://${name}:9080/`, { host, fresh: true })).toBe(pod);
  });

  test("follows the host's rules, with subsets, other hosts and mirrors", async () => {
    expect(await answer("page", "http://versions:9080/")).toBe("versions-v2-0");
    expect(await answer("page", "http://led:9080/")).toBe("goal-v1-0");
    expect(await answer("page", "http://mirrored:9080/")).toBe("mirrored-v1-0");
    await eventually("the copy arrives", () => world.backends.seen.some(({ pod }) => pod === "copies-v1-0"));
    expect(await held("page")).toEqual(expect.arrayContaining(["v2/versions.shop", "goal.shop", "copies.shop"]));
  });

  test("to a wildcard, and to a name within it that has a service of its own", async () => {
    const wild = (host: string) => answer("page", "http://first:9080/", { host, fresh: true });
    expect(await wild("any.wild.example.com")).toBe("wild-v1-0");
    expect(await wild("narrow.wild.example.com")).toBe("narrow-v1-0");
  });

  test("to a host whose address is looked up", async () => {
    const call = { host: "looked-up.example.com", fresh: true };
    expect(await answer("page", "http://first:9080/", call)).toBe("looked-up-v1-0");
  });

  test("many at once, on two workers", async () => {
    const hosts = ["burst-a", "burst-b", "burst-c", "burst-d"];
    const calls = Array.from({ length: 40 }, (_, at) => hosts[at % 4] ?? "");
    const answers = await Promise.all(calls.map((host) => answer("page", `http://${host}:9080/`, { fresh: true })));
    expect(answers).toEqual(calls.map((host) => `${host}-v1-0`));
  });
});

describe("the first connection", () => {
  /** The Pod that a connection reaches, which says its name. */
  const reached = async (host: string, port: number): Promise<string> => {
    const socket = await world.caller("page").connect(host, port);
    // No method of HTTP begins so.
    socket.setEncoding("utf8").write("\u0001\u0002\u0003");
    const [text] = (await once(socket, "data")) as [string];
    socket.destroy();
    return text.split(/\s/)[0] ?? "";
  };

  test("of TCP waits for its cluster", async () => {
    expect(await reached("echo", 9000)).toBe("echo-v1-0");
    expect(await held("page")).toContain("echo.shop");
    expect(await reached("parted", 9001)).toBe("parted-v1-0");
  });

  test("to a port whose protocol nobody says", async () => {
    expect(await answer("page", "http://sniffed:7000/")).toBe("sniffed-v1-0");
    expect(await reached("sniffed", 7001)).toBe("sniffed-v1-0");
  });
});

describe("hosts that are no services", () => {
  test("are passed on, or refused, as without", async () => {
    const to = (host: string) => ({ host, fresh: true });
    for (const proxy of ["page", "whole"]) {
      expect(await answer(proxy, "http://unknown.example.com:8080/", to("www.example.com"))).toBe("stranger");
      expect(await answer(proxy, "http://unknown.example.com:8080/", to("www.example.com:8080"))).toBe("stranger");
      expect(await answer(proxy, "http://unknown.example.com:8080/", to("www.example.com"))).toBe("stranger");
    }
    expect(await answer("strict", "http://unknown.example.com:8080/", to("www.example.com"))).toBe("502");
  });

  test("become hosts of the mesh when it learns them, and no longer are when it forgets them", async () => {
    const call = () => answer("page", "http://unknown.example.com:8080/", { host: "late.example.com", fresh: true });
    expect(await call()).toBe("stranger");
    world.apply(external("late", "late.example.com", "wild-v1-0").replace("number: 9080", "number: 8080"));
    await eventually("it is a service", async () => (await call()) === "wild-v1-0");
    world.remove("ServiceEntry", "late");
    await eventually("it is none", async () => (await call()) === "stranger");
  });

  test("a wildcard, and what Envoy would not take, are answered 404", async () => {
    for (const host of ["*", "*.com", "a..b"]) {
      expect(await answer("page", "http://unknown.example.com:8080/", { host, fresh: true })).toBe("404");
    }
  });

  test("too many of them get their workload everything", async () => {
    const calls = Array.from({ length: mostAsks + 50 }, (_, at) => `host-${at}.example.com`);
    for (let at = 0; at < calls.length; at += 50) {
      const some = calls
        .slice(at, at + 50)
        .map((host) => answer("greedy", "http://unknown.example.com:8080/", { host, fresh: true }));
      expect(new Set(await Promise.all(some))).toEqual(new Set(["stranger"]));
    }
    await eventually("it holds everything", async () => (await held("greedy")).length > 20);
    expect(await answer("greedy", "http://first:9080/")).toBe("first-v1-0");
  }, 60_000);
});

describe("changes under traffic", () => {
  const switchWorkload = (mode: string): void =>
    world.apply(
      scope("switched", `{ discovery: ${mode}, hosts: [] }`).replace("namespace: shop", "namespace: switched"),
    );

  test("a service that goes and comes back", async () => {
    expect(await answer("page", "http://lost:9080/")).toBe("lost-v1-0");
    world.remove("Service", "lost", "shop", "east");
    await eventually(
      "it is unknown",
      async () => (await answer("page", "http://lost:9080/", { fresh: true })) === "503",
    );
    world.setEndpoints("lost", ["lost-v1-0"]);
    await eventually(
      "it is back",
      async () => (await answer("page", "http://lost:9080/", { fresh: true })) === "lost-v1-0",
    );
  });

  test("new hosts are called while others are", async () => {
    const answers = await during("page", "http://first:9080/", async () => {
      for (const host of ["live-a", "live-b"]) {
        expect(await answer("page", `http://${host}:9080/`, { fresh: true })).toBe(`${host}-v1-0`);
      }
    });
    expect(answers).toEqual(new Set(["first-v1-0"]));
  });

  test("what was learned stays when the control plane and Envoy begin anew", async () => {
    expect(await answer("page", "http://kept:9080/")).toBe("kept-v1-0");
    const answers = await during("page", "http://kept:9080/", () => world.restartControlPlane());
    expect(answers).toEqual(new Set(["kept-v1-0"]));
    expect(await held("page")).toContain("kept.shop");
    await world.restartProxy("page-b");
    expect(await held("page-b")).toContain("kept.shop");
  });

  test.each([
    ["a namespace", (mode: string) => world.apply(namespaceObject(mode), "east")],
    ["a workload", switchWorkload],
  ])(
    "of %s's mode, there and back",
    async (_what, set) => {
      const call = "http://first.shop:9080/";
      const answers = await during("switched", call, async () => {
        for (const mode of ["OnDemand", "All", "OnDemand", "All"]) {
          set(mode);
          const some = mode === "OnDemand";
          await eventually(`it is ${mode}`, async () => (await held("switched")).length < 10 === some);
          expect(await answer("switched", "http://seed.shop:9080/", { fresh: true })).toBe("seed-v1-0");
        }
      });
      expect(answers).toEqual(new Set(["first-v1-0"]));
    },
    60_000,
  );

  test("of a mode, with a connection that was idle meanwhile", async () => {
    const socket = await world.caller("switched").connect("first.shop", 9080);
    const chunks: string[] = [];
    socket.setEncoding("utf8").on("data", (text: string) => chunks.push(text));
    const status = async (): Promise<string> => {
      chunks.length = 0;
      socket.write("GET / HTTP/1.1\r\nhost: first.shop:9080\r\n\r\n");
      return eventually("it is answered", () => /^HTTP\/1.1 (\d+)/.exec(chunks.join(""))?.[1]);
    };
    expect(await status()).toBe("200");
    switchWorkload("OnDemand");
    await eventually("it is OnDemand", async () => (await held("switched")).length < 10);
    expect(await status()).toBe("200");
    switchWorkload("All");
    await eventually("it is All", async () => (await held("switched")).length > 10);
    expect(await status()).toBe("200");
    socket.destroy();
  });
});
