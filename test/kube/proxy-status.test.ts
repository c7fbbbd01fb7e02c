/** `weft proxy-status` over a mesh's API that asks who its clients are, with control planes beside it and on other machines. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Lease, lease } from "#api/kubernetes/lease.ts";
import { mesh as meshKind } from "#api/weft/mesh.ts";
import { proxyApiName, proxyApiPlace } from "#api/weft/replicas.ts";
import { systemClock as clock } from "#base/clock.ts";
import { freePort } from "#base/free-port.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { hastyClock } from "#base/testing/hasty-clock.ts";
import { operatorCommands } from "#cli/operator.ts";
import { runDiscovery } from "#discovery/discovery.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { apiAddress, formatKubeconfig, readKubeconfig } from "#kube/kubeconfig.ts";
import { typeUrls } from "#proto/encoded.ts";
import { credentialContext } from "#server/credential.ts";
import { runServer } from "#server/server.ts";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-proxy-status-"));
const path = (...names: readonly string[]): string => join(folder, ...names);
const stack = new AsyncDisposableStack();
const stateDir = path("api");
let mesh: Client;

/** A kubeconfig, made by the authority of the API. */
async function kubeconfig(user: string, ...group: readonly string[]): Promise<string> {
  const server = `https://127.0.0.1:${port}`;
  const wanted = { stateDir, server, user, group, days: 1, namespace: "default" };
  const file = path(`${user.replaceAll(":", "-")}.kubeconfig`);
  writeFileSync(file, formatKubeconfig([await credentialContext("mesh", wanted, clock)]));
  return file;
}
let port = 0;

async function weft(user: string, ...args: readonly string[]): Promise<string> {
  const said: string[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => said.push(String(text)) > 0);
  try {
    const program = new Command("weft").exitOverride().configureOutput({ writeErr: () => undefined });
    operatorCommands(program);
    await program.parseAsync([...args, "--kubeconfig", path(`${user}.kubeconfig`)], { from: "user" });
    return said.join("");
  } finally {
    write.mockRestore();
  }
}

/** A control plane that serves one proxy. */
async function plane(replica: string, folderOfIt: string, statusSocket: string, elsewhere: boolean) {
  mkdirSync(folderOfIt, { recursive: true });
  const own = new AsyncDisposableStack();
  const more = { replica, statusSocket, ...(elsewhere && { statusAddress: { host: "127.0.0.1", port: 0 } }) };
  own.use(
    startDiscovery({ url: () => path("system-weft-discovery.kubeconfig") }, folderOfIt, more, logger, hastyClock(5)),
  );
  const node = {
    id: `sidecar~10.0.0.1~page-${replica}.shop~shop.svc.cluster.local`,
    metadata: { NAMESPACE: "shop", CLUSTER_ID: "east" },
  };
  const stream = await eventually(`${replica} serves`, async () => {
    const one = new DeltaStream({ socketPath: join(folderOfIt, "ads.sock") });
    one.ask({ typeUrl: typeUrls.cluster, node });
    await eventually("it answers", () => one.responses.length > 0 || one.ended !== undefined);
    return one.ended ? undefined : one;
  });
  stream.ask({ typeUrl: typeUrls.cluster, responseNonce: stream.responses[0]!.nonce });
  own.use(stream);
  return own;
}

const listed = async (): Promise<readonly string[]> => {
  const proxies = JSON.parse(await weft("admin", "proxy-status", "-o", "json")) as readonly {
    readonly proxy: string;
  }[];
  return proxies.map(({ proxy }) => proxy);
};

let away: AsyncDisposableStack;

beforeAll(async () => {
  port = await freePort();
  mkdirSync(path("run"));
  const stop = new AbortController();
  await kubeconfig("admin", "system:masters");
  await kubeconfig("system:weft:discovery");
  await kubeconfig("nobody");
  const options = {
    store: path("store.db"),
    stateDir,
    runDir: path("run"),
    meshPort: port,
    embedded: [],
    version: "0",
  };
  const running = runServer({ ...options, access: {} }, { clock, logger }, stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running.catch(() => undefined);
  });
  const { server } = await readKubeconfig(path("admin.kubeconfig"));
  mesh = new Client(stack.use(new Connection(server, { clock })));
  await eventually("the API serves", async () => mesh.of(meshKind).list());
  await mesh.of(meshKind).create({ metadata: { name: "default" }, spec: {} });
  stack.use(await plane("here", path("here"), path("run", "discovery-here.sock"), false));
  away = stack.use(await plane("away", path("away"), path("away", "discovery.sock"), true));
});
afterAll(async () => {
  await stack.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

test("proxies of all control planes are shown, those of other machines too", async () => {
  await eventually("both are there", async () => (await listed()).join() === "page-away.shop,page-here.shop");
  expect(await weft("admin", "proxy-status")).toMatch(/^page-away\.shop +east +SYNCED/m);
  const table = await mesh.json<{ kind: string; rows: readonly unknown[] }>({
    method: "GET",
    path: "/apis/status.mesh.weft.dev/v1alpha1/proxies",
    accept: "application/json;as=Table;g=meta.k8s.io;v=v1",
  });
  expect([table.kind, table.rows.length]).toEqual(["Table", 2]);
  const one = "/apis/status.mesh.weft.dev/v1alpha1/namespaces/shop/proxies/page-away.east";
  expect(await mesh.json({ method: "GET", path: one })).toMatchObject({ spec: { pod: "page-away" } });
  await expect(mesh.json({ method: "GET", path: `${one}x` })).rejects.toMatchObject({ code: "NotFound" });
});

test("who may not read the mesh is told of none", async () => {
  await expect(weft("nobody", "proxy-status")).rejects.toMatchObject({ code: "PermissionDenied" });
});

test("a control plane tells nobody but the mesh's API servers", async () => {
  const found = await mesh.of<Lease>(lease).get({ namespace: "istio-system", name: "weft-discovery-away" });
  const place = proxyApiPlace(found)!;
  const [host = "", at = ""] = place.address.split(":");
  const ask = async (credential: { readonly cert?: string; readonly key?: string }): Promise<number> =>
    new Promise((resolve, reject) => {
      const tls = { ca: place.authority, servername: proxyApiName, ...credential, agent: false };
      request({ host, port: at, path: "/apis/status.mesh.weft.dev/v1alpha1/proxies", ...tls }, (response) =>
        resolve(response.resume().statusCode ?? 0),
      )
        .once("error", reject)
        .end();
    });
  const { certificate = "", key = "" } = await apiAddress(path("admin.kubeconfig"));
  expect(await ask({ cert: certificate, key })).toBe(403);
  await expect(ask({})).rejects.toThrow(/certificate required|ECONNRESET|hang up|EPIPE/i);
});

test("one that is gone is left out, and one that cannot be reached is told of", async () => {
  await away.disposeAsync();
  await eventually("the other's is left", async () => (await listed()).join() === "page-here.shop");
  const spec = {
    holderIdentity: "lost",
    leaseDurationSeconds: 15,
    renewTime: new Date().toISOString().replace("Z", "000Z"),
  };
  const metadata = {
    namespace: "istio-system",
    name: "weft-discovery-lost",
    labels: { "mesh.weft.dev/replica-of": "discovery" },
    annotations: {
      "mesh.weft.dev/proxy-api": JSON.stringify({ address: `127.0.0.1:${await freePort()}`, authority: "" }),
    },
  };
  await mesh.of<Lease>(lease).create({ metadata, spec });
  const { headers } = await mesh.connection.send({
    method: "GET",
    path: "/apis/status.mesh.weft.dev/v1alpha1/proxies",
  });
  expect(headers["warning"]).toContain("the control plane lost at 127.0.0.1:");
  expect(await listed()).toEqual(["page-here.shop"]);
});

test("an address without what it needs is refused", async () => {
  const options = {
    meshApi: path("admin.kubeconfig"),
    mesh: "default",
    xds: [],
    statusSocket: path("no.sock"),
    startLimitMs: 1,
    version: "0.0.0",
  };
  const run = async (host: string, more: object): Promise<void> =>
    runDiscovery({ ...options, statusAddress: { host, port: 0 }, ...more }, { clock, logger }, AbortSignal.abort());
  await expect(run("127.0.0.1", {})).rejects.toThrow("needs --replica");
  await expect(run("0.0.0.0", { replica: "a" })).rejects.toThrow("the address by which API servers reach this machine");
  const plain = { replica: "a", meshApi: "http://127.0.0.1:1" };
  await expect(run("127.0.0.1", plain)).rejects.toThrow("certificate-authority-data");
});
