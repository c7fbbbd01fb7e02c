/** Connections of IPv6 to a workload whose capture leads them to its proxy. */
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { captureIPv6 } from "#runtime/capture6.ts";
import { defaultCapture } from "#runtime/capture.ts";
import { listenInside } from "#runtime/namespace-socket.ts";
import { inside, ipBatch, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { podPorts } from "./backends.ts";
import { Strangers } from "./strangers.ts";
import { World } from "./world.ts";

const [server, untold, client] = ["fd00:10::2", "fd00:10::4", "fd00:10::3"];
const stock = "as spiffe://cluster.local/ns/shop/sa/stock";
/** A port of a service, one of none, and one that is not captured. */
const [named, unnamed, excluded] = [podPorts.http, 7777, 15_020];

let world: World;
let strangers: Strangers;
const resources = new AsyncDisposableStack();

/** An application on both families, which says whence it is called. */
async function serve(name: string): Promise<void> {
  for (const port of [named, unnamed, excluded]) {
    const at = await listenInside(namespacePath(world.namespaceOf(name)), { host: "::", port });
    const app = createServer(({ headers, socket: { remoteAddress } }, response) => {
      response.setHeader("peer", remoteAddress ?? "");
      const uri = headers["x-forwarded-client-cert"];
      if (uri !== undefined) response.setHeader("x-forwarded-client-cert", uri);
      response.end(JSON.stringify({ pod: name, headers }));
    });
    at.on("connection", (socket) => app.emit("connection", socket));
    resources.defer(() => {
      app.closeAllConnections();
      at.close();
    });
  }
}

beforeAll(async () => {
  world = await World.start("six", {
    proxies: [
      { name: "client", identity: "client" },
      { name: "server", labels: { app: "server" }, identity: "server", metadata: { WEFT_IPV6: "true" } },
      { name: "untold", labels: { app: "untold" }, identity: "untold" },
    ],
    services: [{ name: "server", ports: [{ name: "http", port: 80, to: "http" }], servedBy: ["server"] }],
    istio: [],
  });
  for (const [name, address] of Object.entries({ server, untold, client })) {
    const namespace = world.namespaceOf(name);
    await ipBatch(namespace, [`address add ${address}/64 dev eth0 nodad`]);
    if (name === "client") continue;
    await serve(name);
    const led = await captureIPv6((argv) => inside(namespacePath(namespace), argv), defaultCapture);
    if (!led) throw new Error(`connections of IPv6 to ${name} cannot be led to its proxy`);
  }
  strangers = new Strangers(world.caller("client"), world.identities);
});

afterAll(async () => {
  await resources.disposeAsync();
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

const peerOf = async (from: string, host: string, port: number): Promise<string | undefined> => {
  const { headers } = await world.caller(from).send(`http://[${host}]:${port}/`, { fresh: true });
  return headers["peer"];
};

describe("connections of IPv6", () => {
  test.each([named, unnamed])(
    "to port %i come to the application from the proxy, plain ones and mutual TLS",
    async (port) => {
      expect(await peerOf("client", server, port)).toBe("::6");
      expect(await strangers.request("plain", `[${server}]`, port)).toBe("plain");
      expect(await strangers.request("stock", `[${server}]`, port)).toBe(stock);
      expect(await strangers.request("foreign", `[${server}]`, port)).toBe("alert unknown ca");
    },
  );

  test("to a port that is not captured, and the Pod's own, come to the application directly", async () => {
    expect(await peerOf("client", server, excluded)).toBe(client);
    expect(await peerOf("server", server, named)).toBe(server);
    expect(await peerOf("server", "::1", named)).toBe("::1");
  });

  test("to a proxy that was not told of them are refused", async () => {
    for (const port of [named, unnamed]) await expect(peerOf("untold", untold, port)).resolves.toBe(untold);
    for (const port of [named, unnamed]) expect(await strangers.request("plain", `[${untold}]`, port)).toBe("closed");
  });

  test("are refused where they cannot be led to the proxy", async () => {
    const network = namespacePath(world.namespaceOf("client"));
    const without = (argv: readonly [string, ...string[]]) => inside(network, argv[0] === "ip" ? ["false"] : argv);
    await serve("client");
    expect(await peerOf("server", client, named)).toBe(server);
    expect(await captureIPv6(without, defaultCapture)).toBe(false);
    await expect(peerOf("server", client, named)).rejects.toThrow("ECONNREFUSED");
    expect(await peerOf("client", client, named)).toBe(client);
  });

  test("to the proxy's own port are led nowhere", async () => {
    expect(await strangers.request("plain", `[${server}]`, defaultCapture.inboundPort)).toBe("closed");
  });

  test("are subject to STRICT", async () => {
    world.apply(
      "{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: { name: all, namespace: shop }, spec: { mtls: { mode: STRICT } } }",
    );
    for (const port of [named, unnamed]) {
      const refused = async () => (await strangers.request("plain", `[${server}]`, port)) === "closed" || undefined;
      await eventually(`plain text is refused at ${port}`, refused);
      expect(await strangers.request("stock", `[${server}]`, port)).toBe(stock);
    }
    world.remove("PeerAuthentication", "all");
    const taken = async () => (await strangers.request("plain", `[${server}]`, named)) === "plain" || undefined;
    await eventually("plain text is taken again", taken);
  });

  test("are subject to policies by their source", async () => {
    world.apply(
      `{ apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: { name: not-from, namespace: shop },
         spec: { action: DENY, rules: [{ from: [{ source: { ipBlocks: ["${client}/128"] } }] }] } }`,
    );
    const denied = async () =>
      (await world.caller("client").send(`http://[${server}]:${named}/`, { fresh: true })).status === 403 || undefined;
    await eventually("the source is denied", denied);
    world.remove("AuthorizationPolicy", "not-from");
  });
});
