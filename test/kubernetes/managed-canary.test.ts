/** The canary of a mesh whose control planes a management plane runs, under load from Pods of a real node. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isAmong } from "#api/weft/revisions.ts";
import { systemClock } from "#base/clock.ts";
import { weftProgram } from "#cli/service.ts";
import { weftVersion } from "#cli/version.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { RevisionStatus } from "#server/meshes/revision-status.ts";
import { eventually } from "../support/eventually.ts";
import { flags } from "./control-plane.ts";
import { Daemon, whileRunning } from "./daemon.ts";
import { namespaceOf, patience, RevisionWorld, routeOf, serviceOf, strictMesh } from "./revision-world.ts";
import { folderPrefix } from "./run.ts";
import { between, failures, type LoadState } from "./shop.ts";

const firstPort = 20_000;
const old = "0.0.9";
const [oldRevision, newRevision] = [old, weftVersion()].map((version) => version.replaceAll(".", "-"));
const targets = { ratings: "stock", details: "orders" } as const;
const workloads = Object.entries(targets) as readonly (readonly ["ratings" | "details", string])[];
const services = Object.keys(targets);
const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}managed-`));
const hostKubeconfig = join(folder, "host.kubeconfig");
const meshKubeconfig = join(folder, "meshes", "shop", "kubeconfig");
const resources = new AsyncDisposableStack();
let world: RevisionWorld;
let server: Daemon;
let begun: LoadState;

async function weft(args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, KUBECONFIG: "" }, timeout: patience };
    const child = execFile(weftProgram, [...args], options, (error, stdout, stderr) =>
      error
        ? reject(new Error(`weft ${args.join(" ")}: ${stdout}${stderr}${server.log.slice(-3000)}`))
        : resolve(stdout),
    );
    child.stdin?.end(input);
  });
}

const mesh = async (...args: readonly string[]): Promise<string> =>
  weft(["mesh", ...args, "--kubeconfig", hostKubeconfig]);

/** What each of a revision's control planes that answer tells of its proxies. */
async function tellers(revision: string): Promise<readonly (readonly string[])[]> {
  const sockets = [revision, `${revision}.2`].map((replica) => `discovery-${replica}.sock`);
  const told = sockets.map(async (socket) => {
    using status = new RevisionStatus(join(folder, "meshes-run", "meshes", "shop", socket), systemClock);
    return (await status.proxies()).map(({ proxy }) => proxy);
  });
  return (await Promise.allSettled(told)).flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
}

/** Proxies that a revision serves, as NAMESPACE/POD without what is made up. */
async function servedBy(revision: string): Promise<readonly string[]> {
  return (await tellers(revision)).flatMap((each) => each.map((proxy) => proxy.replace(/\/(\w+).*/, "/$1"))).toSorted();
}

/** Process ids of a control plane of the mesh. */
function pidsOf(replica: string): readonly number[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const words = readFileSync(join("/proc", pid, "cmdline"), "utf8").split("\0");
      const own = words.some((word) => word.startsWith(join(folder, "meshes/")));
      return own && words[0]?.includes("node") && words[words.indexOf("--replica") + 1] === replica
        ? [Number(pid)]
        : [];
    } catch {
      return [];
    }
  });
}

async function areServed(revision: string | undefined, proxies: readonly string[]): Promise<void> {
  try {
    await eventually(
      `revision ${revision} serves ${proxies.join(", ")}`,
      async () => {
        expect(await servedBy(revision ?? "")).toEqual(proxies);
        return true;
      },
      60_000,
    );
  } catch (fault) {
    throw new Error(`the agent: ${await world.agentLog()}`, { cause: fault });
  }
}

const processes = async (): Promise<readonly string[]> =>
  (await Promise.all(Object.values(targets).map(async (namespace) => world.processes(namespace)))).flat();
const isUnhurt = async (): Promise<void> => expect(await world.harm("stock", services, begun)).toEqual([]);

/** Ends what the management plane has left running. */
function killAll(): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const line = readFileSync(join("/proc", pid, "cmdline"), "utf8");
      if (line.includes(join(folder, "meshes/"))) process.kill(Number(pid), "SIGKILL");
    } catch {
      // It is gone.
    }
  }
}

beforeAll(async () => {
  world = resources.use(await RevisionWorld.start("managed"));
  const host = await world.network.add("the management plane");
  const oldWeft = join(folder, "old-weft");
  writeFileSync(oldWeft, `#!/bin/sh\nexec ${weftProgram} "$@"\n`, { mode: 0o755 });
  const argv = inside(namespacePath(host.namespace), [
    weftProgram,
    "server",
    "--secure",
    ...flags({
      store: join(folder, "store.db"),
      "run-dir": join(folder, "meshes-run"),
      "mesh-port": 16_400,
      address: host.address,
      "meshes-dir": join(folder, "meshes"),
      "meshes-port": firstPort,
      "meshes-replicas": 2,
      release: `${old}=${oldWeft}`,
    }),
  ]);
  resources.defer(() => {
    killAll();
    rmSync(folder, { recursive: true, force: true });
  });
  server = resources.use(new Daemon({ name: "weft server", argv, log: join(folder, "server.log") }).start());
  const socket = `unix://${join(folder, "meshes-run", "api-mesh.sock")}`;
  await whileRunning([server], "the management plane has its keys", async () => {
    const who = [
      "--user",
      "admin",
      "--group",
      "system:masters",
      "--server",
      socket,
      "--state-dir",
      join(folder, "api"),
    ];
    const text = await weft(["credentials", "mesh", ...who]).catch(() => "");
    if (text === "") return false;
    writeFileSync(hostKubeconfig, text, { mode: 0o600 });
    return true;
  });
  await eventually("its API answers", async () => mesh("list"), 60_000);
  await mesh("create", "shop", "--mesh-version", old);
  const member = join(folder, "one.kubeconfig");
  writeFileSync(member, world.cluster.kubeconfig(), { mode: 0o600 });
  const join_ = ["cluster", "add", "one", "--kubeconfig", member, "--server", world.cluster.internalUrl];
  await weft([...join_, "--mesh-kubeconfig", meshKubeconfig]);
  const own = ["orders", "stock"].map((name) => namespaceOf(name, {}));
  const routes = workloads.map(([name, namespace]) => routeOf(namespace, name));
  const values = {
    global: {
      imagePullPolicy: "Never",
      proxy: { image: world.image },
      proxy_init: { image: world.image },
      multiCluster: { clusterName: "one" },
    },
  };
  const injector = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: "istio-system", name: `istio-sidecar-injector-${oldRevision}` },
    data: { values: JSON.stringify(values) },
  };
  const objects = [...own, strictMesh, injector, ...routes].map((each) => JSON.stringify(each)).join("\n---\n");
  await weft(["apply", "--kubeconfig", meshKubeconfig, "--filename", "-"], objects);
  await world.agents("--xds", `${host.address}:${firstPort + 1}`);
  await world.kubectl(
    "apply -f -",
    ...["orders", "stock"].map((name) => namespaceOf(name, { "mesh.weft.dev/sidecar": "node" })),
    ...workloads.flatMap(([name, namespace]) => [serviceOf(namespace, name), world.deployment(namespace, name)]),
  );
  for (const [name, namespace] of workloads)
    await world.kubectl(`rollout status deployment ${name} -n ${namespace} --timeout=3m`);
  await areServed(oldRevision, ["orders/details", "stock/ratings"]);
  const urls = workloads.map(([name, namespace]) => [name, `http://${name}.${namespace}:9080/${name}/time-machine`]);
  await world.kubectl("apply -f -", world.loadPod("stock", Object.fromEntries(urls)));
  await world.loadIsJoined("stock", services);
  begun = await world.load("stock");
}, 600_000);
afterAll(() => resources.disposeAsync());

const all = ["orders/details", "stock/load", "stock/ratings"];

test("its cluster serves the mesh's Istio objects, and its Pods are injected by a revision that a namespace names", async () => {
  await eventually(
    "kubectl reads what was written in the mesh",
    async () => (await world.kubectl("get virtualservices.networking.istio.io -A -o name")).includes("/ratings"),
    60_000,
  );
  const inside = namespaceOf("inside", { "istio.io/rev": oldRevision ?? "" });
  await world.kubectl("apply -f -", inside, serviceOf("inside", "details"), world.deployment("inside", "details"));
  await world.kubectl("rollout status deployment details -n inside --timeout=3m");
  await areServed(oldRevision, ["inside/details", ...all]);
  await world.kubectl("delete namespace inside --wait");
  await areServed(oldRevision, all);
});

test("each of the two control planes of a revision is killed, and no request fails", async () => {
  const replicas = [`${oldRevision}`, `${oldRevision}.2`];
  for (const replica of replicas) {
    const [pid] = pidsOf(replica);
    expect(pid).toBeDefined();
    process.kill(pid ?? 0, "SIGKILL");
    await areServed(oldRevision, all);
    await eventually("another is started in its place", () => pidsOf(replica).some((other) => other !== pid), 60_000);
    await eventually("both serve", async () => (await tellers(oldRevision ?? "")).length === 2, 60_000);
  }
  await areServed(oldRevision, all);
  await isUnhurt();
});

test("a share of the namespaces follows the canary, without a restart, and goes back", async () => {
  const before = await processes();
  const shares = Array.from({ length: 100 }, (_, index) => index + 1);
  const share = shares.find((each) => isAmong("stock", each) || isAmong("orders", each)) ?? 100;
  await mesh("upgrade", "shop", weftVersion(), "--percentage", String(share));
  const moved = all.filter((each) => isAmong(each.split("/")[0] ?? "", share));
  await areServed(newRevision, moved);
  await areServed(
    oldRevision,
    all.filter((each) => !moved.includes(each)),
  );
  await mesh("upgrade", "shop", weftVersion(), "--percentage", "100");
  await areServed(newRevision, all);
  await mesh("rollback", "shop");
  await areServed(oldRevision, all);
  expect(await processes()).toEqual(before);
  await isUnhurt();
});

test("an upgrade is finished: the old revision ends, and new Pods get their certificates of the other", async () => {
  const before = await processes();
  await mesh("upgrade", "shop", weftVersion(), "--percentage", "100");
  await mesh("finish", "shop");
  await areServed(newRevision, all);
  expect(await mesh("get", "shop")).not.toContain(`${oldRevision} `);
  expect(await processes()).toEqual(before);
  await world.kubectl("scale deployment ratings -n stock --replicas=2");
  await world.kubectl("rollout status deployment ratings -n stock --timeout=2m");
  await areServed(newRevision, [...all, "stock/ratings"]);
  await systemClock.sleep(2000);
  await isUnhurt();
});

test("the load notices what breaks", async () => {
  const before = await world.load("stock");
  const abort = { abort: { percentage: { value: 10 }, httpStatus: 503 } };
  const broken = JSON.stringify(routeOf("stock", "ratings", abort));
  await weft(["apply", "--kubeconfig", meshKubeconfig, "--filename", "-"], broken);
  const failed = async (): Promise<boolean> =>
    (failures(between(before, await world.load("stock"), "ratings").outcomes)["503"] ?? 0) > 0;
  await eventually("some fail", failed, patience);
});
