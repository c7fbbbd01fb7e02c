import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { type CaptureOptions, captureRules } from "#runtime/capture.ts";
import { acceptIPv6, forgetIPv6, type InNetwork, leadIPv6, passIPv6, refuseIPv6 } from "#runtime/capture6.ts";
import { inside } from "#runtime/namespace.ts";
import type { HijackMode } from "#api/weft/hijack-mode.ts";
import { connectionText, isLedOut, redirected } from "./open-connections.ts";
import { Programs } from "./programs.ts";
import type { TrafficRecord } from "./record.ts";
import { capture, forget, openConnections, passBy, release, trackConnections } from "./rules.ts";

/** A Pod whose connections are led. */
export interface LedPod {
  /** File of its network namespace. */
  readonly network: string;
  readonly address: string;
  /** What of its traffic; undefined for none. */
  readonly capture: CaptureOptions | undefined;
  /** Whether nothing of it runs yet. */
  readonly fresh?: boolean;
  /** Whether its proxy's connections to others of the node that are so take a shortcut, where programs lead. */
  readonly sockmap?: boolean;
  /** Whether its proxy takes connections of IPv6: they are refused otherwise. */
  readonly ipv6?: boolean;
}

/** What is known of how its connections are led, and what keeps it on disk: each step is noted before it is taken. */
export interface Kept {
  readonly record: TrafficRecord;
  readonly save: () => void;
}

interface NodeTrafficOptions {
  /** Folder of the kernel's programs; without it all Pods are led by iptables. */
  readonly programs?: string;
  /** Tells the node's Pods from those of others on the machine. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long what the kernel refused is not asked of it again. */
const refusedMs = 60_000;
/** How long what is on its way when a Pod is led anew gets to arrive. */
const settleMs = 5000;

const within =
  (network: string): InNetwork =>
  (argv) =>
    inside(network, argv);

/**
 * Leads the connections of a node's Pods to their proxies, each by rules of iptables or by programs in the kernel, and changes from one to
 * the other while they flow: the new one is in force before the old one goes, and connections go on as they began.
 */
export class NodeTraffic {
  readonly #programs: Programs;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor({ programs, name, clock, logger }: NodeTrafficOptions) {
    this.#programs = new Programs(programs, name, logger);
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Takes over what an earlier agent left in the kernel; what belongs to none of these Pods goes. */
  async adopt(records: readonly (TrafficRecord | undefined)[]): Promise<void> {
    await this.#programs.keepOnly(records.flatMap((record) => record?.known ?? []));
  }

  /**
   * Leads new connections of a Pod as wanted, from whatever state it is in; by iptables where the kernel cannot do what is wanted. A
   * proxy that does not listen yet is waited for: the next call goes on.
   */
  async lead(pod: LedPod, wanted: HijackMode, kept: Kept): Promise<void> {
    const { record } = kept;
    if (pod.capture === undefined) {
      record.mode ??= "none";
      return;
    }
    if (record.refusesIPv6 === undefined) {
      record.refusesIPv6 = pod.ipv6 === true ? false : await refuseIPv6(within(pod.network), pod.capture);
      if (pod.ipv6 === true) record.takesIPv6 = true;
      kept.save();
    }
    if (wanted === "iptables") delete record.refused;
    if (this.#isLed(record, wanted, pod.sockmap)) return;
    if (wanted === "ebpf" && !this.#isRefused(record)) {
      try {
        await this.#leadByPrograms(pod, pod.capture, kept);
        return;
      } catch (error) {
        const why = messageOf(error);
        this.#logger.warn("a Pod is led by iptables instead of eBPF", { network: pod.network, error: why });
        record.refused = { why: why.slice(0, 500), at: this.#clock.now() };
      }
    }
    if (record.mode !== "iptables" || record.unsettled) await this.#leadByRules(pod, pod.capture, kept);
  }

  /** What a change has left for older connections goes when they have ended. */
  async tidy(network: string, { record, save }: Kept): Promise<void> {
    if (record.unsettled || (record.redirected === undefined && record.older === undefined)) return;
    const open = await openConnections(network);
    const settled = (since: number): boolean => this.#clock.now() - since >= settleMs;
    if (record.redirected !== undefined && settled(record.redirected) && redirected(open) === 0) {
      await forget(network, record.rules ?? "");
      for (const name of ["rules", "redirected", "older"] as const) delete record[name];
      save();
    }
    if (record.older === undefined) return;
    const known = new Set(record.older.ends);
    const left = open.filter((each) => known.has(connectionText(each)));
    if (left.length < known.size) {
      await passBy(network, left);
      record.older = { since: record.older.since, ends: left.map(connectionText) };
      save();
    }
    if (record.mode !== "iptables" || !settled(record.older.since)) return;
    if (record.known !== undefined && !left.some(isLedOut)) await this.#forgetPrograms(record);
    if (left.length === 0) delete record.older;
    save();
  }

  /** Leads no new connections of a Pod; those that its proxy has stay there. */
  async release(network: string, { record }: Kept): Promise<void> {
    if (record.refusesIPv6 === true) await acceptIPv6(within(network));
    delete record.refusesIPv6;
    if (record.takesIPv6) await passIPv6(within(network));
    if (record.known !== undefined) await this.#programs.leave(record.known);
    if (record.rules !== undefined) await release(network, record.rules);
  }

  /** Takes back everything of a Pod that goes on without a proxy. */
  async end(network: string, { record }: Kept): Promise<void> {
    await this.#forgetPrograms(record);
    if (record.takesIPv6) await forgetIPv6(within(network));
    delete record.takesIPv6;
    await forget(network, record.rules ?? "");
  }

  /** Takes back what the kernel knows of a Pod whose network is gone, or goes. */
  async forget(record: TrafficRecord | undefined): Promise<void> {
    if (record) await this.#forgetPrograms(record);
  }

  #isLed({ mode, unsettled, known, sockmap = false }: TrafficRecord, wanted: HijackMode, short = false): boolean {
    if (mode !== wanted || unsettled) return false;
    if (mode === "iptables") return true;
    return sockmap === short && known !== undefined && this.#programs.isCurrent(known);
  }

  #isRefused({ refused }: TrafficRecord): boolean {
    return refused !== undefined && this.#clock.now() - refused.at < refusedMs;
  }

  async #leadByPrograms(
    { network, address, sockmap = false }: LedPod,
    options: CaptureOptions,
    kept: Kept,
  ): Promise<void> {
    const { record, save } = kept;
    record.known = await this.#programs.cookie(network);
    record.unsettled = true;
    save();
    // Both are in force for a moment: programs see connections first, and rules leave alone where those lead them.
    if (record.rules !== undefined) await trackConnections(network);
    const live = record.rules !== undefined;
    const pod = { network, addresses: [address], capture: options, live, sockmap };
    const led = await this.#programs.lead(record.known, pod);
    if (!led) return;
    if (record.takesIPv6) await passIPv6(within(network));
    if (record.rules !== undefined) {
      await release(network, record.rules);
      record.redirected = this.#clock.now();
    }
    record.mode = "ebpf";
    if (sockmap) record.sockmap = true;
    else delete record.sockmap;
    delete record.refused;
    delete record.unsettled;
    save();
  }

  async #leadByRules({ network, fresh = false }: LedPod, options: CaptureOptions, kept: Kept): Promise<void> {
    const { record, save } = kept;
    const rules = captureRules(options);
    record.rules = rules;
    record.unsettled = true;
    save();
    if (!fresh) {
      await trackConnections(network);
      const open = await openConnections(network);
      await passBy(network, open);
      record.older = { since: this.#clock.now(), ends: open.map(connectionText) };
      save();
    }
    if (record.takesIPv6 && record.refusesIPv6 === false) await this.#leadIPv6(network, options, record);
    await capture(network, rules);
    if (record.known !== undefined) await this.#programs.leave(record.known);
    record.mode = "iptables";
    delete record.redirected;
    delete record.unsettled;
    save();
  }

  /** Connections of IPv6 that rules cannot lead are refused: none goes past the proxy. */
  async #leadIPv6(network: string, options: CaptureOptions, record: TrafficRecord): Promise<void> {
    try {
      await leadIPv6(within(network), options);
    } catch (error) {
      this.#logger.warn("connections of IPv6 to a Pod are refused", { network, error: messageOf(error) });
      record.refusesIPv6 = await refuseIPv6(within(network), options);
    }
  }

  async #forgetPrograms(record: TrafficRecord): Promise<void> {
    if (record.known === undefined) return;
    await this.#programs.remove(record.known);
    delete record.known;
  }
}
