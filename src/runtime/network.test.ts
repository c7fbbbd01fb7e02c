import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "#base/free-port.ts";
import { applyCapture, captureRules, defaultCapture } from "./capture.ts";
import { command } from "./command.ts";
import { ensureBridge, ensureFabric, fabricName, probeAddress, removeFabric } from "./fabric.ts";
import { forwarderRuns, startForwarder, stopForwarder } from "./forwarder.ts";
import { bindInside, connectInside, listenInside } from "./namespace-socket.ts";
import { namespaceExists, namespacePath, namespacesOf, processesIn, removeNamespace } from "./namespace.ts";
import { createSandbox, killSandbox, removeSandbox, sandboxesOf, sandboxName } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";

const instance = `t${process.pid}`;
const fabric = fabricName(instance);
const root = mkdtempSync(join(tmpdir(), "weft-network-"));

function sandbox(pod: string, cluster: "east" | "west", host: number): Sandbox {
  const base = cluster === "east" ? "10.10.0" : "10.20.0";
  return { instance, cluster, pod, address: `${base}.${host}`, prefix: 24, gateway: `${base}.1` };
}

const a = sandbox("pod-a", "east", 2);
const b = sandbox("pod-b", "east", 3);
const c = sandbox("pod-c", "west", 2);
const path = (one: Sandbox): string => namespacePath(sandboxName(one));

/** Answers each connection with the address it came from, and ends it. */
async function echoFrom(one: Sandbox, port: number, host = "0.0.0.0"): Promise<Disposable> {
  const server = await listenInside(path(one), { host, port });
  server.on("connection", (socket) => socket.end(`${port} ${socket.remoteAddress}`));
  return { [Symbol.dispose]: () => server.close() };
}

async function ask(from: string, host: string, port: number, uid?: number): Promise<string> {
  const socket = await connectInside(from, { host, port, ...(uid === undefined ? {} : { uid }) });
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

function hostState(): string {
  const links = execFileSync("ip", ["-o", "link"])
    .toString()
    .replaceAll(/^\d+: /gm, "");
  return (
    links +
    execFileSync("iptables-save").toString().replaceAll(/^#.*$/gm, "") +
    readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8")
  );
}

let before: string;
beforeAll(async () => {
  before = hostState();
  await ensureFabric(instance);
  await ensureBridge({ instance, cluster: "east", podCidr: "10.10.0.0/24" });
  await ensureBridge({ instance, cluster: "west", podCidr: "10.20.0.0/24" });
  for (const one of [a, b, c]) await createSandbox(one);
});

async function removeAll(): Promise<void> {
  // Those of a test that failed midway too.
  for (const name of sandboxesOf(instance)) {
    killSandbox(name);
    await removeNamespace(name);
  }
  await removeFabric(instance);
}

afterAll(async () => {
  await removeAll();
  rmSync(root, { recursive: true, force: true });
});

describe("fabric and sandboxes", () => {
  it("lets Pods of one cluster and of two reach each other", async () => {
    using _b = await echoFrom(b, 8080);
    using _c = await echoFrom(c, 8080);
    expect(await ask(path(a), b.address, 8080)).toBe(`8080 ${a.address}`);
    expect(await ask(path(a), c.address, 8080)).toBe(`8080 ${a.address}`);
    expect(await ask(namespacePath(fabric), b.address, 8080)).toBe("8080 10.10.0.1");
  });

  it("leads nowhere else: the host's addresses are out of reach", async () => {
    await expect(ask(path(a), "192.0.2.2", 22)).rejects.toThrow(/EHOSTUNREACH|ENETUNREACH|192\.0\.2\.2/);
  });

  it("can be made again and again, by two at once", async () => {
    await Promise.all([ensureFabric(instance), ensureFabric(instance)]);
    await ensureBridge({ instance, cluster: "east", podCidr: "10.10.0.0/24" });
    using _b = await echoFrom(b, 8081);
    expect(await ask(path(a), b.address, 8081)).toBe(`8081 ${a.address}`);
  });

  it("replaces what an earlier attempt left", async () => {
    const again = sandbox("pod-again", "east", 9);
    await createSandbox(again);
    await createSandbox({ ...again, address: "10.10.0.10" });
    using _again = await echoFrom(again, 80);
    expect(await ask(path(a), "10.10.0.10", 80)).toBe(`80 ${a.address}`);
    await removeSandbox(again);
    await removeSandbox(again);
    expect(namespaceExists(sandboxName(again))).toBe(false);
  });

  it("lets a Pod take over another's address at once", async () => {
    for (const pod of ["pod-before", "pod-after"]) {
      const one = sandbox(pod, "east", 11);
      await createSandbox(one);
      const server = await echoFrom(one, 80);
      for (const from of [path(a), namespacePath(fabric)]) expect(await ask(from, one.address, 80)).toMatch(/^80 /);
      server[Symbol.dispose]();
      await removeSandbox(one);
    }
  });

  it("finds a Pod's processes and nobody else's", async () => {
    expect(sandboxesOf(instance).toSorted()).toEqual([a, b, c].map(sandboxName).toSorted());
    const child = spawn("nsenter", [`--net=${path(a)}`, "sleep", "60"]);
    await expect.poll(() => processesIn(sandboxName(a))).toEqual([child.pid]);
    killSandbox(sandboxName(a));
    await expect.poll(() => processesIn(sandboxName(a))).toEqual([]);
  });
});

describe("sockets inside a namespace", () => {
  it("says that an address is taken, and that nothing listens", async () => {
    using _a = await echoFrom(a, 7000, "127.0.0.1");
    await expect(listenInside(path(a), { host: "127.0.0.1", port: 7000 })).rejects.toMatchObject({
      code: "AlreadyExists",
    });
    await expect(connectInside(path(a), { host: "127.0.0.1", port: 7001 })).rejects.toMatchObject({
      code: "Unavailable",
    });
    expect(await ask(path(a), "127.0.0.1", 7000)).toBe("7000 127.0.0.1");
  });

  it("binds UDP there", async () => {
    const server = await bindInside(path(a), { host: "0.0.0.0", port: 5353 });
    const client = await bindInside(path(b), { host: "0.0.0.0", port: 0 });
    const got = new Promise<string>((resolve) => {
      server.once("message", (message, from) => resolve(`${String(message)} ${from.address}`));
    });
    client.send("hi", 5353, a.address);
    expect(await got).toBe(`hi ${b.address}`);
    server.close();
    client.close();
  });
});

describe("capture", () => {
  const proxy = defaultCapture.proxyId;

  it("sends traffic where Istio's rules send it", async () => {
    const captured = sandbox("pod-captured", "east", 20);
    await createSandbox(captured);
    await applyCapture(sandboxName(captured), {
      ...defaultCapture,
      excludeInboundPorts: [...defaultCapture.excludeInboundPorts, 7777],
      excludeOutboundPorts: [9999],
      excludeOutboundRanges: ["10.20.0.0/16"],
      probeSource: probeAddress,
    });
    using _app = await echoFrom(captured, 8080);
    using _excluded = await echoFrom(captured, 7777);
    using _inbound = await echoFrom(captured, 15006);
    using _outbound = await echoFrom(captured, 15001);
    using _status = await echoFrom(captured, 15021);
    using _b = await echoFrom(b, 8080);
    using _b9 = await echoFrom(b, 9999);
    using _c = await echoFrom(c, 8080);
    const self = captured.address;
    const inside = path(captured);
    // Inbound: through the proxy, but for excluded ports, the proxy's own, and the node's probes.
    expect(await ask(path(a), self, 8080)).toBe(`15006 ${a.address}`);
    expect(await ask(path(a), self, 7777)).toBe(`7777 ${a.address}`);
    expect(await ask(path(a), self, 15021)).toBe(`15021 ${a.address}`);
    expect(await probe(self, 8080)).toBe(`8080 ${probeAddress}`);
    // Outbound: through the proxy, but for excluded ports and ranges, and the proxy's own.
    expect(await ask(inside, b.address, 8080)).toMatch(/^15001 /);
    expect(await ask(inside, "10.110.0.7", 80), "an address that exists nowhere").toMatch(/^15001 /);
    expect(await ask(inside, b.address, 9999)).toBe(`9999 ${self}`);
    expect(await ask(inside, c.address, 8080)).toBe(`8080 ${self}`);
    expect(await ask(inside, b.address, 8080, proxy)).toBe(`8080 ${self}`);
    // To itself: directly from the application, inbound again from the proxy, never on loopback.
    expect(await ask(inside, self, 8080)).toBe(`8080 ${self}`);
    expect(await ask(inside, self, 8080, proxy)).toBe(`15006 ${self}`);
    expect(await ask(inside, "127.0.0.1", 8080)).toBe("8080 127.0.0.1");
    expect(await ask(inside, "127.0.0.1", 8080, proxy)).toBe("8080 127.0.0.1");
    await removeSandbox(captured);
  });

  it("sends DNS to the agent's server over UDP and TCP, and its answers back as the resolver's", async () => {
    const captured = sandbox("pod-dns", "east", 21);
    await createSandbox(captured);
    await applyCapture(sandboxName(captured), { ...defaultCapture, dns: { servers: ["10.110.0.10"], port: 15053 } });
    using _tcp = await echoFrom(captured, 15053, "127.0.0.1");
    expect(await ask(path(captured), "10.110.0.10", 53)).toMatch(/^15053 /);
    const server = await bindInside(path(captured), { host: "127.0.0.1", port: 15053, uid: proxy });
    server.on("message", (message, from) => server.send(`answer to ${String(message)}`, from.port, from.address));
    const client = await bindInside(path(captured), { host: "0.0.0.0", port: 0 });
    const got = new Promise<string>((resolve) => {
      client.once("message", (message, from) => resolve(`${String(message)} from ${from.address}:${from.port}`));
    });
    client.send("question", 53, "10.110.0.10");
    expect(await got).toBe("answer to question from 10.110.0.10:53");
    server.close();
    client.close();
    await removeSandbox(captured);
  });

  it("can be applied anew", async () => {
    const captured = sandbox("pod-twice", "east", 22);
    await createSandbox(captured);
    await applyCapture(sandboxName(captured), defaultCapture);
    const save = (): string =>
      execFileSync("nsenter", [`--net=${path(captured)}`, "iptables-save", "-t", "nat"])
        .toString()
        .replaceAll(/^#.*$|\[.*$/gm, "");
    const once = save();
    expect(once).toContain("ISTIO_OUTPUT");
    await applyCapture(sandboxName(captured), defaultCapture);
    expect(save()).toBe(once);
    expect(captureRules(defaultCapture).match(/-A/g)).toHaveLength(once.match(/-A/g)!.length);
    await removeSandbox(captured);
  });
});

function probe(host: string, port: number): Promise<string> {
  const script = `require("net").connect({host:"${host}",port:${port},localAddress:"${probeAddress}"}).on("data",d=>process.stdout.write(d))`;
  return command(["nsenter", `--net=${namespacePath(fabric)}`, process.execPath, "-e", script]);
}

describe("a forwarder", () => {
  it("leads from a loopback port of the host to a Pod, and says when the port is taken", async () => {
    using _a = await echoFrom(a, 8080);
    const port = await freePort();
    const taken = createServer().listen(port, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const forward = {
      state: join(root, "forwarder"),
      hostNetwork: "/proc/self/ns/net",
      hostAddress: "127.0.0.1",
      hostPort: port,
      network: namespacePath(fabric),
      address: a.address,
      port: 8080,
    };
    await expect(startForwarder(forward)).rejects.toMatchObject({
      code: "AlreadyExists",
      message: `127.0.0.1:${port} is taken by another program`,
    });
    await expect(startForwarder({ ...forward, hostAddress: "0.0.0.0" })).rejects.toMatchObject({
      code: "InvalidArgument",
    });
    await new Promise((resolve) => taken.close(resolve));
    await startForwarder(forward);
    await startForwarder(forward);
    const answer = async (): Promise<string> => {
      let text = "";
      for await (const chunk of connect({ host: "127.0.0.1", port })) text += String(chunk);
      return text;
    };
    expect(await answer()).toBe("8080 10.10.0.1");
    expect(forwarderRuns(forward.state)).toBe(true);
    stopForwarder(forward.state);
    expect(existsSync(forward.state)).toBe(false);
    await expect.poll(() => answer().catch((error: NodeJS.ErrnoException) => error.code)).toBe("ECONNREFUSED");
  });
});

describe("removal", () => {
  it("leaves the machine as it was", async () => {
    await removeAll();
    expect(namespacesOf(`weft-${instance}-`)).toEqual([]);
    expect(hostState()).toBe(before);
  });
});
