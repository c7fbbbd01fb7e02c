/**
 * Mutual TLS between workloads. Names of groups are those of Istio's references "PeerAuthentication", "Destination Rule"
 * and "Global Mesh Options".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { spiffeId } from "#identity/spiffe.ts";
import type { MeshInput } from "#model/mesh.ts";
import { eventually } from "../support/eventually.ts";
import type { Seen } from "./backends.ts";
import { greeting } from "./greeting.ts";
import { requestOn } from "./policy-matrix.ts";
import { callerIn, echoed, patience, type Stranger, Strangers } from "./strangers.ts";
import { World } from "./world.ts";

let world: World;
let strangers: Strangers;

const account = (serviceAccount: string) => ({ trustDomain: "cluster.local", namespace: "shop", serviceAccount });
const ports = [
  { name: "http", port: 80, to: "http" },
  { name: "any", port: 81, to: "h2c" },
  { name: "tcp", port: 82, to: "tcp" },
  { name: "other", port: 83, to: "raw" },
] as const;

/** Connections between proxies are opened anew for each request: those of before a change are let live for a while. */
const settings = { defaultTrafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } } };

beforeAll(async () => {
  world = await World.start("mt", {
    mesh: settings,
    proxies: [
      { name: "client", labels: { app: "client" }, identity: "client" },
      { name: "server", labels: { app: "server" }, identity: "server", serves: true },
      { name: "gateway", type: "router", labels: { app: "gateway" }, identity: "gateway" },
      { name: "uncertified", labels: { app: "uncertified" }, serves: true },
      { name: "sniffer", labels: { app: "sniffer" }, identity: "sniffer", serves: true },
    ],
    services: [
      { name: "server", ports, servedBy: ["server"] },
      { name: "sniffer", ports: [{ name: "any", port: 80, to: "http" }], servedBy: ["sniffer"] },
      { name: "uncertified", servedBy: ["uncertified"] },
      { name: "bare" },
      { name: "target", ports: [{ name: "tcp", port: 90, to: "tls" }] },
    ],
    istio: [],
  });
  strangers = new Strangers(world.outside, world.identities);
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

/** Puts objects into the mesh until disposed; of several, the first is the oldest. */
function applied(
  ...objects: readonly (readonly [kind: string, namespace: string, name: string, spec: string])[]
): Disposable {
  const texts = objects.map(([kind, namespace, name, spec]) => {
    const group = kind === "PeerAuthentication" ? "security" : "networking";
    return `{ apiVersion: ${group}.istio.io/v1, kind: ${kind}, metadata: { name: ${name}, namespace: ${namespace} }, spec: ${spec} }`;
  });
  world.apply(texts.join("\n---\n"));
  return {
    [Symbol.dispose]: () => {
      for (const [kind, namespace, name] of objects) world.remove(kind, name, namespace);
    },
  };
}

const peer = (namespace: string, name: string, spec: string) => ["PeerAuthentication", namespace, name, spec] as const;

/** A request of the workload in the mesh: who it comes from, as the workload that gets it is told. */
async function meshRequest(host: string, port: number, http2 = false): Promise<string> {
  const { status, seen } = await world.caller("client").send(`http://${host}:${port}/`, { http2, fresh: !http2 });
  return seen ? callerIn(seen.headers) : `status ${status}`;
}

async function meshBytes(host: string, port: number): Promise<string> {
  const socket = await world.caller("client").connect(host, port);
  // A proxy that does not know yet how a port is called now may wait for a word.
  const silence = setTimeout(() => socket.destroy(), patience);
  const text = await greeting(socket);
  clearTimeout(silence);
  return text || "closed";
}

const everyone: readonly Stranger[] = ["plain", "stock", "elsewhere", "expired", "foreign", "nameless"];

/** What becomes of each caller at three ports, by the port's mode. Written from the reference: who shows what is let in or not. */
const refusals = {
  elsewhere: "alert certificate unknown",
  expired: "alert certificate expired",
  foreign: "alert unknown ca",
  nameless: "alert certificate required",
} as const;
const told = {
  mesh: "as spiffe://cluster.local/ns/shop/sa/client",
  stock: "as spiffe://cluster.local/ns/shop/sa/stock",
};
const untold = { stock: "no TLS", elsewhere: "no TLS", expired: "no TLS", foreign: "no TLS", nameless: "no TLS" };
const requests = {
  DISABLE: { mesh: "plain", plain: "plain", ...untold },
  PERMISSIVE: { ...told, plain: "plain", ...refusals },
  STRICT: { ...told, plain: "closed", ...refusals },
} as const;
const served = { mesh: "server", stock: "server\n{knock knock}!" };
const connections = {
  DISABLE: { mesh: "server", plain: "server\n{knock knock}!", ...untold },
  PERMISSIVE: { ...served, plain: "server\n{knock knock}!", ...refusals },
  STRICT: { ...served, plain: "closed", ...refusals },
} as const;

type Mode = keyof typeof requests;

async function table() {
  const [server, sniffer] = [world.addressOf("server"), world.addressOf("sniffer")];
  const of = async (ask: (who: Stranger) => Promise<string>) =>
    Object.fromEntries(await Promise.all(everyone.map(async (who) => [who, await ask(who)] as const)));
  return {
    http: { mesh: await meshRequest("server", 80), ...(await of((who) => strangers.request(who, server, 8080))) },
    tcp: { mesh: await meshBytes("server", 82), ...(await of((who) => strangers.bytes(who, server, 9000))) },
    sniffed: { mesh: await meshRequest("sniffer", 80), ...(await of((who) => strangers.request(who, sniffer, 8080))) },
  };
}

const own = "selector: { matchLabels: { app: server } }";
const mtls = (mode: string): string => `mtls: { mode: ${mode} }`;

/** Policies, oldest first, and what they make of the server's HTTP port, its TCP port, and the sniffed port of the other. */
const levels: readonly (readonly [string, readonly (readonly [string, string, string, string])[], Mode, Mode, Mode])[] =
  [
    ["nothing is said: PERMISSIVE", [], "PERMISSIVE", "PERMISSIVE", "PERMISSIVE"],
    [
      "of the mesh, in the root namespace",
      [peer("istio-system", "a", `{ ${mtls("STRICT")} }`)],
      "STRICT",
      "STRICT",
      "STRICT",
    ],
    [
      "of a namespace, before the mesh's",
      [peer("istio-system", "a", `{ ${mtls("STRICT")} }`), peer("shop", "a", `{ ${mtls("DISABLE")} }`)],
      "DISABLE",
      "DISABLE",
      "DISABLE",
    ],
    [
      "of a workload, before its namespace's",
      [peer("shop", "a", `{ ${mtls("STRICT")} }`), peer("shop", "b", `{ ${own}, ${mtls("PERMISSIVE")} }`)],
      "PERMISSIVE",
      "PERMISSIVE",
      "STRICT",
    ],
    [
      "of a port, before its workload's",
      [
        peer(
          "shop",
          "b",
          `{ ${own}, ${mtls("STRICT")}, portLevelMtls: { 9000: { mode: DISABLE }, 80: { mode: DISABLE } } }`,
        ),
      ],
      "STRICT",
      "DISABLE",
      "PERMISSIVE",
    ],
    [
      "UNSET: the next wider one's",
      [
        peer("istio-system", "a", `{ ${mtls("STRICT")} }`),
        peer("shop", "a", `{ ${mtls("UNSET")} }`),
        peer("shop", "b", `{ ${own}, portLevelMtls: { 8080: { mode: UNSET }, 9000: { mode: PERMISSIVE } } }`),
      ],
      "STRICT",
      "PERMISSIVE",
      "STRICT",
    ],
    [
      "the oldest of several, and none of the root namespace with a selector",
      [
        peer("shop", "z", `{ ${own}, ${mtls("DISABLE")} }`),
        peer("shop", "b", `{ ${own}, ${mtls("STRICT")} }`),
        peer("istio-system", "b", `{ selector: { matchLabels: { app: sniffer } }, ${mtls("STRICT")} }`),
      ],
      "DISABLE",
      "DISABLE",
      "PERMISSIVE",
    ],
    ["taken away again", [], "PERMISSIVE", "PERMISSIVE", "PERMISSIVE"],
  ];

describe("PeerAuthentication", () => {
  test.each(levels)("%s", async (_title, objects, http, tcp, sniffed) => {
    using _policies = applied(...objects);
    const expected = { http: requests[http], tcp: connections[tcp], sniffed: requests[sniffed] };
    await expect.poll(table, { timeout: 20_000 }).toEqual(expected);
  });
});

describe("a proxy without a certificate", () => {
  test("takes plain text, and nothing where mutual TLS must be", async () => {
    const ask = () => meshRequest("uncertified", 9080);
    const direct = (port: number) => () => strangers.request("plain", world.addressOf("uncertified"), port);
    expect(await ask()).toBe("plain");
    using _policy = applied(peer("shop", "a", `{ ${mtls("STRICT")} }`));
    await expect.poll(ask, { timeout: 20_000 }).toBe("status 503");
    await expect.poll(direct(8080), { timeout: 20_000 }).toBe("closed");
    // No service names this port.
    expect(await direct(8444)()).toBe("closed");
  });
});

describe("what a stock Istio proxy offers", () => {
  const pod = () => world.addressOf("server");

  test("HTTP and bytes are served, and nothing is agreed on by which it would send bytes of its own", async () => {
    expect(await strangers.request("stock", pod(), 8080)).toBe(told.stock);
    const secure = await strangers.secured(pod(), 9000);
    expect(secure.alpnProtocol).toBe(false);
    expect(await echoed(secure)).toBe("server\n{knock knock}!");
  });

  test.each(["istio-http/1.0", "istio-http/1.1", "istio-h2", "istio", "istio-peer-exchange"])(
    "%s alone is a caller of the mesh",
    async (protocol) => {
      expect(await strangers.request("stock", pod(), 8080, { ALPNProtocols: [protocol] })).toBe(told.stock);
    },
  );

  test("who offers none of it is no caller of the mesh: closed on an HTTP port, passed on to the application elsewhere", async () => {
    const http = { ALPNProtocols: ["http/1.1"] };
    expect(await strangers.request("stock", pod(), 8080, http)).toBe("closed");
    expect(await strangers.request("stock", world.addressOf("sniffer"), 8080, http)).toBe("no TLS");
  });

  test("workloads themselves offer no istio-peer-exchange, and ask for the service by Istio's name", async () => {
    const { authority } = world.backends;
    using _rule = applied([
      "DestinationRule",
      "shop",
      "target",
      "{ host: target, trafficPolicy: { tls: { mode: ISTIO_MUTUAL, subjectAltNames: [pod.test] } } }",
    ]);
    const roots = [world.identities.authority.certificate, authority.certificate];
    world.identities.replace("client", world.identities.issue(account("client")), roots);
    const ask = async () => echoed(await world.caller("client").connect("target", 90)).catch(String);
    await expect.poll(ask, { timeout: 20_000 }).toBe("target-v1-0\n{knock knock}!");
    expect(world.backends.offered.at(-1)).toEqual(["istio"]);
    expect(world.backends.handshakes.at(-1)).toEqual({
      pod: "target-v1-0",
      serverName: "outbound_.90_._.target.shop.svc.cluster.local",
      caller: `URI:${spiffeId(account("client"))}`,
    });
  });
});

describe("x-forwarded-client-cert", () => {
  const spoofed = { "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/shop/sa/boss" };

  test("tells who calls, whom, and with which certificate", async () => {
    const { seen } = await world.caller("client").send("http://server:80/", { headers: spoofed });
    const said = seen?.headers["x-forwarded-client-cert"] ?? "";
    expect(said).toMatch(
      /^By=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/server;Hash=[0-9a-f]{64};Subject="CN=[^"]+";URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client$/,
    );
  });

  test("is not taken from callers in plain text", async () => {
    const address = world.addressOf("server");
    const { seen } = await world.outside.send(`http://${address}:8080/`, { headers: spoofed });
    expect(seen?.pod).toBe("server");
    expect(seen?.headers["x-forwarded-client-cert"]).toBeUndefined();
  });
});

describe("ProxyHeaders", () => {
  const header = "x-forwarded-client-cert";
  type ProxyHeaders = NonNullable<NonNullable<MeshInput["defaultConfig"]>["proxyHeaders"]>;

  /** What the workload is told of a stock proxy that tells of somebody itself. */
  async function said(): Promise<string> {
    const socket = await strangers.secured(world.addressOf("server"), 8080, { ALPNProtocols: ["istio-http/1.1"] });
    const { text } = await requestOn(socket, { method: "GET", path: "/", headers: { [header]: "By=me;URI=other" } });
    return (JSON.parse(text) as Pick<Seen, "headers">).headers[header] ?? "nothing";
  }

  function set(proxyHeaders: ProxyHeaders): void {
    world.setMesh({ ...settings, defaultConfig: { proxyHeaders } });
  }

  afterAll(() => world.setMesh(settings));

  const own = "By=spiffe://cluster.local/ns/shop/sa/server;Hash=[0-9a-f]{64}";
  const stock = `${own};Subject="[^"]+";URI=spiffe://cluster.local/ns/shop/sa/stock`;

  test.each([
    ["UNDEFINED", `^By=me;URI=other,${stock}$`],
    ["SANITIZE", "^nothing$"],
    ["FORWARD_ONLY", "^By=me;URI=other$"],
    ["APPEND_FORWARD", `^By=me;URI=other,${stock}$`],
    ["SANITIZE_SET", `^${stock}$`],
    ["ALWAYS_FORWARD_ONLY", "^By=me;URI=other$"],
  ] as const)("forwardedClientCert %s", async (forwardedClientCert, pattern) => {
    set({ forwardedClientCert });
    await expect.poll(said, { timeout: 20_000 }).toMatch(new RegExp(pattern));
  });

  test("forwardedClientCert ALWAYS_FORWARD_ONLY takes the word of callers in plain text, FORWARD_ONLY does not", async () => {
    const plain = async (): Promise<string> => {
      const url = `http://${world.addressOf("server")}:8080/`;
      const { seen } = await world.outside.send(url, { headers: { [header]: "By=me" }, fresh: true });
      return seen?.headers[header] ?? "nothing";
    };
    set({ forwardedClientCert: "ALWAYS_FORWARD_ONLY" });
    await expect.poll(plain, { timeout: 20_000 }).toBe("By=me");
    set({ forwardedClientCert: "FORWARD_ONLY" });
    await expect.poll(plain, { timeout: 20_000 }).toBe("nothing");
    expect(await said()).toBe("By=me;URI=other");
  });

  const certificate = '"-----BEGIN%20CERTIFICATE-----[^"]+-----END%20CERTIFICATE-----%0A"';
  const none = { subject: false, uri: false, dns: false };
  test.each([
    ["nothing", none, ""],
    ["cert", { ...none, cert: true }, `;Cert=${certificate}`],
    ["chain", { ...none, chain: true }, `;Chain=${certificate}`],
    ["uri", { ...none, uri: true }, ";URI=spiffe://cluster.local/ns/shop/sa/stock"],
    ["subject", { ...none, subject: true }, ';Subject="[^"]+"'],
  ])("setCurrentClientCertDetails says what of the certificate is told: %s", async (_title, details, pattern) => {
    set({ forwardedClientCert: "SANITIZE_SET", setCurrentClientCertDetails: details });
    await expect.poll(said, { timeout: 20_000 }).toMatch(new RegExp(`^${own}${pattern}$`));
  });
});

describe("serviceAccount", () => {
  const ask = async (): Promise<string> => {
    const { status, seen } = await world
      .caller("client")
      .send("http://240.240.0.9:80/", { host: "entered.example", fresh: true });
    return seen ? callerIn(seen.headers) : `status ${status}`;
  };
  const entry = (more: string) =>
    [
      "ServiceEntry",
      "shop",
      "entered",
      `{ hosts: [entered.example], addresses: [240.240.0.9], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, targetPort: 8080, name: http, protocol: HTTP }], ${more} }`,
    ] as const;
  const rows = [
    ["serviceAccount: server", told.mesh],
    ["serviceAccount: other", "status 503"],
    ["", "plain"],
  ] as const;

  test.each(rows)("an endpoint of a ServiceEntry with %o", async (account, answer) => {
    using _objects = applied(entry(`endpoints: [{ address: ${world.addressOf("server")}, ${account} }]`));
    await expect.poll(ask, { timeout: 20_000 }).toBe(answer);
  });

  test.each(rows)("a WorkloadEntry with %o", async (account, answer) => {
    using _objects = applied(entry("workloadSelector: { labels: { app: entered } }"), [
      "WorkloadEntry",
      "shop",
      "entered",
      `{ address: ${world.addressOf("server")}, labels: { app: entered }, ${account} }`,
    ]);
    await expect.poll(ask, { timeout: 20_000 }).toBe(answer);
  });
});

describe("auto mutual TLS", () => {
  test("HTTP/1.1, HTTP/2 and bytes of servers that talk first, on ports with and without a protocol", async () => {
    expect(await meshRequest("server", 80)).toBe(told.mesh);
    expect(await meshRequest("sniffer", 80)).toBe(told.mesh);
    expect(await meshRequest("server", 81, true)).toBe(told.mesh);
    expect(await meshBytes("server", 82)).toBe("server");
    expect(await echoed(await world.caller("client").connect("server", 83))).toBe("{knock knock}!");
  });

  test("who has no proxy is called in plain text", async () => {
    const { seen } = await world.caller("client").send("http://bare:9080/");
    expect(seen?.pod).toBe("bare-v1-0");
  });

  test("a server that shows another account than its Pods have is not talked to", async () => {
    const { identities } = world;
    const roots = [identities.authority.certificate];
    identities.replace("server", identities.issue(account("thief")), roots);
    await expect.poll(() => meshRequest("server", 80), { timeout: 20_000 }).toBe("status 503");
    identities.replace("server", identities.issue(account("server")), roots);
    await expect.poll(() => meshRequest("server", 80), { timeout: 20_000 }).toBe(told.mesh);
  });

  test("enableAutoMtls false: plain text, unless a DestinationRule says otherwise", async () => {
    world.setMesh({ ...settings, enableAutoMtls: false });
    try {
      await expect.poll(() => meshRequest("server", 80), { timeout: 20_000 }).toBe("plain");
      using _rule = applied([
        "DestinationRule",
        "shop",
        "server",
        "{ host: server, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }",
      ]);
      await expect.poll(() => meshRequest("server", 80), { timeout: 20_000 }).toBe(told.mesh);
    } finally {
      world.setMesh(settings);
    }
    await expect.poll(() => meshRequest("server", 80), { timeout: 20_000 }).toBe(told.mesh);
  });
});

describe("ClientTLSSettings mode ISTIO_MUTUAL and DISABLE", () => {
  const rule = (policy: string) =>
    ["DestinationRule", "shop", "server", `{ host: server, trafficPolicy: ${policy} }`] as const;
  const both = async () => [await meshRequest("server", 80), await meshRequest("server", 81, true)];

  test("before what is found out, for a port before the whole", async () => {
    using _rule = applied(
      rule("{ tls: { mode: DISABLE }, portLevelSettings: [{ port: { number: 81 }, tls: { mode: ISTIO_MUTUAL } }] }"),
    );
    await expect.poll(both, { timeout: 20_000 }).toEqual(["plain", told.mesh]);
  });

  test("subjectAltNames in place of the accounts that are known", async () => {
    using _rule = applied(
      rule("{ tls: { mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other'] } }"),
    );
    await expect.poll(both, { timeout: 20_000 }).toEqual(["status 503", "status 503"]);
  });
});

describe("ServerTLSSettings mode ISTIO_MUTUAL", () => {
  test("a gateway takes callers of the mesh's authorities, and nobody else", async () => {
    using _objects = applied(
      [
        "Gateway",
        "shop",
        "edge",
        "{ selector: { app: gateway }, servers: [{ port: { number: 8443, name: https, protocol: HTTPS }, hosts: ['*'], tls: { mode: ISTIO_MUTUAL } }] }",
      ],
      [
        "VirtualService",
        "shop",
        "edge",
        "{ hosts: ['*'], gateways: [edge], http: [{ route: [{ destination: { host: server, port: { number: 80 } } }] }] }",
      ],
    );
    const ask = (who: Stranger) => strangers.request(who, world.addressOf("gateway"), 8443);
    await expect.poll(() => ask("stock"), { timeout: 20_000 }).toBe(told.stock);
    // Trust domains are not looked at here, as in Istio.
    expect(await ask("elsewhere")).toBe("as spiffe://old.example/ns/shop/sa/stock");
    expect(await ask("expired")).toBe(refusals.expired);
    expect(await ask("foreign")).toBe(refusals.foreign);
    expect(await ask("nameless")).toBe(refusals.nameless);
    expect(await ask("plain")).toBe("closed");
  });
});

describe("credentialName builtin://", () => {
  const tls = {
    simple: "mode: SIMPLE, credentialName: builtin://",
    mutual: "mode: MUTUAL, credentialName: builtin://",
    // The other names are of no meaning here.
    listed: "mode: OPTIONAL_MUTUAL, credentialNames: [builtin://], caCertCredentialName: builtin://-cacert",
  } as const;

  test("a gateway shows the certificate of its own account, and takes those of the mesh's authorities", async () => {
    const servers = Object.entries(tls).map(
      ([name, settings]) =>
        `{ port: { number: 8443, name: ${name}, protocol: HTTPS }, hosts: [${name}.test], tls: { ${settings} } }`,
    );
    using _objects = applied(
      ["Gateway", "shop", "edge", `{ selector: { app: gateway }, servers: [${servers.join(", ")}] }`],
      [
        "VirtualService",
        "shop",
        "edge",
        "{ hosts: ['*'], gateways: [edge], http: [{ route: [{ destination: { host: server, port: { number: 80 } } }] }] }",
      ],
    );
    const gateway = world.addressOf("gateway");
    const ask = (who: Stranger, name: keyof typeof tls) =>
      strangers.request(who, gateway, 8443, { servername: `${name}.test` });
    await expect.poll(() => ask("stock", "mutual"), { timeout: 20_000 }).toBe(told.stock);
    const shown = await strangers.secured(gateway, 8443, { servername: "simple.test", ALPNProtocols: ["h2"] });
    expect(shown.getPeerCertificate().subjectaltname).toBe(`URI:${spiffeId(account("gateway"))}`);
    shown.destroy();
    // Who is not asked for a certificate cannot be told of: what the workload is told is whom the gateway is.
    const whom = "as spiffe://cluster.local/ns/shop/sa/gateway";
    // Envoy's workers take the listener one after the other.
    const all = (name: keyof typeof tls) => async () => Promise.all(everyone.map((who) => ask(who, name)));
    const patient = { timeout: 20_000 };
    await expect.poll(all("simple"), patient).toEqual(["closed", whom, whom, whom, whom, whom]);
    const { expired, foreign, nameless } = refusals;
    const elsewhere = "as spiffe://old.example/ns/shop/sa/stock";
    await expect.poll(all("mutual"), patient).toEqual(["closed", told.stock, elsewhere, expired, foreign, nameless]);
    await expect.poll(all("listed"), patient).toEqual(["closed", told.stock, elsewhere, expired, foreign, whom]);
    expect(world.findings("Gateway", "edge")).toEqual([]);
  });

  test("a workload that a DestinationRule selects shows its own, to servers of the mesh's authorities", async () => {
    const { identities, backends } = world;
    using _rule = applied([
      "DestinationRule",
      "shop",
      "target",
      "{ host: target, workloadSelector: { matchLabels: { app: client } }, trafficPolicy: { tls: { mode: MUTUAL, credentialName: 'builtin://', sni: pod.test } } }",
    ]);
    const ask = async () => echoed(await world.caller("client").connect("target", 90)).catch(String);
    const own = identities.authority.certificate;
    identities.replace("client", identities.issue(account("client")), [own, backends.authority.certificate]);
    await expect.poll(ask, { timeout: 20_000 }).toBe("target-v1-0\n{knock knock}!");
    expect(backends.handshakes.at(-1)).toEqual({
      pod: "target-v1-0",
      serverName: "pod.test",
      caller: `URI:${spiffeId(account("client"))}`,
    });
    identities.replace("client", identities.issue(account("client")), [own]);
    await expect.poll(ask, { timeout: 20_000 }).toContain("Error");
  });
});

describe("Global Mesh Options", () => {
  const pod = () => world.addressOf("server");
  const tls12 = { maxVersion: "TLSv1.2", minVersion: "TLSv1.2" } as const;

  test("trustDomain and trustDomainAliases: their identities are the mesh's own, and no others", async () => {
    world.setMesh({ ...settings, trustDomain: "old.example" });
    await expect
      .poll(() => strangers.request("stock", pod(), 8080), { timeout: 20_000 })
      .toBe("alert certificate unknown");
    world.setMesh({ ...settings, trustDomainAliases: ["old.example"] });
    const ask = () => strangers.request("elsewhere", pod(), 8080);
    await expect.poll(ask, { timeout: 20_000 }).toBe("as spiffe://old.example/ns/shop/sa/stock");
    world.setMesh(settings);
    await expect.poll(ask, { timeout: 20_000 }).toBe("alert certificate unknown");
  });

  test("trustDomainAliases: a server that shows its account in one of them is talked to, unless a rule names its identity", async () => {
    const { identities } = world;
    const roots = [identities.authority.certificate];
    const show = (trustDomain: string, name: string): void =>
      identities.replace("server", identities.issue({ ...account(name), trustDomain }), roots);
    const becomes = async (answer: string): Promise<void> => {
      await expect.poll(() => meshRequest("server", 80), { timeout: 20_000 }).toBe(answer);
    };
    try {
      show("old.example", "server");
      await becomes("status 503");
      world.setMesh({ ...settings, trustDomainAliases: ["old.example"] });
      await becomes(told.mesh);
      {
        const names = "subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/server']";
        const tls = `{ tls: { mode: ISTIO_MUTUAL, ${names} } }`;
        using _rule = applied(["DestinationRule", "shop", "server", `{ host: server, trafficPolicy: ${tls} }`]);
        await becomes("status 503");
      }
      await becomes(told.mesh);
      show("old.example", "thief");
      await becomes("status 503");
      show("old.example", "server");
      await becomes(told.mesh);
      show("older.example", "server");
      await becomes("status 503");
    } finally {
      show("cluster.local", "server");
      world.setMesh(settings);
    }
    await becomes(told.mesh);
  });

  test("meshMTLS: the oldest version, and the suites of TLS 1.2", async () => {
    const ask = (more: object) => () => strangers.request("stock", pod(), 8080, { ...tls12, ...more });
    const suite = { ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" };
    expect(await ask(suite)()).toBe(told.stock);
    world.setMesh({ ...settings, meshMTLS: { cipherSuites: ["ECDHE-ECDSA-AES128-GCM-SHA256"] } });
    await expect.poll(ask(suite), { timeout: 20_000 }).toBe("alert handshake failure");
    expect(await ask({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" })()).toBe(told.stock);
    world.setMesh({ ...settings, meshMTLS: { minProtocolVersion: "TLSV1_3" } });
    await expect.poll(ask({}), { timeout: 20_000 }).toBe("alert protocol version");
    world.setMesh(settings);
    await expect.poll(ask(suite), { timeout: 20_000 }).toBe(told.stock);
  });
});

describe("under load", () => {
  test("from PERMISSIVE to STRICT and to other certificates without a failed request", async () => {
    const { identities } = world;
    world.setMesh({});
    const answers = new Map<string, number>();
    const count = (answer: string): unknown => answers.set(answer, (answers.get(answer) ?? 0) + 1);
    const ending = new AbortController();
    const caller = async (fresh: boolean): Promise<void> => {
      while (!ending.signal.aborted) {
        const { status, seen } = await world.caller("client").send("http://server:80/", { fresh });
        count(seen ? callerIn(seen.headers) : `status ${status}`);
      }
    };
    const load = Promise.all([caller(true), caller(false), caller(false)]);
    const more = (): (() => boolean) => {
      const before = answers.get(told.mesh) ?? 0;
      return () => (answers.get(told.mesh) ?? 0) > before + 50;
    };
    await eventually("requests are answered", more());
    using _policy = applied(peer("shop", "a", `{ ${mtls("STRICT")} }`));
    await expect
      .poll(() => strangers.request("plain", world.addressOf("server"), 8080), { timeout: 20_000 })
      .toBe("closed");
    await eventually("requests go on after the change", more());
    const roots = [identities.authority.certificate];
    for (const name of ["client", "server"]) identities.replace(name, identities.issue(account(name)), roots);
    await eventually("requests go on with other certificates", more());
    ending.abort();
    await load;
    expect([...answers.keys()]).toEqual([told.mesh]);
  });
});
