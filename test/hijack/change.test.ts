/** How a Pod is led changes while its connections flow. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { HijackMode } from "#api/weft/hijack-mode.ts";
import { NodeTraffic } from "#agent/traffic/node-traffic.ts";
import type { TrafficRecord } from "#agent/traffic/record.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger as logger } from "#base/logger.ts";
import { defaultCapture } from "#runtime/capture.ts";
import { listenInside } from "#runtime/namespace-socket.ts";
import { removeHijacks } from "#runtime/hijack.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { eventually } from "../support/eventually.ts";
import { Load, type Seen } from "./load.ts";
import { HijackWorld, otherAddress, podAddress, programs, rawPort } from "./world.ts";

let world: HijackWorld;
let name: string;
/** As it is on disk: all that a process which ends leaves to the next. */
let disk: TrafficRecord;
let lateMs: number;
const clock = { ...systemClock, now: () => Date.now() + lateMs };
let stack: AsyncDisposableStack;

beforeEach(async () => {
  lateMs = 0;
  disk = {};
  stack = new AsyncDisposableStack();
  world = await HijackWorld.create("ch");
  name = `t${process.pid}change`;
  await world.serve([8080]);
  for (const namespace of [world.pod, world.other]) {
    const server = await listenInside(namespacePath(namespace), { host: "0.0.0.0", port: rawPort });
    server.on("connection", (socket) => socket.on("error", () => undefined).pipe(socket));
    stack.defer(() => void server.close());
  }
});
afterEach(async () => {
  await stack.disposeAsync();
  await world[Symbol.asyncDispose]();
  removeHijacks(name);
});

const network = (): string => namespacePath(world.pod);
const newTraffic = (folder = programs): NodeTraffic => new NodeTraffic({ programs: folder, name, clock, logger });
const pod = (fresh = false) => ({ network: network(), address: podAddress, capture: defaultCapture, fresh });
const rules = (): string =>
  execFileSync("nsenter", inside(network(), ["iptables-save"]).slice(1), { encoding: "utf8" });

/** What an agent keeps; a process that ends before one of its notes is on disk does no more. */
function kept(endsAt = Infinity) {
  const record = structuredClone(disk);
  let notes = 0;
  const save = (): void => {
    notes += 1;
    if (notes >= endsAt) throw new Error("the agent was killed");
    disk = structuredClone(record);
  };
  return { record, save };
}

async function loads(): Promise<readonly [Load, Load]> {
  const ports = { httpPort: 8080, rawPort };
  const into = await Load.start({ from: world.other, host: podAddress, ...ports, by: "inbound" });
  const out = await Load.start({ from: world.pod, host: otherAddress, ...ports, by: "outbound" });
  return [into, out];
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const clean = (seen: Seen): void => {
  expect(seen.problems).toEqual([]);
  expect(seen.requests).toBeGreaterThan(40);
  expect(seen.words).toBeGreaterThan(100);
};

test("connections that stay and new ones go on through changes to and fro", async () => {
  const traffic = newTraffic();
  await traffic.lead(pod(true), "iptables", kept());
  const { pid } = await world.startEnvoy();
  const [into, out] = await loads();
  await using _into = into;
  await using _out = out;
  const changes: HijackMode[] = ["ebpf", "iptables", "ebpf", "iptables", "ebpf"];
  for (const mode of changes) {
    await wait(500);
    const now = kept();
    await traffic.lead(pod(), mode, now);
    await traffic.tidy(network(), now);
    expect(disk).toMatchObject({ mode });
    expect(rules().includes("ISTIO")).toBe(mode === "iptables");
  }
  await wait(500);
  for (const load of [into, out]) clean(await load.finish());
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  // All that has ended leaves nothing behind.
  lateMs = 60_000;
  const now = kept();
  await traffic.tidy(network(), now);
  expect(disk).toEqual({ mode: "ebpf", known: disk.known, refusesIPv6: true });
  expect(rules()).not.toMatch(/ISTIO|WEFT/);
  await traffic.lead(pod(), "iptables", now);
  await traffic.tidy(network(), now);
  expect(existsSync(`/sys/fs/bpf/weft-${name}`)).toBe(true);
  lateMs = 120_000;
  await traffic.tidy(network(), now);
  expect(existsSync(`/sys/fs/bpf/weft-${name}`)).toBe(false);
  expect(disk).toEqual({ mode: "iptables", rules: disk.rules, refusesIPv6: true });
});

test("a change that ends half-way is completed by the next agent", async () => {
  let traffic = newTraffic();
  await traffic.lead(pod(true), "iptables", kept());
  await world.startEnvoy();
  const [into, out] = await loads();
  await using _into = into;
  await using _out = out;
  for (const endsAt of [1, 2, 3]) {
    for (const mode of ["ebpf", "iptables"] as const) {
      await traffic.lead(pod(), mode, kept(endsAt)).catch(() => undefined);
      await wait(200);
      traffic = newTraffic();
      await traffic.adopt([disk]);
      await traffic.lead(pod(), mode, kept());
      expect(disk).toMatchObject({ mode });
      expect(disk.unsettled).toBeUndefined();
      expect(rules().includes("ISTIO")).toBe(mode === "iptables");
      await wait(200);
    }
  }
  for (const load of [into, out]) clean(await load.finish());
});

/** A link of the kernel that is pinned, and what runs behind it. */
interface Link {
  readonly id: number;
  readonly prog_id: number;
}

const pins = (): string => `/sys/fs/bpf/weft-${name}`;
const linkOf = (path: string): Link =>
  JSON.parse(execFileSync("bpftool", ["-j", "link", "show", "pinned", path], { encoding: "utf8" })) as Link;
const allLinks = (): readonly Link[] =>
  ["links", "pods"].flatMap((part) =>
    readdirSync(`${pins()}/${part}`).map((file) => linkOf(`${pins()}/${part}/${file}`)),
  );
const isThere = (kind: "prog" | "link", id: number): boolean => {
  const { status } = spawnSync("bpftool", [kind, "show", "id", String(id)], { stdio: "ignore" });
  return status === 0;
};

/** The programs with another word in their source. */
function variant(from: string, to: string): string {
  const folder = mkdtempSync(join(tmpdir(), "weft-bpf-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  cpSync("bpf", folder, { recursive: true });
  cpSync(programs, folder, { recursive: true });
  const header = join(folder, "hijack.h");
  const text = readFileSync(header, "utf8");
  expect(text).toContain(from);
  writeFileSync(header, text.replace(from, to));
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  const flags = ["-O2", "-g", "--target=bpf", "-mcpu=v3", `-I/usr/include/${machine}-linux-gnu`];
  execFileSync("clang", [...flags, "-c", "hijack.bpf.c", "-o", "hijack.bpf.o"], { cwd: folder });
  return folder;
}

test("newer programs take the place of older ones, or follow them, and none stay in the end", async () => {
  let traffic = newTraffic();
  await traffic.lead(pod(true), "ebpf", kept());
  await world.startEnvoy();
  const [into, out] = await loads();
  await using _into = into;
  await using _out = out;
  const before = allLinks();
  await wait(300);
  // The same layout: each link has the new program, and is the one that it was.
  traffic = newTraffic(variant("RANGE_FIXED_BITS 96", "RANGE_FIXED_BITS (48 * 2)"));
  await traffic.adopt([disk]);
  await traffic.lead(pod(), "ebpf", kept());
  const after = allLinks();
  expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  for (const [at, { prog_id: program }] of after.entries()) expect(program).not.toBe(before[at]?.prog_id);
  await wait(300);
  // Another one: rules lead until the older programs have gone.
  traffic = newTraffic(variant("#define LAYOUT 1", "#define LAYOUT 2"));
  await traffic.adopt([disk]);
  await traffic.lead(pod(), "ebpf", kept());
  expect(disk).toMatchObject({ mode: "iptables" });
  expect(disk.refused?.why).toContain("weft_version");
  await wait(300);
  for (const load of [into, out]) clean(await load.finish());
  lateMs = 70_000;
  const now = kept();
  await eventually("the older programs have gone", async () => {
    await traffic.tidy(network(), now);
    return !existsSync(pins());
  });
  await traffic.lead(pod(), "ebpf", now);
  expect(disk).toMatchObject({ mode: "ebpf" });
  expect(disk.refused).toBeUndefined();
  const last = allLinks();
  await traffic.forget(now.record);
  expect(existsSync(pins())).toBe(false);
  const gone = ({ id, prog_id: program }: Link): boolean => !isThere("link", id) && !isThere("prog", program);
  await eventually("nothing is in the kernel", () => [...before, ...after, ...last].every(gone));
});

test("a break is noticed", async () => {
  const traffic = newTraffic();
  await traffic.lead(pod(true), "iptables", kept());
  await world.startEnvoy();
  const [into, out] = await loads();
  await using _into = into;
  await using _out = out;
  await wait(300);
  execFileSync("nsenter", inside(network(), ["iptables", "-t", "nat", "-F"]).slice(1));
  await wait(300);
  const [inbound, outbound] = (await Promise.all([into.finish(), out.finish()])).map(({ problems }) =>
    problems.join("\n"),
  );
  expect(inbound).toMatch(/answered by application/);
  expect(outbound).toMatch(/answered by other/);
  expect(inbound).toMatch(/silent|talk/);
});
