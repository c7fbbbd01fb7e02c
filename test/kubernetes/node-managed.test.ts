/** Node-managed sidecars on a real node: a DaemonSet's agent gives Envoys to Pods that know nothing of it. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { Daemon } from "./daemon.ts";
import {
  areServed,
  callsOf,
  forget,
  ManagedWorld,
  namespaceOf,
  podOf,
  program,
  type Run,
  serviceOf,
} from "./managed-world.ts";

let world: ManagedWorld;
let callers: readonly [Run, Run];

beforeAll(async () => {
  world = await ManagedWorld.start("managed");
  const { apply } = world;
  callers = [world.inPod("shop", "a"), world.outside];
  await apply(namespaceOf("shop"), namespaceOf("plain"), namespaceOf("strict", { "mesh.weft.dev/sidecar": "node" }));
  await apply(world.programPod("shop", "b"), serviceOf("shop", "b"), world.programPod("plain", "stranger"));
  await apply(world.programPod("shop", "a", "http://b.shop.svc.cluster.local/"));
  await world.kubectl("wait pod --all -n shop --for=condition=Ready --timeout=3m");
});
afterAll(() => world[Symbol.asyncDispose]());

/** What tells the containers of a namespace from later ones: ids, restarts, and processes. */
async function identities(namespace: string): Promise<readonly string[]> {
  const fields =
    "{.metadata.uid} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}";
  const output = `jsonpath={range .items[*]}${fields}{"\\n"}{end}`;
  const pods = (await world.kubectl(["get", "pods", "-n", namespace, "-o", output])).split("\n");
  const processes = await Promise.all(
    pods.map(async (line) => {
      const [uid = ""] = line.split(" ");
      const found = `find /sys/fs/cgroup -path '*pod${uid}/*' -name cgroup.procs ! -path '*/weft-proxy/*'`;
      const ids = await world.node.run(["sh", "-c", `cat $(${found}) < /dev/null | sort -u`]);
      return ids.trim().split("\n");
    }),
  );
  return [...pods, ...processes.flat()];
}

const bothSay = async (field: string, value: string): Promise<boolean> => {
  const said = await Promise.all(["a", "b"].map(async (pod) => world.captured("shop", pod, field)));
  return said.every((each) => each === value);
};

/** What was counted since callers forgot: at least 20 calls a second by each, none of which failed. */
async function noneFailed(what: string): Promise<void> {
  for (const run of callers) {
    const calls = await callsOf(run);
    expect(calls, `${what}\n${await world.agentLog()}`).toMatchObject({ failed: 0, problems: [] });
    expect(calls.ok / calls.seconds).toBeGreaterThan(20);
  }
}

async function joinMesh(): Promise<void> {
  await world.kubectl("label namespace shop mesh.weft.dev/sidecar=node");
  const bothLabelled = async (): Promise<boolean> => {
    const labels = await world.kubectl("get pods -n shop -l security.istio.io/tlsMode=istio -o name");
    return !(await bothSay("lastTransitionTime", "")) && labels.split("\n").length === 2;
  };
  await world.orLog(eventually("both Pods have joined", bothLabelled, 120_000));
}

/** Waits until a and b are led so. */
async function ledBy(...ways: readonly [string, string]): Promise<void> {
  const path = '{.status.conditions[?(@.type=="mesh.weft.dev/Hijack")].reason}';
  const led = async (): Promise<boolean> => {
    const said = await Promise.all(["a", "b"].map(async (pod) => world.fieldOf("shop", pod, path)));
    return said.join(" ") === ways.join(" ");
  };
  await world.orLog(eventually(`they are led by ${ways.join(" and ")}`, led, 60_000));
}

async function leaveMesh(): Promise<void> {
  await world.kubectl("label namespace shop mesh.weft.dev/sidecar-");
  await world.orLog(eventually("both Pods have left", async () => bothSay("status", ""), 120_000));
}

describe("a namespace with traffic", () => {
  let stranger: Daemon;
  let before: readonly string[];
  beforeAll(async () => {
    const url = `http://${await world.addressOf("shop", "b")}:8080/`;
    const argv = inside(namespacePath(world.network.outside), [process.execPath, program, "--call", url]);
    const log = join(world.cluster.folder, "caller.log");
    stranger = new Daemon({ name: "a caller outside", argv, log }).start();
    const bothCall = async (): Promise<boolean> => (await Promise.all(callers.map(callsOf))).every(({ ok }) => ok > 20);
    await eventually("both call", bothCall).catch((fault: unknown) => {
      throw new Error(stranger.log, { cause: fault });
    });
    before = await identities("shop");
  });
  afterAll(() => stranger.stop());

  test("joins the mesh: nothing restarts, no request fails, and connections that stay outside are named", async () => {
    const held = `${await world.addressOf("shop", "b")} 8080`;
    await callers[0](["sh", "-c", `(sleep 1000 | nc ${held} > /dev/null 2>&1) > /dev/null 2>&1 &`]);
    await forget(...callers);
    await joinMesh();
    await noneFailed("while they joined");
    expect(await identities("shop")).toEqual(expect.arrayContaining([...before]));

    expect(await bothSay("reason", "ConnectionsOutside")).toBe(true);
    expect(await world.captured("shop", "a", "message")).toContain(`with ${held.replace(" ", ":")}`);
    const events = await world.kubectl("get events -n shop --field-selector involvedObject.name=a");
    expect(events).toContain("ConnectionsOutside");
    await callers[0](["killall", "nc"]);
    await world.orLog(eventually("nothing is outside any more", async () => bothSay("status", "True"), 60_000));
    expect(await world.proxiesOf("shop", "b")).toHaveLength(1);
  });

  test("is the mesh's: callers see what it does to them, as they would see a request fail", async () => {
    await world.setMode("STRICT");
    await forget(world.outside);
    await eventually("strangers are refused", async () => (await callsOf(world.outside)).failed > 10);
    await forget(callers[0]);
    await eventually("sidecars call", async () => (await callsOf(callers[0])).ok > 20);
    await world.setMode("PERMISSIVE");
    await areServed("strangers are served", world.outside);
  });

  test("is led by eBPF and by iptables, as is said while it runs", async () => {
    const held = `${await world.addressOf("shop", "b")} 8080`;
    await callers[0](["sh", "-c", `(sleep 1000 | nc ${held} > /dev/null 2>&1) > /dev/null 2>&1 &`]);
    await forget(...callers);
    await world.kubectl("label namespace shop mesh.weft.dev/hijack=ebpf");
    await ledBy("EBPF", "EBPF");
    await world.kubectl("annotate pod -n shop b mesh.weft.dev/hijack=iptables");
    await ledBy("EBPF", "IPTables");
    await world.kubectl("annotate pod -n shop b --overwrite mesh.weft.dev/hijack=ebpf");
    await ledBy("EBPF", "EBPF");
    await noneFailed("while they were led otherwise");
    // The one that was held is there still, or there would be none to kill.
    await expect(callers[0](["killall", "nc"])).resolves.toBe("");
  });

  test("goes on while its node's agent is replaced", async () => {
    const proxies = await Promise.all(["a", "b"].map(async (pod) => world.proxiesOf("shop", pod)));
    await forget(...callers);
    await world.kubectl(`delete -n istio-system ${await world.agentPod()}`);
    await world.rolledOut();
    await noneFailed("while the agent was replaced");
    expect(await Promise.all(["a", "b"].map(async (pod) => world.proxiesOf("shop", pod)))).toEqual(proxies);
  });

  test("leaves the mesh: nothing restarts, no request fails, and nothing is left", async () => {
    await forget(...callers);
    await leaveMesh();
    await noneFailed("while they left");
    expect(await identities("shop")).toEqual(expect.arrayContaining([...before]));
    expect(await world.proxiesOf("shop", "b")).toEqual([]);
    expect(await world.kubectl("get pods -n shop -l security.istio.io/tlsMode -o name")).toBe("");
    expect(await world.node.run(["ls", "/sys/fs/bpf"])).not.toContain("weft");
    expect(stranger.pid).not.toBe(0);
  });
});

/** A Pod whose first container tells what becomes of a connection to an address that nobody has. */
function eagerPod(namespace: string, name: string, annotations = {}): object {
  const line = "nc -w 3 10.64.0.250 80 < /dev/null; echo ended with $?";
  const spec = {
    initContainers: [world.container("first", ["sh", "-c", `${line} 2>&1`])],
    containers: [world.container("program", ["sleep", "infinity"])],
  };
  return podOf(namespace, name, spec, { annotations });
}

describe("new Pods", () => {
  test("are captured before any of their containers starts", async () => {
    const led = eagerPod("strict", "led", { "mesh.weft.dev/hijack": "ebpf" });
    await world.apply(eagerPod("strict", "eager"), eagerPod("plain", "eager"), led);
    for (const name of ["eager", "led"]) await world.joined("strict", name);
    await world.kubectl("wait pod -n plain eager --for=condition=Ready --timeout=1m");
    const told = async (namespace: string, name = "eager"): Promise<string> =>
      world.kubectl(`logs -n ${namespace} ${name} -c first`);
    // Captured, a connection is the proxy's, or is refused while there is none: nobody waits for that address.
    expect(await told("plain")).toMatch(/timed out|unreachable|No route/i);
    for (const name of ["eager", "led"])
      expect(await told("strict", name)).not.toMatch(/timed out|unreachable|No route/i);
    expect(await world.captured("strict", "eager", "reason")).toBe("Captured");
  });

  /** A Pod whose first container asks a Service once, as soon as it runs, and tells what came of it. */
  function asker(name: string): object {
    const line =
      "curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' http://b.shop.svc.cluster.local/";
    const more = { initContainers: [world.container("first", ["sh", "-c", `${line}; true`])] };
    const pod = world.programPod("strict", name) as { readonly spec: object };
    return { ...pod, spec: { ...pod.spec, ...more } };
  }

  const answered = async (name: string): Promise<string> => world.kubectl(`logs -n strict ${name} -c first`);

  test("start when their proxies take connections, however long that takes: their first request, in and out, is served", async () => {
    const { pid } = world.mesh.discovery;
    process.kill(pid, "SIGSTOP");
    await world.apply(asker("slow"));
    await new Promise((resolve) => setTimeout(resolve, 6000));
    process.kill(pid, "SIGCONT");
    await world.kubectl("wait pod -n strict slow --for=condition=Ready --timeout=2m");
    const url = `http://${await world.addressOf("strict", "slow")}:8080/`;
    const { stdout: label } = await world.cluster.kubectl("get pod -n strict slow --show-labels");
    expect(label).toContain("security.istio.io/tlsMode=istio");
    expect(await world.outside(["curl", "--silent", "--show-error", "--fail", "--max-time", "5", url])).toContain(
      "pid",
    );
    expect(await answered("slow")).toBe("200");
    expect(await world.captured("strict", "slow")).toBe("True");
  });

  test("start cut off, and say so, when no control plane answers in time", async () => {
    const { pid } = world.mesh.discovery;
    process.kill(pid, "SIGSTOP");
    try {
      await world.apply(asker("patient"));
      await world.orLog(
        eventually("its first container runs", async () => (await answered("patient").catch(() => "")) !== "", 90_000),
      );
      expect(await answered("patient")).toBe("000");
      const events = await world.kubectl("get events -n strict --field-selector involvedObject.name=patient");
      expect(events).toContain("ProxyNotReady");
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await world.joined("strict", "patient");
  });

  test("are not made while the agent is away, where they were to get a sidecar; sidecars that run go on", async () => {
    const proxies = await world.proxiesOf("strict", "eager");
    expect(proxies).toHaveLength(1);
    await world.stopAgent();
    await world.apply(eagerPod("strict", "late"), eagerPod("plain", "late"));
    await world.kubectl("wait pod -n plain late --for=condition=Ready --timeout=2m");
    await eventually("it is told why", async () => {
      const events = await world.kubectl("get events -n strict --field-selector involvedObject.name=late");
      return events.includes("the mesh's agent of this node does not answer");
    });
    expect(await world.addressOf("strict", "late")).toBe("");
    expect(await world.proxiesOf("strict", "eager")).toEqual(proxies);
    await world.startAgent();
    await world.joined("strict", "late");
    expect(await world.proxiesOf("strict", "eager")).toEqual(proxies);
  });
});
