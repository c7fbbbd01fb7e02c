/** Meshes side by side on one machine, run by a management plane that is killed, through the command line. */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { namespace } from "#api/kubernetes/namespace.ts";
import { type Secret, secret } from "#api/kubernetes/secret.ts";
import { configMap } from "#api/kubernetes/config-map.ts";
import { lease } from "#api/kubernetes/lease.ts";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { virtualService } from "#api/istio/virtual-service.ts";
import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import { systemClock } from "#base/clock.ts";
import { freePort } from "#base/free-port.ts";
import { filesOf } from "#discovery/identity/authority-files.ts";
import { readAuthority } from "#identity/authority.ts";
import { issue } from "#identity/issue.ts";
import { makeSigningRequest } from "#identity/signing-request.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { formatKubeconfig, readKubeconfig } from "#kube/kubeconfig.ts";
import { typeUrls } from "#proto/encoded.ts";
import { command } from "#runtime/command.ts";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { eventually } from "../support/eventually.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-meshes-"));
const weft = join(import.meta.dirname, "..", "..", "weft");
const kubeconfig = join(folder, "kubeconfig");
/** The command of another version, as far as the management plane can tell; what it runs is the same. */
const oldWeft = join(folder, "old-weft");
const stack = new AsyncDisposableStack();
const limit = 240_000;
vi.setConfig({ testTimeout: limit });
let port = 0;
let host: Client;
let server: ChildProcess;

function startServer(): void {
  const log = openSync(join(folder, "server.log"), "a");
  const places = ["--store", join(folder, "store.db"), "--run-dir", join(folder, "run"), "--mesh-port", String(port)];
  const meshes = ["--meshes-dir", join(folder, "meshes"), "--meshes-port", String(port + 1), "--meshes-silence", "8s"];
  const args = ["server", ...places, ...meshes, "--release", `0.0.9=${oldWeft}`];
  server = spawn(weft, args, { stdio: ["ignore", log, log] });
}

async function killServer(): Promise<void> {
  server.kill("SIGKILL");
  await once(server, "exit");
}

async function cli(...args: readonly string[]): Promise<string> {
  return command([weft, "mesh", ...args, "--kubeconfig", kubeconfig]);
}

async function mesh(name: string): Promise<Mesh> {
  return host.of<Mesh>(meshKind).get({ name });
}

/** A mesh's API as its management plane reaches it, or with another mesh's credentials at its port. */
async function apiOf(name: string, credentialsOf = name): Promise<Client> {
  const { server: own } = await readKubeconfig(join(folder, "meshes", name, "kubeconfig"));
  const { server: shown } = await readKubeconfig(join(folder, "meshes", credentialsOf, "kubeconfig"));
  const url = (await mesh(name)).status?.api ?? "";
  return new Client(
    stack.use(new Connection({ ...shown, ...(own.ca && { ca: own.ca }), url }, { clock: systemClock })),
  );
}

/** Ids of a mesh's programs, by the command that they run. */
function processes(name: string): ReadonlyMap<string, string> {
  const found = readdirSync("/proc").flatMap((pid): [string, string][] => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const words = readFileSync(join("/proc", pid, "cmdline"), "utf8").split("\0");
      const own = words.some((word) => word.startsWith(join(folder, "meshes", `${name}/`)));
      const kind = words.find((word) => word === "server" || word === "discovery");
      if (!own || kind === undefined || !words[0]?.includes("node")) return [];
      return [[`${kind} ${words[words.indexOf("--revision") + 1] ?? ""}`, pid]];
    } catch {
      return [];
    }
  });
  return new Map(found);
}

beforeAll(async () => {
  port = await freePort();
  writeFileSync(oldWeft, `#!/bin/sh\nexec ${weft} "$@"\n`, { mode: 0o755 });
  const url = `http://127.0.0.1:${port}`;
  const entry = { name: "host", cluster: "host", user: "host", namespace: "default", server: { url } };
  writeFileSync(kubeconfig, formatKubeconfig([entry]));
  host = new Client(stack.use(new Connection({ url }, { clock: systemClock })));
  startServer();
  await eventually("the management plane serves", () => host.of(meshKind).list(), limit);
  const create = (name: string, ...more: readonly string[]): Promise<string> =>
    cli("create", name, "--mesh-version", "0.0.9", "--trust-domain", `${name}.example`, ...more);
  // At once, so that they ask for places at once.
  await Promise.all([create("blue", "--max-objects", "30"), create("green", "--max-proxies", "2")]);
}, limit);

afterAll(async () => {
  const names = readdirSync(join(folder, "meshes"));
  for (const name of names) for (const pid of processes(name).values()) process.kill(Number(pid), "SIGKILL");
  await stack.disposeAsync();
  await killServer();
  rmSync(folder, { recursive: true, force: true });
}, limit);

test("each mesh runs, at ports of its own, with the settings that it was made with", async () => {
  const [blue, green] = [await mesh("blue"), await mesh("green")];
  expect(blue.status).toMatchObject({ state: "RUNNING", design: { stable: { name: "0-0-9", version: "0.0.9" } } });
  expect(new Set([blue, green].flatMap(({ status }) => [status?.api, status?.revisions?.[0]?.xds])).size).toBe(4);
  const own = await (await apiOf("green")).of<Mesh>(meshKind).get({ name: "default" });
  expect(own.spec.trustDomain).toBe("green.example");
  expect([...processes("blue").keys()].toSorted()).toEqual(["discovery 0-0-9", expect.stringMatching(/^server /)]);
});

test("credentials of one mesh are refused by another's API", async () => {
  await expect((await apiOf("green", "blue")).of(namespace).list()).rejects.toMatchObject({ code: "Unauthenticated" });
  await expect((await apiOf("green")).of(namespace).list()).resolves.toBeDefined();
});

test("a control plane and an API that hang are started anew", async () => {
  const before = processes("green");
  for (const pid of before.values()) process.kill(Number(pid), "SIGSTOP");
  await eventually(
    "others have taken their place",
    async () => {
      const now = processes("green");
      for (const [kind, pid] of before) expect(now.get(kind)?.replace(pid, "the old one")).toMatch(/^\d+$/);
      expect((await mesh("green")).status?.conditions).toContainEqual(
        expect.objectContaining({ type: "Ready", status: "True" }),
      );
      return true;
    },
    limit,
  );
});

test("what is written to one mesh is not in another", async () => {
  await (await apiOf("blue")).of(configMap).create({ metadata: { namespace: "default", name: "mine" } });
  const { items } = await (await apiOf("green")).of(configMap).list();
  expect(items.map(({ metadata }) => metadata.name)).not.toContain("mine");
});

/** Why a control plane ends a stream of a workload whose certificate an authority signed. */
async function streamEnd(to: string, authorityOf: string): Promise<string> {
  const secretOf = async (name: string): Promise<Secret> =>
    (await apiOf(name)).of<Secret>(secret).get({ namespace: "istio-system", name: "istio-ca-secret" });
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const names = [`spiffe://${to}.example/ns/shop/sa/web`];
  const now = Date.now();
  const signer = readAuthority(filesOf(await secretOf(authorityOf)), now);
  const { chain } = issue({ csr: makeSigningRequest(keys), names, ttlMs: 600_000, now }, signer);
  const key = keys.privateKey.export({ type: "pkcs8", format: "pem" });
  const roots = Buffer.from(filesOf(await secretOf(to)).roots);
  const channel = credentials.createSsl(roots, Buffer.from(key), Buffer.from(chain.join("")));
  const [address = "", xdsPort] = ((await mesh(to)).status?.revisions?.[0]?.xds ?? "").split(":");
  const options = { "grpc.ssl_target_name_override": "istiod.istio-system.svc" };
  using stream = new DeltaStream({ host: address, port: Number(xdsPort) }, { channel, options });
  stream.ask({
    node: {
      id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
      metadata: { NAMESPACE: "shop", CLUSTER_ID: "east" },
    },
    typeUrl: typeUrls.cluster,
  });
  await eventually("the stream ends", () => stream.ended);
  return `${stream.ended?.code}: ${stream.ended?.details}`;
}

test("a certificate of one mesh is none at another's control plane", async () => {
  // Its own knows the authority, and only then that there is no such account.
  expect(await streamEnd("green", "green")).toBe("16: no cluster of the mesh has the service account shop/web");
  expect(await streamEnd("green", "blue")).toBe("16: the caller shows neither a token nor a certificate of the mesh");
});

test("a mesh takes no more objects than its quota", async () => {
  const entries = (await apiOf("blue")).of(serviceEntry);
  const write = async (index: number): Promise<unknown> =>
    entries.create({ metadata: { namespace: "default", name: `e-${index}` }, spec: { hosts: [`h${index}.example`] } });
  const written = await Promise.allSettled(Array.from({ length: 40 }, (_, index) => write(index)));
  const refused = written.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
  expect(refused.length).toBeGreaterThan(5);
  expect(refused.length).toBeLessThan(40);
  expect(refused[0]).toContain("exceeded quota: there are 30 objects of at most 30");
  await entries.delete({ namespace: "default", name: "e-0" });
  await expect(write(100)).resolves.toBeDefined();
});

test(
  "an upgrade goes on after the management plane was killed, beside the old revision, and can be taken back",
  async () => {
    const before = processes("green");
    await cli("upgrade", "green", "0.1.0", "--percentage", "10", "--no-wait");
    await eventually("it is under way", async () => (await mesh("green")).status?.state === "UPGRADING", limit);
    await killServer();
    expect([...processes("green")]).toEqual(expect.arrayContaining([...before]));
    startServer();
    await eventually("it is done", async () => (await mesh("green")).status?.state === "CANARY_UPGRADED", limit);
    expect([...processes("green").keys()].filter((name) => name.startsWith("discovery")).toSorted()).toEqual([
      "discovery 0-0-9",
      "discovery 0-1-0",
    ]);
    const table = await (await apiOf("green")).of(configMap).get({ namespace: "istio-system", name: "weft-revisions" });
    expect(table["data"]).toMatchObject({ stable: "0-0-9", canary: "0-1-0", percentage: "10" });
    // Only the new revision reads it, and nobody is moved to what finds something wrong that was not there before.
    const lost = { namespace: "default", name: "lost" };
    const routes = (await apiOf("green")).of(virtualService);
    await routes.create({
      metadata: { ...lost, labels: { "istio.io/rev": "0-1-0" } },
      spec: { hosts: ["lost.example"], http: [{ route: [{ destination: { host: "nowhere.example" } }] }] },
    });
    await expect(cli("upgrade", "green", "0.1.0", "--percentage", "20")).rejects.toThrow(
      "it would find anew: UnknownHost VirtualService default/lost",
    );
    await routes.delete(lost);
    await cli("rollback", "green");
    expect(processes("green")).toEqual(before);
  },
  limit,
);

test("a finished upgrade leaves the new revision alone, also from a revision that is dead", async () => {
  await cli("upgrade", "green", "0.1.0");
  expect(await cli("list")).toMatch(/^green +Managed +CANARY_UPGRADED +0\.0\.9 +0\.1\.0 \(0%\)/m);
  const ready = async (): Promise<string | undefined> =>
    (await mesh("green")).status?.conditions?.find(({ type }) => type === "Ready")?.status;
  expect(await ready()).toBe("True");
  writeFileSync(oldWeft, "#!/bin/sh\necho no longer; exit 7\n");
  process.kill(Number(processes("green").get("discovery 0-0-9")), "SIGKILL");
  await eventually("the mesh is not Ready", async () => (await ready()) === "False", limit);
  expect((await mesh("green")).status?.state).toBe("ABNORMAL");
  expect(await cli("finish", "green")).toContain("RUNNING  mesh green");
  expect([...processes("green").keys()].filter((name) => name.startsWith("discovery"))).toEqual(["discovery 0-1-0"]);
  // It was killed, and so took nothing of its own away.
  const own = await apiOf("green");
  const [leases, maps] = await Promise.all([own.of(lease).list(), own.of(configMap).list()]);
  const places = [join(folder, "meshes", "green", "processes"), join(folder, "run", "meshes", "green")];
  const left = [
    ...[...leases.items, ...maps.items].map(({ metadata }) => metadata.name),
    ...places.flatMap((each) => readdirSync(each)),
  ];
  expect(left.some((each) => each.includes("0-1-0"))).toBe(true);
  expect(left.filter((each) => each.includes("0-0-9"))).toEqual([]);
  expect(await cli("get", "green")).toMatch(/^0-1-0 +0\.1\.0 +127\.0\.0\.1:\d+ +0$/m);
  await expect(cli("finish", "green")).rejects.toThrow("no upgrade of the mesh green is under way");
});

test(
  "deleted meshes leave nothing, and another goes on",
  async () => {
    const green = processes("green");
    expect(await cli("delete", "blue")).toContain("mesh blue is gone");
    expect(processes("blue").size).toBe(0);
    expect([existsSync(join(folder, "meshes", "blue")), existsSync(join(folder, "run", "meshes", "blue"))]).toEqual([
      false,
      false,
    ]);
    expect(processes("green")).toEqual(green);
    await expect((await apiOf("green")).of(namespace).list()).resolves.toBeDefined();
    await cli("delete", "green");
    expect(readdirSync(join(folder, "meshes"))).toEqual([]);
    expect(readdirSync(join(folder, "run", "meshes"))).toEqual([]);
  },
  limit,
);
