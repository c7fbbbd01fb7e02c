/**
 * Certificates that Secrets and ConfigMaps hold: of gateways' servers, and for what gateways and sidecars call. Names of
 * groups are those of Istio's references "Gateway" and "Destination Rule".
 */
import { createHash, X509Certificate } from "node:crypto";
import { Agent, request as httpsRequest } from "node:https";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { certifiedName } from "./backends.ts";
import { type TlsAnswer, tlsRequest } from "./tls-request.ts";
import { World } from "./world.ts";

const authority = createAuthority("test authority");
const stranger = createAuthority("another authority");
const client = authority.issue("client.test", "spiffe://cluster.local/ns/shop/sa/client");
const guest = authority.issue("guest.test");
const revoked = authority.issue("client.test");

let world: World;

type Contents = Readonly<Record<string, string | Buffer>>;

/** A Secret as YAML. */
function secret(name: string, contents: Contents, namespace = "edge", type = "Opaque"): string {
  const data = Object.entries(contents).map(([key, text]) => [key, Buffer.from(text).toString("base64")] as const);
  const metadata = { name, namespace };
  return JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata, type, data: Object.fromEntries(data) });
}

/** What a Secret of type `kubernetes.io/tls` holds. */
function tls({ certificate, key }: Certificate, more: Contents = {}): Contents {
  return { "tls.crt": certificate, "tls.key": key, ...more };
}

function fingerprint({ certificate }: Certificate): string {
  return new X509Certificate(certificate).fingerprint256;
}

const simple = authority.issue("simple.test");
const rsa = authority.issueFor({ names: ["two.test"], rsa: 2048 });
const ecdsa = authority.issue("two.test");
const stapled = authority.issue("stapled.test");
const staple = authority.staple(stapled.certificate);
const hash = createHash("sha256").update(new X509Certificate(client.certificate).raw).digest("hex");
const clientKey = new X509Certificate(client.certificate).publicKey.export({ type: "spki", format: "der" });
const spki = createHash("sha256").update(clientKey).digest("base64");
const ca = { "ca.crt": authority.certificate };

/** TLS of each server, by the first part of its host's name; all are on one port. */
const servers = {
  simple: "mode: SIMPLE, credentialName: simple",
  generic: "mode: SIMPLE, credentialName: generic",
  stapled: "mode: SIMPLE, credentialName: stapled",
  two: "mode: SIMPLE, credentialNames: [rsa, ecdsa]",
  named: "mode: SIMPLE, credentialName: kubernetes://edge/simple",
  shared: "mode: SIMPLE, credentialName: of-mesh",
  external: "mode: SIMPLE, credentialName: sds://simple",
  mutual: "mode: MUTUAL, credentialName: mutual, subjectAltNames: [client.test]",
  separate: "mode: MUTUAL, credentialName: separate",
  optional: "mode: OPTIONAL_MUTUAL, credentialName: mutual",
  careless: "mode: OPTIONAL_MUTUAL, credentialName: mutual, insecureSkipVerify: true",
  instead: "mode: MUTUAL, credentialName: simple, caCertCredentialName: clients",
  public: "mode: MUTUAL, credentialName: simple, caCertCredentialName: configmap://edge/clients",
  revoking: "mode: MUTUAL, credentialName: revoking",
  hashed: `mode: MUTUAL, credentialName: mutual, verifyCertificateHash: ["${hash}"]`,
  keyed: `mode: MUTUAL, credentialName: mutual, verifyCertificateSpki: ["${spki}"]`,
  builtin: "mode: SIMPLE, credentialName: builtin://",
  old: "mode: SIMPLE, credentialName: simple, maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384]",
} as const;

type ServerName = keyof typeof servers;

function gateway(name: string, port: number, all: Readonly<Record<string, string>>): string {
  const lines = Object.entries(all).map(
    ([host, settings]) =>
      `    - { port: { number: ${port}, name: ${host}, protocol: HTTPS }, hosts: [${host}.test], tls: { ${settings} } }`,
  );
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
${lines.join("\n")}`;
}

function rule(host: string, settings: string, more = ""): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host} }
spec: { host: ${host}, ${more}trafficPolicy: { tls: { sni: ${certifiedName}, subjectAltNames: [${certifiedName}], ${settings} } } }`;
}

/** What is called over TLS, and how. */
const destinations = {
  web: rule("web", "mode: SIMPLE, credentialName: pods"),
  strange: rule("strange", "mode: SIMPLE, credentialName: strangers"),
  shown: rule("shown", "mode: MUTUAL, credentialName: client"),
  trusted: rule("trusted", "mode: SIMPLE, credentialName: configmap://shop/pods"),
  chosen: rule(
    "chosen",
    "mode: MUTUAL, credentialName: client",
    "workloadSelector: { matchLabels: { app: caller } }, ",
  ),
} as const;

const ofCluster = [
  secret("simple", tls(simple), "edge", "kubernetes.io/tls"),
  secret("generic", { cert: authority.issue("generic.test").certificate, key: "" }),
  secret("stapled", tls(stapled, { "tls.ocsp-staple": staple })),
  secret("rsa", tls(rsa)),
  secret("ecdsa", tls(ecdsa)),
  secret("mutual", tls(authority.issue("mutual.test", "optional.test", "careless.test"), ca)),
  secret("separate", tls(authority.issue("separate.test"))),
  secret("separate-cacert", { cacert: authority.certificate }),
  secret("clients", ca),
  secret("revoking", tls(authority.issue("revoking.test"), { ...ca, "ca.crl": authority.revoke(revoked.certificate) })),
  secret("strangers", { "ca.crt": stranger.certificate }),
  secret("private", tls(authority.issue("private.test")), "shop"),
];

function configMap(name: string, namespace: string, text: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace },
    data: { "ca.crt": text },
  });
}

/** A route of the gateways' HTTPS servers to a page, and one of a plain server to each destination. */
const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: page }
spec: { hosts: ["*.test"], gateways: [edge/edge, edge/later, edge/load, edge/vetted], http: [{ route: [{ destination: { host: page } }] }] }
${Object.keys(destinations)
  .map(
    (name) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: { hosts: [${name}.example.com], gateways: [edge/plain], http: [{ route: [{ destination: { host: ${name} } }] }] }
`,
  )
  .join("")}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: plain, namespace: edge }
spec: { selector: { istio: ingress }, servers: [{ port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"] }] }`;

beforeAll(async () => {
  const generic = authority.issue("generic.test");
  ofCluster.push(secret("generic", { cert: generic.certificate, key: generic.key }));
  const istio = [gateway("edge", 8443, servers), routes, ...Object.values(destinations)];
  istio.push(
    secret("of-mesh", tls(authority.issue("shared.test"))),
    configMap("clients", "edge", authority.certificate),
  );
  world = await World.start(
    "sec",
    {
      proxies: [
        { name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } },
        { name: "caller", labels: { app: "caller" } },
      ],
      services: [
        { name: "page" },
        ...Object.keys(destinations).map((name) => ({
          name,
          ports: [{ name: "http", port: 9080, to: "https" as const }],
        })),
      ],
      istio,
      kubernetes: { east: ofCluster },
    },
    (pods) => {
      const shown = pods.issue("client.test");
      const all = { cert: shown.certificate, key: shown.key, cacert: pods.certificate };
      ofCluster.push(
        secret("pods", { "ca.crt": pods.certificate }),
        secret("client", all),
        secret("client", all, "shop"),
      );
      istio.push(configMap("pods", "shop", pods.certificate));
    },
  );
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

/** A request to a server by its host's name; fails as the handshake does. */
async function ask(name: string, options: ConnectionOptions = {}, port = 8443): Promise<TlsAnswer> {
  const socket = await world.outside.connect(world.addressOf("edge"), port);
  return tlsRequest(socket, `${name}.test`, {
    ca: [authority.certificate],
    checkServerIdentity: () => undefined,
    ...options,
  });
}

function shows({ certificate: cert, key }: Certificate): ConnectionOptions {
  return { cert, key };
}

/** What callers hear whose certificate is not taken, or whom nobody answers. */
const refused = /alert|ECONNREFUSED|ECONNRESET|EPIPE|closed|disconnected/;

async function status(name: ServerName, certificate?: Certificate): Promise<number | undefined> {
  return (await ask(name, certificate && shows(certificate))).status;
}

describe("ServerTLSSettings credentialName", () => {
  test.each(["simple", "generic", "named", "shared", "external"] as const)("of a server: %s", async (name) => {
    const of = name === "named" || name === "external" ? "simple" : name;
    expect(await ask(name)).toMatchObject({ status: 200, certifiedFor: `DNS:${of}.test` });
  });

  test("of the mesh, at a gateway that has none of it: nobody gets in, and other servers of the port do not wait", async () => {
    await expect(ask("builtin")).rejects.toThrow(refused);
  });

  test("an OCSP staple goes with the certificate", async () => {
    const answer = await ask("stapled", { requestOCSP: true });
    expect(answer.stapled).toEqual(staple);
  });

  test("a Secret is that of the proxy's cluster before one of the mesh", async () => {
    world.apply(secret("simple", tls(stranger.issue("simple.test"))));
    expect((await ask("simple")).status).toBe(200);
  });
});

describe("ServerTLSSettings credentialNames", () => {
  test.each([
    ["RSA", rsa],
    ["ECDSA", ecdsa],
  ] as const)("a caller of %s gets that certificate", async (kind, certificate) => {
    const ciphers = `ECDHE-${kind}-AES128-GCM-SHA256`;
    const answer = await ask("two", { maxVersion: "TLSv1.2", ciphers });
    expect(answer.fingerprint).toBe(fingerprint(certificate));
  });
});

describe("ServerTLSSettings mode MUTUAL with credentialName", () => {
  test.each(["mutual", "separate"] as const)(
    "ca.crt of the same Secret, or cacert of NAME-cacert: %s",
    async (name) => {
      expect(await status(name, client)).toBe(200);
      await expect(ask(name)).rejects.toThrow(refused);
      await expect(ask(name, shows(stranger.issue("client.test")))).rejects.toThrow(refused);
    },
  );

  test("subjectAltNames", async () => {
    await expect(ask("mutual", shows(guest))).rejects.toThrow(refused);
    expect(await status("separate", guest)).toBe(200);
  });

  test("mode OPTIONAL_MUTUAL takes no certificate, and none of another authority unless insecureSkipVerify", async () => {
    const strange = stranger.issue("client.test");
    expect(await status("optional")).toBe(200);
    expect(await status("optional", client)).toBe(200);
    await expect(ask("optional", shows(strange))).rejects.toThrow(refused);
    expect(await status("careless", strange)).toBe(200);
  });

  test("ca.crl: who is in the list is refused", async () => {
    expect(await status("revoking", client)).toBe(200);
    await expect(ask("revoking", shows(revoked))).rejects.toThrow(refused);
  });
});

describe("ServerTLSSettings caCertCredentialName", () => {
  test.each(["instead", "public"] as const)("of a Secret, of a ConfigMap: %s", async (name) => {
    expect(await status(name, client)).toBe(200);
    await expect(ask(name, shows(stranger.issue("client.test")))).rejects.toThrow(refused);
  });
});

describe("ServerTLSSettings verifyCertificateHash and verifyCertificateSpki", () => {
  test.each(["hashed", "keyed"] as const)("of the client's certificate, of its key: %s", async (name) => {
    expect(await status(name, client)).toBe(200);
    await expect(ask(name, shows(guest))).rejects.toThrow(refused);
  });
});

describe("ServerTLSSettings cipherSuites and maxProtocolVersion", () => {
  test("others are not spoken", async () => {
    expect(await ask("old")).toMatchObject({ status: 200, version: "TLSv1.2" });
    await expect(ask("old", { minVersion: "TLSv1.3" })).rejects.toThrow(/protocol version/);
    const ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    await expect(ask("old", { maxVersion: "TLSv1.2", ciphers })).rejects.toThrow(/handshake failure/);
  });
});

describe("ClientTLSSettings credentialName", () => {
  const outside = async (name: string): Promise<number> => {
    const url = `http://${world.addressOf("edge")}:8080/`;
    return (await world.outside.send(url, { host: `${name}.example.com` })).status;
  };

  test("at a gateway, the Secret's authorities say whose servers are taken", async () => {
    expect(await outside("web")).toBe(200);
    expect(await outside("strange")).toBe(503);
    expect(await outside("trusted")).toBe(200);
  });

  test("at a gateway of mode MUTUAL, the Secret's certificate is shown", async () => {
    expect(await outside("shown")).toBe(200);
    expect(world.backends.handshakes.at(-1)).toMatchObject({ pod: "shown-v1-0", caller: "DNS:client.test" });
  });

  test("sidecars follow it where the rule selects them", async () => {
    expect((await world.caller("caller").send("http://chosen:9080/")).status).toBe(200);
    expect(world.backends.handshakes.at(-1)).toMatchObject({ pod: "chosen-v1-0", caller: "DNS:client.test" });
  });

  test("sidecars that no rule selects call in plain text, but know a ConfigMap's authorities", async () => {
    const before = world.backends.handshakes.length;
    expect((await world.caller("caller").send("http://web:9080/")).status).toBe(503);
    expect(world.backends.handshakes).toHaveLength(before);
    expect((await world.caller("caller").send("http://trusted:9080/")).status).toBe(200);
  });
});

describe("a Secret that is not there, or cannot be used", () => {
  const later = authority.issue("later.test");

  test("is served as soon as it comes; until then nobody is let in, and others are", async () => {
    world.apply(gateway("later", 8444, { later: "mode: SIMPLE, credentialName: later", fine: servers.simple }));
    await expect(ask("later", {}, 8444)).rejects.toThrow(refused);
    expect(world.findings("Gateway", "later", "edge")).toEqual([
      "MissingCredential spec.servers[0].tls.credentialName",
    ]);
    expect(await status("simple")).toBe(200);
    world.apply(secret("later", tls(later)), "east");
    await eventually("the new certificate is served", async () => (await ask("later", {}, 8444)).status === 200);
    expect(world.findings("Gateway", "later", "edge")).toEqual([]);
  });

  test.each([
    ["broken", () => world.apply(secret("later", tls({ ...later, key: guest.key })), "east"), "InvalidCredential"],
    ["deleted", () => world.remove("Secret", "later", "edge", "east"), "MissingCredential"],
  ] as const)("the last one goes on when it is %s", async (_what, change, code) => {
    const updates = await world.envoy("edge").sumOf(/sds\.kubernetes:\/\/later\.update_success/);
    change();
    expect(world.findings("Gateway", "later", "edge")).toEqual([`${code} spec.servers[0].tls.credentialName`]);
    // What comes after it on the same stream has arrived.
    const next = authority.issue("simple.test");
    world.apply(secret("simple", tls(next), "edge", "kubernetes.io/tls"), "east");
    await eventually("another Secret is taken", async () => (await ask("simple")).fingerprint === fingerprint(next));
    expect((await ask("later", {}, 8444)).fingerprint).toBe(fingerprint(later));
    expect(await world.envoy("edge").sumOf(/sds\.kubernetes:\/\/later\.update_success/)).toBe(updates);
    expect(world.refused).toEqual([]);
  });

  test("comes back", async () => {
    const again = authority.issue("later.test");
    world.apply(secret("later", tls(again)), "east");
    await eventually("it is served", async () => (await ask("later", {}, 8444)).fingerprint === fingerprint(again));
  });

  test("a Secret of another namespace, and one that nothing names, are not given out", async () => {
    const of = (name: string): string => `mode: SIMPLE, credentialName: ${name}`;
    world.apply(gateway("other", 8445, { private: of("kubernetes://shop/private"), mine: of("simple") }));
    // The listener asks for what it may not have, beside what it may.
    await eventually("it is asked for", async () => {
      const { configs } = JSON.parse(
        await world.envoy("edge").admin("GET", "/config_dump?resource=dynamic_warming_secrets"),
      ) as {
        configs?: readonly { readonly name: string }[];
      };
      return configs?.some(({ name }) => name === "kubernetes://shop/private");
    });
    await expect(ask("private", {}, 8445)).rejects.toThrow(refused);
    world.remove("Gateway", "other", "edge");
  });

  test("a Secret of another namespace is for Gateways that a ReferenceGrant allows it to", async () => {
    const far = authority.issue("far.test");
    const settings = "mode: SIMPLE, credentialName: kubernetes-gateway://shop/far";
    world.apply(gateway("far", 8446, { far: settings }));
    world.apply(secret("far", tls(far), "shop"));
    const grant = (to: string): void =>
      world.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: edge, namespace: shop }
spec:
  from: [{ group: gateway.networking.k8s.io, kind: Gateway, namespace: edge }]
  to: [{ group: "", kind: Secret, name: ${to} }]`);
    grant("other");
    await eventually("it is asked for", async () =>
      (await world.envoy("edge").admin("GET", "/config_dump?resource=dynamic_warming_secrets")).includes("shop/far"),
    );
    await expect(ask("far", {}, 8446)).rejects.toThrow(refused);
    expect(world.findings("Gateway", "far", "edge")).toEqual(["MissingCredential spec.servers[0].tls.credentialName"]);
    grant("far");
    await eventually("it is served", async () => {
      const shown = await ask("far", {}, 8446).catch(() => undefined);
      return shown?.fingerprint === fingerprint(far);
    });
    expect(world.findings("Gateway", "far", "edge")).toEqual([]);
    world.remove("Gateway", "far", "edge");
  });
});

/** Whom a load calls, and the certificate that it shows. */
interface Loaded {
  readonly name: string;
  readonly port: number;
  readonly shown?: Certificate;
}

/** A client that opens a connection every 40 ms, and one that sends requests on one connection as often. */
class Load implements AsyncDisposable {
  readonly failures: string[] = [];
  readonly seen = new Set<string>();
  opened = 0;
  requests = 0;
  readonly #running = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #options: ConnectionOptions;
  readonly #called: Loaded;
  #busy = false;
  #connections = 0;

  constructor(called: Loaded) {
    this.#called = called;
    const { name, port, shown } = called;
    this.#options = shown ? shows(shown) : {};
    const options = { servername: `${name}.test`, ca: [authority.certificate], ...this.#options };
    this.#agent.createConnection = (_options, opened) => {
      this.#connections += 1;
      void world.outside.connect(world.addressOf("edge"), port).then(
        (socket) => opened?.(null, connectTls({ socket, ...options })),
        (fault: unknown) => opened?.(fault as Error, undefined as never),
      );
      return undefined;
    };
    this.#timer = setInterval(() => {
      this.#run(this.#open());
      if (!this.#busy) this.#run(this.#send());
    }, 40);
  }

  /** Connections of the second client. */
  get connections(): number {
    return this.#connections;
  }

  async #open(): Promise<void> {
    const answer = await ask(this.#called.name, this.#options, this.#called.port);
    this.opened += 1;
    this.seen.add(answer.fingerprint);
    if (answer.status !== 200) this.failures.push(`status ${answer.status}`);
  }

  async #send(): Promise<void> {
    this.#busy = true;
    try {
      await new Promise<void>((resolve, reject) => {
        const host = `${this.#called.name}.test`;
        const options = { agent: this.#agent, host, headers: { host }, path: "/" };
        const request = httpsRequest(options, (response) => {
          this.requests += 1;
          if (response.statusCode !== 200) this.failures.push(`long-lived: ${response.statusCode}`);
          response.resume().once("end", resolve).once("error", reject);
        });
        request.once("error", reject).end();
      });
    } finally {
      this.#busy = false;
    }
  }

  #run(work: Promise<void>): void {
    const done = work
      .catch((fault: unknown) => void this.failures.push(String(fault)))
      .finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    this.#agent.destroy();
  }
}

describe("rotation", () => {
  test("new connections get the new certificate, nobody fails, and listeners and clusters stay", async () => {
    const first = authority.issue("load.test");
    world.apply(secret("load", tls(first)), "east");
    world.apply(gateway("load", 8446, { load: "mode: SIMPLE, credentialName: load" }));
    await eventually("it is served", async () => (await ask("load", {}, 8446)).status === 200);
    const changes =
      /^(listener_manager\.listener_(added|modified|removed)|cluster_manager\.cluster_(added|modified|removed))$/;
    const before = await world.envoy("edge").sumOf(changes);
    await using load = new Load({ name: "load", port: 8446 });
    await eventually("both clients are at work", () => load.seen.size === 1 && load.requests > 0);
    const all = [first];
    for (let turn = 0; turn < 5; turn += 1) {
      const next = authority.issue("load.test");
      const { opened } = load;
      world.apply(secret("load", tls(next)), "east");
      await eventually("the new certificate is there", () => load.seen.has(fingerprint(next)));
      await eventually("more connections were opened", () => load.opened >= opened + 10);
      all.push(next);
    }
    expect(load.failures).toEqual([]);
    expect([...load.seen].toSorted()).toEqual(all.map(fingerprint).toSorted());
    expect(load.connections).toBe(1);
    expect(load.requests).toBeGreaterThan(20);
    expect(await world.envoy("edge").sumOf(changes)).toBe(before);
    // The same clients notice when something does break.
    world.remove("Gateway", "load", "edge");
    await eventually("a failure is noticed", () => load.failures.length > 0);
  });

  test("callers' authorities are replaced in steps, and nobody fails who is meant to get in", async () => {
    const [own, next] = [authority.issue("vetted.test"), createAuthority("next authority")];
    const [old, young] = [client, next.issue("client.test")];
    const vouching = async (...all: readonly { readonly certificate: string }[]): Promise<void> => {
      const bundle = all.map(({ certificate }) => certificate).join("");
      world.apply(secret("vetted", tls(own, { "ca.crt": bundle })), "east");
    };
    const vetted = (shown: Certificate) => ({ name: "vetted", port: 8447, shown });
    const gets = (shown: Certificate) => async () => (await ask("vetted", shows(shown), 8447)).status === 200;
    await vouching(authority);
    world.apply(gateway("vetted", 8447, { vetted: "mode: MUTUAL, credentialName: vetted" }));
    await eventually("it is served", gets(old));
    await expect(ask("vetted", shows(young), 8447)).rejects.toThrow(refused);
    const before = new Load(vetted(old));
    await using _before = before;
    await eventually("callers of the first are at work", () => before.opened > 5 && before.requests > 5);
    await vouching(authority, next);
    await eventually("callers of the second get in", gets(young));
    await using after = new Load(vetted(young));
    await eventually("both are at work", () => after.opened > 5 && after.requests > 5);
    expect(before.failures).toEqual([]);
    await vouching(next);
    await eventually("callers of the first do not any more", async () => !(await gets(old)().catch(() => false)));
    const { requests } = before;
    const { opened } = after;
    // Who is in stays in.
    await eventually(
      "connections of before go on",
      () => before.requests > requests + 10 && after.opened > opened + 10,
    );
    expect([before.connections, after.connections, after.failures]).toEqual([1, 1, []]);
    expect(before.failures.every((each) => refused.test(each))).toBe(true);
    // A list that is none changes nothing, and is told.
    world.apply(secret("vetted", tls(own, { "ca.crt": "no certificate" })), "east");
    expect(world.findings("Gateway", "vetted", "edge")).toEqual([
      "InvalidCredential spec.servers[0].tls.credentialName",
    ]);
    expect(await gets(young)()).toBe(true);
    expect(after.failures).toEqual([]);
  });
});
