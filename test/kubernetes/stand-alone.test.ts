/** A mesh whose control plane a management plane runs in a cluster of its users, from its making to its end, while that is killed at each step. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { freePort } from "#base/free-port.ts";
import { weftProgram } from "#cli/service.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { command } from "#runtime/command.ts";
import { eventually } from "../support/eventually.ts";
import { Daemon } from "./daemon.ts";
import { inventoryOf } from "./inventory.ts";
import { namespaceOf, patience, RevisionWorld, serviceOf, store } from "./revision-world.ts";

const limit = 400_000;
const resources = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "weft-stand-alone-"));
const kubeconfig = join(folder, "kubeconfig");
let world: RevisionWorld;
let host: Client;
let plane: Daemon;
let before: readonly string[];

const kubectl = (line: string | readonly string[]): Promise<string> => world.kubectl(line);
const cli = (...args: readonly string[]): Promise<string> =>
  command([weftProgram, "mesh", ...args, "--kubeconfig", kubeconfig]);
const mesh = (name: string): Promise<Mesh> => host.of<Mesh>(meshKind).get({ name });

const homeFlags = (): readonly string[] => [
  `--stand-alone=${world.kubeconfig}`,
  "--cluster=one",
  "--image-pull-policy=Never",
  `--store=${store}`,
  "--replicas=1",
  "--members=NodePort",
];

/** Waits until a mesh is in a state. */
async function becomes(name: string, state: string): Promise<void> {
  const seen = async (): Promise<boolean> => {
    const { status } = await mesh(name);
    return status?.state === state && status.operation === undefined;
  };
  try {
    await eventually(`mesh ${name} is ${state}`, seen, limit / 2);
  } catch (fault) {
    const told = await kubectl("get pods,deployments -n istio-system -o wide");
    throw new Error(`${JSON.stringify((await mesh(name)).status)}\n${told}\n${plane.log}`, { cause: fault });
  }
}

/** Where a watch begins that is to tell all that happens to meshes from now on. */
const now = async (): Promise<string> => (await host.of<Mesh>(meshKind).list()).resourceVersion;

/** Says which step of what is done with a mesh has begun. */
function stepOf({ status }: Mesh): string | undefined {
  const { operation } = status ?? {};
  const step = operation?.steps.find(({ state }) => state === "Begun")?.name;
  return step === undefined ? undefined : `${operation?.kind} ${step}`;
}

/**
 * Kills the management plane as soon as each step of what is done with a mesh has begun, and starts it again, until told to stop.
 * @param since where to begin: a step may be over before a look at the mesh, and is told by a watch all the same.
 */
function killAtSteps(name: string, since: string): { readonly stop: () => Promise<readonly string[]> } {
  const stopped = new AbortController();
  const killed: string[] = [];
  let resourceVersion = since;
  /** Follows meshes until a step has begun at which it was not killed. */
  async function next(): Promise<string | undefined> {
    for await (const event of host.of<Mesh>(meshKind).watch({ resourceVersion }, stopped.signal)) {
      ({ resourceVersion } = event.kind === "bookmark" ? event : event.object.metadata);
      if (event.kind !== "put" || event.object.metadata.name !== name) continue;
      const step = stepOf(event.object);
      if (step !== undefined && !killed.includes(step)) return step;
    }
    return undefined;
  }
  const done = (async () => {
    while (!stopped.signal.aborted) {
      // Fails while the management plane is away, and goes on where it was.
      const step = await next().catch((error: unknown) => {
        if (codeOf(error) === "Gone") throw error;
        return undefined;
      });
      if (step !== undefined) {
        killed.push(step);
        await plane.stop("SIGKILL");
        plane.start();
      }
      await systemClock.sleep(20);
    }
  })();
  return {
    stop: async () => {
      stopped.abort();
      await done;
      return killed;
    },
  };
}

/** Makes the injected workload anew, and waits until it serves. */
async function rollOut(): Promise<void> {
  await kubectl("rollout restart deployment details -n orders");
  await kubectl("rollout status deployment details -n orders --timeout=3m");
}

const revisionOfPod = async (): Promise<string> =>
  kubectl([
    ..."get pods -n orders -l app=details --field-selector=status.phase=Running -o".split(" "),
    "jsonpath={.items[*].metadata.annotations.istio\\.io/rev}",
  ]);

beforeAll(async () => {
  world = resources.use(await RevisionWorld.start("alone"));
  before = await inventoryOf(kubectl);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(
    kubeconfig,
    formatKubeconfig([{ name: "host", cluster: "host", user: "host", namespace: "default", server: { url } }]),
  );
  host = new Client(resources.use(new Connection({ url }, { clock: systemClock })));
  const places = ["--store", join(folder, "store.db"), "--run-dir", join(folder, "run"), "--mesh-port", String(port)];
  const images = ["0.0.9", "0.1.0"].map((version) => `--mesh-image=${version}=${world.image}`);
  const argv = [weftProgram, "server", ...places, ...images] as const;
  plane = resources.use(new Daemon({ name: "management plane", argv: [...argv], log: join(folder, "plane.log") }));
  plane.start();
  await eventually("the management plane serves", () => host.of(meshKind).list(), 60_000);
}, limit);

afterAll(async () => {
  await resources.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

test(
  "is made though its management plane is killed at each step, and injects",
  async () => {
    const since = await now();
    await cli("create", "shop", ...homeFlags(), "--mesh-version=0.0.9", "--trust-domain=shop.example", "--no-wait");
    const kills = killAtSteps("shop", since);
    await becomes("shop", "RUNNING");
    const killed = await kills.stop();
    expect(killed).toEqual(expect.arrayContaining(["Create space", "Create api", "Create await default"]));
    await world.kubectl(
      "apply -f -",
      namespaceOf("orders", { "istio-injection": "enabled" }),
      serviceOf("orders", "details"),
      world.deployment("orders", "details"),
    );
    await kubectl("rollout status deployment details -n orders --timeout=3m");
    expect(await revisionOfPod()).toBe("default");
    const services = "get services -n istio-system weft-members-api weft-members-istiod -o";
    expect(await kubectl(`${services} jsonpath={.items[*].spec.type}`)).toBe("NodePort NodePort");
    const ports = (await kubectl(`${services} jsonpath={.items[*].spec.ports[0].nodePort}`)).split(" ");
    const container = "jsonpath={.spec.template.spec.containers[0]}";
    const told = ["weft-server", "istiod"].map((name) =>
      kubectl(`get deployment ${name} -n istio-system -o ${container}`),
    );
    expect(await told[0]).toContain(`--members-port=${ports[0]}`);
    expect(await told[1]).toContain(`--members-xds-port=${ports[1]}`);
    expect(await kubectl("get virtualservices -A")).toBe("");
    await eventually("its proxy is counted", async () => (await mesh("shop")).status?.revisions?.[0]?.proxies === 1);
  },
  limit,
);

test("has the settings that its object says", async () => {
  await host
    .of<Mesh>(meshKind)
    .patch({ name: "shop" }, { kind: "merge", body: { spec: { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } } } });
  const own = "exec -n istio-system deployment/istiod -- weft get meshes default -o json --kubeconfig";
  await eventually(
    "the mesh's own API has it",
    async () => {
      const text = await kubectl(`${own} /etc/weft/mesh/kubeconfig`);
      const { spec } = JSON.parse(text) as Mesh;
      expect(spec).toMatchObject({ trustDomain: "shop.example", outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });
      return true;
    },
    120_000,
  );
  await becomes("shop", "RUNNING");
});

test("is the only one of its cluster, and nobody installs another by hand", async () => {
  const failed = cli("create", "other", ...homeFlags(), "--timeout=60");
  await expect(failed).rejects.toThrow("the cluster has a control plane already, that of the mesh shop");
  await cli("delete", "other");
  const flags = ["install", `--image=${world.image}`, "--cluster=one", `--store=${store}`];
  expect((await world.weft(...flags)).stderr).toContain("as its mesh shop: weft mesh upgrade shop");
  expect((await world.weft("uninstall")).stderr).toContain("as its mesh shop");
  await becomes("shop", "RUNNING");
});

test(
  "is upgraded by a second revision, and goes back, though its management plane is killed at each step",
  async () => {
    const kills = killAtSteps("shop", await now());
    await cli("upgrade", "shop", "0.1.0", "--no-wait");
    await becomes("shop", "CANARY_UPGRADED");
    await eventually("a share is asked for", async () =>
      cli("upgrade", "shop", "0.1.0", "--percentage=100", "--no-wait"),
    );
    await eventually("all follow", async () => (await mesh("shop")).status?.design?.percentage === 100, patience);
    await rollOut();
    expect((await revisionOfPod()).split(" ")).toContain("0-1-0");
    expect(await kubectl("get services -n istio-system -o name")).toContain("weft-members-istiod-0-1-0");
    await eventually("a rollback is asked for", async () => cli("rollback", "shop", "--no-wait"));
    await eventually(
      "the namespace is back",
      async () => (await kubectl("get namespace orders -o jsonpath={.metadata.labels}")).includes("istio-injection"),
      patience,
    );
    await rollOut();
    await becomes("shop", "RUNNING");
    expect(await revisionOfPod()).toBe("default");
    expect(await kills.stop()).toEqual(expect.arrayContaining(["Upgrade start 0-1-0", "Rollback drain 0-1-0"]));
    expect(await kubectl("get deployments,services -n istio-system -o name")).not.toContain("istiod-0-1-0");
  },
  limit,
);

test(
  "is moved to another version for good",
  async () => {
    await cli("upgrade", "shop", "0.1.0", "--at-once", "--no-wait");
    const tag = "get mutatingwebhookconfigurations -l istio.io/tag=default -o jsonpath={.items[*].metadata.labels}";
    await eventually(
      "new Pods are injected by the new one",
      async () => (await kubectl(tag)).includes("0-1-0"),
      patience,
    );
    await rollOut();
    await becomes("shop", "RUNNING");
    expect(await revisionOfPod()).toBe("0-1-0");
    expect((await mesh("shop")).status?.design?.stable).toEqual({ name: "0-1-0", version: "0.1.0" });
    expect(await kubectl("get deployments -n istio-system -o name")).not.toMatch(/istiod$/m);
  },
  limit,
);

test(
  "goes without a trace though its management plane is killed at each step",
  async () => {
    await kubectl("delete namespace orders");
    const kills = killAtSteps("shop", await now());
    await cli("delete", "shop", "--yes", "--no-wait");
    await eventually(
      "it is gone",
      async () => (await host.of(meshKind).find({ name: "shop" })) === undefined,
      patience,
    );
    expect(await kills.stop()).toEqual(expect.arrayContaining(["Delete end-api"]));
    await eventually(
      "nothing is left",
      async () => {
        expect(await inventoryOf(kubectl)).toEqual(before);
        return true;
      },
      120_000,
    );
  },
  limit,
);
