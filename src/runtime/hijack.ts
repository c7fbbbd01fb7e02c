import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { WeftError, messageOf } from "#base/errors.ts";
import type { CaptureOptions } from "./capture.ts";
import { command } from "./command.ts";

/** Where the kernel keeps what is pinned, and where its cgroups are where nobody has mounted them. */
const pinsFolder = "/sys/fs/bpf";
const ownCgroups = "/run/weft/cgroup2";

/** A Pod that is to be hijacked. */
export interface HijackedPod {
  /** File of its network namespace. */
  readonly network: string;
  /** Its own addresses; its proxy is reached at the first of each family. */
  readonly addresses: readonly string[];
  readonly capture: CaptureOptions;
  /** Whether it is led otherwise until now. */
  readonly live?: boolean;
  /** Whether its proxy's connections to others of the node that are so take a shortcut past TCP. */
  readonly sockmap?: boolean;
}

const ports = (purpose: string, list: readonly number[]): string[] => list.map((port) => `port ${purpose} ${port}`);
const ranges = (purpose: string, list: readonly string[]): string[] => list.map((one) => `range ${purpose} ${one}`);

/** What the loader is told of a Pod: a line a fact. The rules are those of `captureRules`. */
function hijackFacts({ addresses, capture, live = false, sockmap = false }: HijackedPod): string {
  const { includeInboundPorts: inbound, includeOutboundRanges: outbound, dns } = capture;
  const [inboundPorts, outboundRanges] = [inbound === "*" ? [] : inbound, outbound === "*" ? [] : outbound];
  const facts = [
    `proxy ${capture.proxyId}`,
    `outbound ${capture.outboundPort}`,
    `inbound ${capture.inboundPort}`,
    `tunnel ${capture.tunnelPort}`,
    ...(dns ? [`dns ${dns.port}`] : []),
    ...(live ? ["flag live"] : []),
    ...(sockmap ? ["flag shortcut"] : []),
    ...addresses.map((address) => `address ${address}`),
    ...(inbound === "*" ? ["flag inbound-all"] : []),
    ...(inbound.length === 0 ? ["flag inbound-none"] : []),
    ...(outbound === "*" ? ["flag outbound-all"] : []),
    ...(outboundRanges.some((range) => range.startsWith("127.")) ? ["flag calls-itself"] : []),
    ...ports("inbound-included", inboundPorts),
    ...ports("inbound-excluded", capture.excludeInboundPorts),
    ...ports("outbound-included", capture.includeOutboundPorts),
    ...ports("outbound-excluded", capture.excludeOutboundPorts),
    ...ranges("outbound-included", outboundRanges),
    ...ranges("outbound-excluded", capture.excludeOutboundRanges),
    ...ranges("own", ["127.0.0.0/8", "::1", "::6", ...addresses]),
    ...ranges("name-server", dns?.servers ?? []),
    ...ranges("let-in", capture.probeSource === undefined ? [] : [capture.probeSource]),
    ...capture.excludeInterfaces.map((name) => `interface ${name}`),
  ];
  return `${facts.join("\n")}\n`;
}

/** Leads Pods' connections through their proxies by programs in the kernel (`bpf/`), in place of iptables. */
export class Hijack {
  readonly #programs: string;
  readonly #pins: string;

  /**
   * @param programs folder of `weft-hijack` and `hijack.bpf.o`.
   * @param name of whose Pods they are: what is in the kernel outlives this process and is found again by it.
   */
  constructor(programs: string, name: string) {
    this.#programs = programs;
    this.#pins = pinsOf(name);
  }

  /**
   * Attaches the programs, or puts these in the place of those that an earlier run attached; Pods stay hijacked meanwhile.
   * @returns whether there were others.
   * @throws WeftError `Unsupported` with the kernel's words where it cannot run them.
   */
  async attach(): Promise<"attached" | "replaced" | "current"> {
    try {
      await mountPins();
      const said = await this.#run(["attach", this.#pins, this.#object, await cgroupRoot()]);
      return said.trim() as "attached" | "replaced" | "current";
    } catch (error) {
      throw new WeftError("Unsupported", `this kernel cannot hijack connections: ${messageOf(error)}`, error);
    }
  }

  /** By what a Pod is known here. */
  async cookie(network: string): Promise<string> {
    return (await this.#run(["cookie", network])).trim();
  }

  /**
   * Hijacks a Pod, or changes how it is. Its proxy may run already, or begin to listen later; but one that is led otherwise until now is
   * not hijacked before.
   * @returns whether it is hijacked.
   */
  async add(pod: HijackedPod): Promise<boolean> {
    const answer = await this.#run(["add", this.#pins, this.#object, pod.network], hijackFacts(pod));
    return answer.trim() === "led";
  }

  /** Leads no new connections of a Pod; older ones go on, and what is asked about them is answered. */
  async leave(cookie: string): Promise<void> {
    if (existsSync(this.#pins)) await this.#run(["leave", this.#pins, cookie]);
  }

  /** Forgets a Pod; one that is not known is no error. */
  async remove(cookie: string): Promise<void> {
    if (existsSync(this.#pins)) await this.#run(["remove", this.#pins, cookie]);
  }

  /** Pods that are known. */
  pods(): readonly string[] {
    const pods = join(this.#pins, "pods");
    return existsSync(pods) ? readdirSync(pods) : [];
  }

  /** Removes everything; Pods that are hijacked still are not any more. */
  detach(): void {
    rmSync(this.#pins, { recursive: true, force: true });
  }

  get #object(): string {
    return join(this.#programs, "hijack.bpf.o");
  }

  async #run(words: readonly string[], input = ""): Promise<string> {
    return command([join(this.#programs, "weft-hijack"), ...words], { input });
  }
}

/** Names of what is pinned have no dots, and those of nodes no underlines. */
function pinsOf(name: string): string {
  return join(pinsFolder, `weft-${name.replaceAll(".", "_")}`);
}

/** Removes everything of names that begin so, whoever attached it. */
export function removeHijacks(prefix: string): void {
  if (!existsSync(pinsFolder)) return;
  for (const name of readdirSync(pinsFolder))
    if (join(pinsFolder, name).startsWith(pinsOf(prefix)))
      rmSync(join(pinsFolder, name), { recursive: true, force: true });
}

function mounted(type: string): readonly string[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return lines.map((line) => line.split(" ")).flatMap(([, at = "", kind]) => (kind === type ? [at] : []));
}

async function mountPins(): Promise<void> {
  if (!mounted("bpf").includes(pinsFolder)) await command(["mount", "-t", "bpf", "bpf", pinsFolder]);
}

/** The root of cgroup2, which machines have that use the first version, too. */
async function cgroupRoot(): Promise<string> {
  // What a container sees may be a part of it, which all but the root say.
  const root = mounted("cgroup2").find((path) => !existsSync(join(path, "cgroup.type")));
  if (root !== undefined) return root;
  mkdirSync(ownCgroups, { recursive: true });
  await command(["mount", "-t", "cgroup2", "cgroup2", ownCgroups]);
  return ownCgroups;
}
