import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout } from "node:timers/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import {
  envoyAnnotation,
  type ProxyUpgrade,
  readUpgrade,
  renewAnnotation,
  upgradeCondition,
} from "#api/kubernetes/proxy-upgrade.ts";
import { runs } from "#base/testing/runs.ts";
import { NodeWorld } from "../agent/node-world.ts";
import { eventually } from "../support/eventually.ts";
import { loadPorts, type LoadReport } from "./load.ts";

let world: NodeWorld;
/** A folder that proxies can read. */
const open = mkdtempSync(join(tmpdir(), "weft-upgrade-"));

const envoyOf = (version: string): string =>
  execFileSync(process.execPath, ["setup/program.ts", "envoy", version], { encoding: "utf8" }).trim();

/** Versions that proxies are changed to one after the other: in `make soak` all that are listed, up and down, for ten minutes. */
const soaks = process.env["WEFT_SOAK"] !== undefined;
const tour = soaks ? ["1.36.4", "1.39.3", "1.37.0", "1.38.3", "1.40.0"] : ["1.37.0", "1.40.0"];
const tourMs = soaks ? runs(30_000) : 0;

/** Seconds that connections get to leave the proxy before. */
const drainSeconds = 6;

function podManifest(name: string, script: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "shop",
      labels: { app: name },
      annotations: { "proxy.istio.io/config": `drainDuration: ${drainSeconds}s` },
    },
    spec: {
      nodeName: world.node,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "app", image: "test/sh", args: [`exec node test/upgrade/${script}`] }],
    },
  };
}

const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "server", namespace: "shop" },
  spec: {
    selector: { app: "server" },
    ports: [
      { name: "http", port: loadPorts.http1 },
      { name: "http2", port: loadPorts.http2 },
      { name: "tcp", port: loadPorts.raw },
    ],
  },
};

/** What went wrong once is not tried again. */
const noRetries = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "server", namespace: "shop" },
  spec: {
    hosts: ["server"],
    http: [{ route: [{ destination: { host: "server" } }], retries: { attempts: 0 } }],
  },
};

/** A list of Envoys: a real one, one that is cut short, one under another's name, one that ends when it is to take over, and one that is killed then. */
function catalog(): string {
  const [old, usual] = [envoyOf("1.37.0"), envoyOf("1.40.0")];
  const hash = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
  const corrupt = join(world.root, "corrupt");
  copyFileSync(old, corrupt);
  truncateSync(corrupt, 80_000_000);
  const script = (name: string, otherwise: string): string => {
    const path = join(world.root, name);
    const version = `echo "envoy  version: 0a/${name}/Clean/RELEASE/BoringSSL"`;
    writeFileSync(
      path,
      `#!/bin/sh\ncase "$*" in --version) ${version} ;; *--mode*|--hot-restart-version) exec ${usual} "$@" ;; *) ${otherwise} ;; esac\n`,
    );
    chmodSync(path, 0o755);
    return path;
  };
  const ends = script("9.0.1", "echo I end; exit 3");
  // Never gets a configuration, and is killed after it has taken the administration's port.
  const copy = join(open, "envoy");
  copyFileSync(usual, copy);
  const mute = `f=${open}/mute.$$; sed s/xds[.]sock/none.sock/ "$2" > $f; shift 2; exec timeout -s KILL 2 ${copy} -c $f "$@"`;
  const killed = script("9.0.2", mute);
  const real = tour.map((version) => [version, envoyOf(version)] as const);
  const entries = {
    ...Object.fromEntries(real.map(([version, program]) => [version, { program, sha256: hash(program) }])),
    "1.37.1": { program: corrupt, sha256: hash(old) },
    "1.38.0": { program: old, sha256: hash(old) },
    "9.0.1": { program: ends, sha256: hash(ends) },
    "9.0.2": { program: killed, sha256: hash(killed) },
  };
  const file = join(world.root, "envoys.json");
  writeFileSync(file, JSON.stringify(entries));
  return file;
}

const at = (name: string) => ({ namespace: "shop", name });

async function ask(name: string, annotations: Readonly<Record<string, string | null>>): Promise<void> {
  await world.pods.patch(at(name), { kind: "merge", body: { metadata: { annotations } } });
}

function upgradeOf(pod: Pod): ProxyUpgrade | undefined {
  const condition = pod.status?.conditions?.find(({ type }) => type === upgradeCondition);
  return condition && readUpgrade(condition);
}

async function upgrade(name: string, asked: string, phase: ProxyUpgrade["phase"]): Promise<ProxyUpgrade> {
  const check = async (): Promise<ProxyUpgrade> => {
    const found = upgradeOf(await world.pods.get(at(name)));
    if (found?.asked !== asked || found.phase !== phase) throw new Error(JSON.stringify(found));
    return found;
  };
  return eventually(`${name} ${phase} ${asked}`, check, 45_000);
}

const report = async (path = "/"): Promise<LoadReport> => world.inPod("shop", "caller", loadPorts.report, path);

beforeAll(async () => {
  chmodSync(open, 0o777);
  world = await NodeWorld.start({ secured: () => Promise.resolve() });
  world.envoys = catalog();
  world.startAgent();
  await world.create(service);
  await world.create(noRetries);
  await world.create(podManifest("server", "server-main.ts"));
  await world.ready("shop", "server");
  await world.create(podManifest("caller", "caller-main.ts server.shop"));
  await world.ready("shop", "caller");
  await eventually(
    "everything is answered",
    async () => {
      await report("/forget");
      await setTimeout(1000);
      const { problems, ...counts } = await report();
      if (problems.length > 0 || Object.values(counts).some((count) => count === 0))
        throw new Error(JSON.stringify({ counts, problems: problems.slice(0, 5) }));
      return true;
    },
    30_000,
  );
}, 120_000);

afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(readFileSync(world.agentLog, "utf8").split("\n").slice(-30).join("\n"));
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(open, { recursive: true, force: true });
});

describe("a proxy is replaced by another process", () => {
  const pids = async () =>
    Promise.all(["server", "caller"].map(async (name) => world.start(await world.pods.get(at(name)), "app").pid));

  /** Changes both proxies under load, and looks what clients saw. */
  async function changeTo(version: string): Promise<void> {
    await report("/forget");
    await Promise.all(["server", "caller"].map(async (name) => ask(name, { [envoyAnnotation]: version })));
    await Promise.all(["server", "caller"].map(async (name) => upgrade(name, version, "Draining")));
    await report("/replace");
    const done = await Promise.all(["server", "caller"].map(async (name) => upgrade(name, version, "Upgraded")));
    const { problems, ...counts } = await report("/forget");
    expect(problems).toEqual([]);
    for (const count of [counts.http1, counts.http2, counts.stream, counts.raw, counts.kept])
      expect(count).toBeGreaterThan(20 * drainSeconds);
    for (const each of done) expect(each).toMatchObject({ serves: version });
    const { text } = await world.ask("/proxy/shop/server/15000/server_info");
    expect(text).toContain(`/${version}/`);
  }

  it("of another version and back, without a request that fails or a connection that breaks inside the drain time", async () => {
    const before = await pids();
    const end = performance.now() + tourMs;
    do {
      for (const version of tour) await changeTo(version);
    } while (performance.now() < end);
    expect(await pids()).toEqual(before);
    const { status } = await world.pods.get(at("server"));
    expect(status?.conditions?.find(({ type }) => type === "mesh.weft.dev/ProxyCertificate")?.status).toBe("True");
  });

  const proxy = async (name: string) => world.start(await world.pods.get(at(name)), "istio-proxy");

  it("of none but a program that is what it should be", async () => {
    await report("/forget");
    const before = await proxy("server");
    const refusals = {
      "1.37.1": "it is corrupt",
      "9.9.9": "this node has no Envoy 9.9.9",
      "1.38.0": "is Envoy 1.37.0, not 1.38.0",
    };
    for (const [version, why] of Object.entries(refusals)) {
      await ask("server", { [envoyAnnotation]: version });
      const refused = await upgrade("server", version, "Refused");
      expect(refused.problem).toContain(why);
      expect(refused.serves).toBe("1.40.0");
    }
    expect(await proxy("server")).toEqual(before);
    expect((await report()).problems).toEqual([]);
  });

  it("that does not begin: the one before serves on, and what it lost is made good", async () => {
    await report("/forget");
    const before = await proxy("server");
    await ask("server", { [envoyAnnotation]: "9.0.1" });
    expect((await upgrade("server", "9.0.1", "Failed")).problem).toMatch(/it ended with code 3: .*I end/s);
    expect(await proxy("server")).toEqual(before);
    await ask("server", { [envoyAnnotation]: "9.0.2" });
    await eventually(
      "the proxy is healed",
      async () => {
        const { text } = await world.ask("/proxy/shop/server/15000/server_info");
        const { state, version } = JSON.parse(text) as { state: string; version: string };
        const failed = upgradeOf(await world.pods.get(at("server")));
        if (state !== "LIVE" || failed?.phase !== "Failed" || failed.asked !== "9.0.2")
          throw new Error(text.slice(0, 300) + JSON.stringify(failed));
        expect(version).toContain("/1.40.0/");
        expect(failed.problem).toContain("it ended with code 137");
        return true;
      },
      45_000,
    );
    await ask("server", { [renewAnnotation]: "again", [envoyAnnotation]: "1.40.0" });
    await upgrade("server", "1.40.0+again", "Upgraded");
    const { problems } = await report();
    // What carries no new request hears nothing, and ends with the process that had it.
    expect(problems.filter((problem) => !/ (?:kept|stream): /.test(problem))).toEqual([]);
  });

  it("while the agent is killed", async () => {
    await report("/forget");
    await ask("server", { [envoyAnnotation]: "1.37.0", [renewAnnotation]: null });
    await upgrade("server", "1.37.0", "Starting").catch(() => undefined);
    await world.endAgent("SIGKILL");
    world.startAgent();
    await upgrade("server", "1.37.0", "Draining");
    await report("/replace");
    await world.endAgent("SIGKILL");
    world.startAgent();
    expect(await upgrade("server", "1.37.0", "Upgraded")).toMatchObject({ serves: "1.37.0", before: "1.40.0" });
    expect((await report()).problems).toEqual([]);
  });

  it("which clients notice where the one before is killed", async () => {
    await report("/forget");
    const { pid } = await proxy("server");
    await ask("server", { [envoyAnnotation]: "1.40.0" });
    await upgrade("server", "1.40.0", "Draining");
    process.kill(pid, "SIGKILL");
    await eventually("clients notice", async () => {
      if ((await report()).problems.length === 0) throw new Error("nothing yet");
      return true;
    });
  });
});
