import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type SidecarUpgrade, type SidecarUpgradeSpec, sidecarUpgrade } from "#api/weft/sidecar-upgrade.ts";
import type { KindClient } from "#kube/client.ts";
import { NodeWorld } from "../agent/node-world.ts";
import { eventually } from "../support/eventually.ts";
import { loadPorts } from "./load.ts";

let world: NodeWorld;
let upgrades: KindClient<SidecarUpgrade>;

const names = ["one", "two", "three", "four"] as const;
const [old, slow, lesser, stuck] = ["1.37.0", "9.0.1", "9.0.2", "9.0.3"];
const [delayed, hung] = ["waits.percent", "hangs.percent"];

/** A folder that proxies can read. */
const open = mkdtempSync(join(tmpdir(), "weft-waves-"));

const envoyOf = (version: string): string =>
  execFileSync(process.execPath, ["setup/program.ts", "envoy", version], { encoding: "utf8" }).trim();

/** An Envoy that calls itself another version, and is run by a script of its own for traffic; `$real` is the program. */
function altered(version: string, run: string): string {
  const path = join(world.root, version);
  const real = join(open, "envoy");
  const name = `echo "envoy  version: 0a/${version}/Clean/RELEASE/BoringSSL"`;
  writeFileSync(
    path,
    `#!/bin/sh\nreal=${real}\ncase "$*" in --version) ${name} ;; *--mode*|--hot-restart-version) exec $real "$@" ;; *) ${run} ;; esac\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

/** A list of Envoys: a real one, one in which each request waits, one in which it waits longer than callers do, and one that knows less than its configuration has. */
function catalog(): string {
  chmodSync(open, 0o777);
  copyFileSync(envoyOf("1.40.0"), join(open, "envoy"));
  chmodSync(join(open, "envoy"), 0o755);
  const sed = (key: string) => `sed 's/"overload.global_downstream_max_connections"/"${key}": 100, &/' "$2" > $f`;
  const run = (name: string, key: string) => `f=${open}/${name}.$$; ${sed(key)}; shift 2; exec $real -c $f "$@"`;
  const programs = {
    [old]: envoyOf(old),
    [slow]: altered(slow, run("slow", delayed)),
    [stuck]: altered(stuck, run("stuck", hung)),
    [lesser]: altered(lesser, 'exec $real "$@" --disable-extensions envoy.filters.http/envoy.filters.http.fault'),
  };
  const hash = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
  const entries = Object.entries(programs).map(([name, program]) => [name, { program, sha256: hash(program) }]);
  const file = join(world.root, "envoys.json");
  writeFileSync(file, JSON.stringify(Object.fromEntries(entries)));
  return file;
}

const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "server", namespace: "shop" },
  spec: { selector: { app: "server" }, ports: [{ name: "http", port: loadPorts.http1 }] },
};

/** Requests to sidecars wait so long in as many percent of cases as their Envoy's own settings say, which is none unless told. */
const waits = (name: string, key: string, delay: string) => ({
  apiVersion: "networking.istio.io/v1alpha3",
  kind: "EnvoyFilter",
  metadata: { name, namespace: "shop" },
  spec: {
    configPatches: [
      {
        applyTo: "HTTP_FILTER",
        match: {
          context: "SIDECAR_INBOUND",
          listener: { filterChain: { filter: { name: "envoy.filters.network.http_connection_manager" } } },
        },
        patch: {
          operation: "INSERT_FIRST",
          value: {
            name,
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
              delay: { fixed_delay: delay, percentage: { numerator: 0 } },
              delay_percent_runtime: key,
            },
          },
        },
      },
    ],
  },
});

/** A Pod outside the mesh that asks all sidecars. */
async function asker() {
  const pods = await Promise.all(names.map(async (name) => world.pods.get({ namespace: "shop", name })));
  const addresses = pods.map(({ status }) => status?.podIP ?? "").join(" ");
  const manifest = podManifest("asker", `asker-main.ts ${addresses}`);
  return { ...manifest, metadata: { name: "asker", namespace: "plain" } };
}

function podManifest(name: string, script: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "shop",
      labels: { app: "server" },
      annotations: { "proxy.istio.io/config": "drainDuration: 1s" },
    },
    spec: {
      nodeName: world.node,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "app", image: "test/sh", args: [`exec node test/upgrade/${script}`] }],
    },
  };
}

async function begin(name: string, spec: SidecarUpgradeSpec): Promise<void> {
  await upgrades.create({ metadata: { name }, spec });
}

async function until(name: string, check: (status: NonNullable<SidecarUpgrade["status"]>) => boolean) {
  const look = async () => {
    const { status = {} } = await upgrades.get({ name });
    if (!check(status)) throw new Error(JSON.stringify(status));
    return status;
  };
  return eventually(`the upgrade ${name}`, look, 60_000);
}

const inPhase = (phase: string) => (status: { readonly phase?: string }) => status.phase === phase;

const version = async (name: string): Promise<string> => {
  const { text } = await world.ask(`/proxy/shop/${name}/15000/server_info`);
  return (JSON.parse(text) as { version: string }).version.split("/")[1] ?? "";
};

beforeAll(async () => {
  world = await NodeWorld.start();
  upgrades = world.client.of<SidecarUpgrade>(sidecarUpgrade);
  world.envoys = catalog();
  world.startAgent();
  await world.create(service);
  await world.create(waits("waits", delayed, "0.500s"));
  await world.create(waits("hangs", hung, "600s"));
  for (const name of names) await world.create(podManifest(name, "server-main.ts"));
  for (const name of names) await world.ready("shop", name);
}, 120_000);

afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(readFileSync(world.agentLog, "utf8").split("\n").slice(-20).join("\n"));
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(open, { recursive: true, force: true });
});

describe("sidecars are upgraded in waves", () => {
  const strategy = { waves: [25, 100], pause: "1s", maxInFlight: 2 };

  it("by a control plane that ends in between and goes on, with a report of each", async () => {
    await begin("forth", { envoy: old, strategy });
    await until("forth", ({ done = 0 }) => done === 1);
    await world.stopDiscovery();
    world.startDiscovery();
    const { sidecars = [] } = await until("forth", inPhase("Completed"));
    expect(sidecars).toHaveLength(4);
    expect(sidecars.map(({ wave }) => wave)).toEqual([1, 2, 2, 2]);
    for (const each of sidecars) {
      expect(each).toMatchObject({ phase: "Upgraded", before: "1.40.0", after: old, cluster: "east" });
      expect(each.tookMs).toBeGreaterThan(0);
    }
    expect(await Promise.all(names.map(version))).toEqual([old, old, old, old]);
  });

  it("not to a version that a node does not have: all stay as they are", async () => {
    await begin("unknown", { envoy: "1.99.0", strategy });
    const { message } = await until("unknown", inPhase("RolledBack"));
    expect(message).toContain("this node has no Envoy 1.99.0");
    expect(await Promise.all(names.map(version))).toEqual([old, old, old, old]);
  });

  it("not two at a time, and not nobody", async () => {
    await begin("nobody", { envoy: old, selector: { namespaces: ["plain"] } });
    expect((await until("nobody", inPhase("Refused"))).message).toContain(
      "no sidecar that a node's agent runs is meant",
    );
    await begin("first", { envoy: "1.40.0", strategy: { ...strategy, approval: "Manual" } });
    await until("first", inPhase("Paused"));
    await begin("second", { envoy: "1.40.0", selector: { workloads: ["two"] } });
    expect((await until("second", inPhase("Refused"))).message).toContain(
      "the upgrade first has sidecars of these under way",
    );
    await upgrades.patch({ name: "first" }, { kind: "merge", body: { spec: { approvedWaves: 2 } } });
    await until("first", inPhase("Completed"));
    expect(await Promise.all(names.map(version))).toEqual(["1.40.0", "1.40.0", "1.40.0", "1.40.0"]);
  });

  it("not further where upgraded ones take longer or refuse configuration: they are brought back", async () => {
    await world.create(await asker());
    await world.ready("plain", "asker");
    const gates = { maxErrorPercentMore: 1, maxP99PercentMore: 300, maxRefusedPercentMore: 0 };
    await begin("slow", { envoy: slow, strategy: { ...strategy, gates } });
    const late = await until("slow", inPhase("RolledBack"));
    expect(late.message).toMatch(
      /^spec\.strategy\.gates\.maxP99PercentMore: the P99 of upgraded sidecars is [\d.]+ ms/,
    );
    expect(late.sidecars?.map(({ phase }) => phase).toSorted()).toEqual([
      "RolledBack",
      "Waiting",
      "Waiting",
      "Waiting",
    ]);
    await begin("lesser", { envoy: lesser, strategy: { ...strategy, gates: { maxRefusedPercentMore: 0 } } });
    const { message } = await until("lesser", inPhase("RolledBack"));
    expect(message).toContain(
      "maxRefusedPercentMore: 1 of 1 upgraded sidecars refused configuration, of the others 0 of 3",
    );
    expect(await Promise.all(names.map(version))).toEqual(["1.40.0", "1.40.0", "1.40.0", "1.40.0"]);
  });

  it("where all gates are open: with a count of failed requests of each", async () => {
    // A busy machine answers some requests late, whatever version serves them.
    const gates = { maxErrorPercentMore: 1, maxP99PercentMore: 10_000, maxRefusedPercentMore: 0 };
    await begin("good", { envoy: old, strategy: { ...strategy, gates } });
    const { sidecars = [], othersP99Ms } = await until("good", inPhase("Completed"));
    expect(sidecars.map(({ failed }) => failed)).toEqual([0, 0, 0, 0]);
    expect(othersP99Ms).toBeGreaterThan(0);
  });

  it("not further where callers of upgraded ones give up without an answer: they are brought back", async () => {
    await begin("stuck", { envoy: stuck, strategy: { ...strategy, gates: { maxErrorPercentMore: 1 } } });
    const { message, sidecars = [] } = await until("stuck", inPhase("RolledBack"));
    expect(message).toMatch(
      /^spec\.strategy\.gates\.maxErrorPercentMore: upgraded sidecars failed 100\.0 percent of \d+ requests/,
    );
    expect(sidecars.map(({ phase }) => phase ?? "").toSorted()).toEqual([
      "RolledBack",
      "Waiting",
      "Waiting",
      "Waiting",
    ]);
    expect(await Promise.all(names.map(version))).toEqual([old, old, old, old]);
    await world.pods.delete({ namespace: "plain", name: "asker" });
  });

  it("not further where a gate has nothing to compare", async () => {
    await begin("gated", { envoy: "1.40.0", strategy: { ...strategy, gates: { maxErrorPercentMore: 1 } } });
    const { message, done } = await until("gated", (status) => inPhase("Paused")(status) && status.done === 1);
    expect(message).toContain("spec.strategy.gates.maxErrorPercentMore has no metrics to compare");
    expect(done).toBe(1);
  });
});
