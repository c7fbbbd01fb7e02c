import { isIPv4 } from "node:net";
import { connectionsOutside } from "#api/kubernetes/pod-status.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { prepareIPv6 } from "#runtime/capture6.ts";
import { inside } from "#runtime/namespace.ts";
import { modeAnnotation } from "../capture-annotations.ts";
import { proxyUser } from "../layout.ts";
import type { ProxyContext } from "../node-context.ts";
import { PodProxy } from "../pod-proxy.ts";
import type { ProxyView } from "../pod-status.ts";
import type { Upstream } from "../revisions/routes.ts";
import type { ProbeTarget } from "../probe.ts";
import { keptTraffic, leadPod } from "../traffic/lead-pod.ts";
import { captured, connectionsOf, connectionText, type OpenConnection, outside } from "../traffic/open-connections.ts";
import { leavingStep, stepMs } from "./leaving.ts";
import type { PodPlace, PodPlaces } from "./pod-places.ts";
import { PodExtras } from "./pod-extras.ts";
import { probedPorts, type ProbeRules } from "./probe-rules.ts";
import type { ManagedRecord } from "./record.ts";

/** What the parts share that give Pods of another runtime their sidecars. */
export interface ManagedContext extends ProxyContext {
  readonly places: PodPlaces;
  readonly probes: ProbeRules;
  /** The control plane that is to serve a Pod's proxy; undefined while that is not known. */
  readonly upstream: (pod: Pod) => Upstream | undefined;
}

/** How often a Pod is looked at without any sign of change. */
const lookMs = 2000;
/** How soon a Pod whose processes are not there yet is looked for again. */
const findMs = 300;
/** How long callers get to hear that a Pod that ran before is of the mesh now. */
const lenientMs = 8000;
/** How long connections get to leave the proxy of a Pod that has left. */
const drainMs = 60_000;
/** How long a proxy may take to end when asked. */
const graceMs = 2000;
/** How long is waited before a control plane that does not answer is asked again whether it takes a proxy. */
const followAgainMs = 5000;
/** Connections that are named; the others are counted. */
const mostNamed = 20;

/** How a Pod stands after a turn: `gone` when nothing of us is left in it. */
export interface Turn {
  readonly gone: boolean;
  /** Milliseconds until it wants another one. */
  readonly again?: number;
}

/** The network of a new Pod. */
export interface NewSandbox {
  readonly address: string;
  /** File of its namespace. */
  readonly network: string;
  readonly sandbox: string;
}

/** Connections of a Pod; one without processes has none. */
function connectionsIn({ process }: PodPlace): readonly OpenConnection[] {
  return process ? connectionsOf(process.pid) : [];
}

/** Gives one Pod that another runtime runs its sidecar, and takes it back, without a change to the Pod's own processes. */
export class ManagedPod implements AsyncDisposable {
  readonly record: ManagedRecord;
  readonly #context: ManagedContext;
  readonly #proxy: PodProxy;
  readonly #extras: PodExtras;
  /** Whether the Pod is to have a sidecar. */
  wanted = true;
  /** Whether the Pod itself has ended, or is not the API's any more. */
  ended = false;
  /** Whether it has another address than its proxy was made for: the proxy ends, and another one follows. */
  moved = false;
  #claimed = false;
  #drained = false;
  /** The revision that was told not to answer, and when it is asked again. */
  #unanswered: { readonly revision: string; readonly againAt: number } | undefined;

  constructor(context: ManagedContext, record: ManagedRecord) {
    this.record = record;
    this.#context = context;
    this.#proxy = new PodProxy(context, record, () => this.#target());
    this.#extras = new PodExtras(context, record);
  }

  get #uid(): string {
    return this.record.pod.metadata.uid;
  }

  /** Whether it is to have a sidecar for as long as is known now. */
  get stays(): boolean {
    return this.wanted && !this.ended && this.record.pod.metadata.deletionTimestamp === undefined;
  }

  /** Takes note of the Pod as the API has it now. */
  update(pod: Pod): void {
    this.record.pod = pod;
    if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") this.ended = true;
    const { podIP = "" } = pod.status ?? {};
    this.moved = podIP !== "" && podIP !== this.record.address;
    this.#context.records.save(this.record);
  }

  /** How its proxy stands, for the Pod's status. While it leaves, it is said to be not ready. */
  view(): ProxyView {
    const { certificate, proof, upgrade } = this.#proxy;
    const { pod, traffic } = this.record;
    return {
      pod,
      proxyReady: this.record.joined === true && this.#proxy.ready && this.record.leaving === undefined,
      ...(certificate && { certificate }),
      ...(proof && { proof }),
      ...(traffic && { traffic }),
      ...(upgrade && { upgrade }),
      restartDue: this.#proxy.restartDue,
      now: this.#context.clock.now(),
    };
  }

  /** One turn: brings it as far as it can get without waiting. */
  async run(): Promise<Turn> {
    const place = this.#context.places.find(this.#uid);
    const turn = await this.#step(place);
    this.#context.records.save(this.record);
    return turn;
  }

  /**
   * Captures its traffic in a network that nobody uses yet.
   * @returns whether its proxy can be started before its first process.
   */
  async captureNew({ network, sandbox }: NewSandbox): Promise<boolean> {
    const { record } = this;
    record.sandbox = sandbox;
    await this.#prepareIPv6(network);
    await this.#context.probes.set(this.#uid, probedPorts(record.pod, record.address));
    await this.#lead(network, true);
    return this.#context.places.made(this.#uid, { network, sandbox });
  }

  /** Kills its proxy, whose network is gone. */
  async abandon(): Promise<void> {
    this.#proxy.stop(0);
    this.#proxy.wind();
    await this.#context.traffic.forget(this.record.traffic);
    await this[Symbol.asyncDispose]();
    if (this.record.baseId !== undefined) this.#context.baseIds.free(this.record.baseId);
  }

  /** Lets go of it; its proxy goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#extras[Symbol.dispose]();
    await this.#proxy[Symbol.asyncDispose]();
  }

  async #step(place: PodPlace | undefined): Promise<Turn> {
    if (this.ended || this.moved) return this.#end();
    if (!place) return { gone: false, again: findMs };
    if (this.record.sandbox !== undefined && this.record.sandbox !== place.sandbox) await this.#startOver();
    this.record.sandbox = place.sandbox;
    const { leaving } = this.record;
    if (!this.wanted || leaving?.released !== undefined) return this.#leave(place);
    delete this.record.leaving;
    return this.#join(place);
  }

  /** The Pod's network is another one than before: what was done to the old one is gone, but for the process. */
  async #startOver(): Promise<void> {
    await this.#context.traffic.forget(this.record.traffic);
    for (const name of ["traffic", "lenientUntil", "joined", "early", "outside", "leaving"] as const)
      delete this.record[name];
    this.#claimed = false;
    this.#extras.end();
    this.#proxy.stop(0);
    await this.#proxy.close();
  }

  /** The proxy first, the traffic when the proxy is ready for it. */
  async #join(place: PodPlace): Promise<Turn> {
    const { record } = this;
    const { probes } = this.#context;
    if (!this.#claimed) await this.#claim(place.network);
    this.#claimed = true;
    if (this.#extras.decide(place, this.#proxy)) await this.#proxy.close();
    await this.#proxy.serve(false);
    await this.#follow();
    this.#proxy.beLenient(this.#isLenient);
    await probes.set(this.#uid, probedPorts(record.pod, record.address));
    const again = await this.#proxy.run();
    if (record.pod.metadata.deletionTimestamp !== undefined) await this.#drainOnce();
    else if (this.#proxy.ready && record.joined !== true) await this.#capture(place);
    else if (record.joined === true) await this.#lead(place.network);
    this.#lookOutside(place);
    await this.#extras.serve(place, this.#proxy);
    const soonest = place.process ? lookMs : findMs;
    return { gone: false, again: Math.min(soonest, again ?? soonest) };
  }

  /** Whether callers may not have heard that it joins, where it ran before: until they have, they send what they always sent. */
  get #isLenient(): boolean {
    const { joined, traffic, lenientUntil = 0 } = this.record;
    return joined === true ? this.#context.clock.now() < lenientUntil : traffic?.mode === undefined;
  }

  /** Before its connections are led, and so before its proxy listens: whether that takes those of IPv6, too. */
  async #prepareIPv6(network: string): Promise<void> {
    const { record } = this;
    const asked = record.pod.metadata.annotations?.[modeAnnotation] !== "NONE" && isIPv4(record.address);
    record.ipv6 = asked && (await prepareIPv6((argv) => inside(network, argv)));
  }

  /** A proxy that was never started begins with the control plane that it is to have. */
  async #claim(network: string): Promise<void> {
    const { record } = this;
    if (record.traffic?.mode === undefined) await this.#prepareIPv6(network);
    const { revision, address } = this.#context.upstream(record.pod) ?? {};
    if (record.baseId === undefined && revision !== undefined && address !== undefined)
      record.upstream = { revision, address };
    await this.#proxy.claim();
  }

  /** Follows another revision once that takes the proxy; until then it stays with the one that it has. */
  async #follow(): Promise<void> {
    const { pod, upstream: now } = this.record;
    const { options, clock, tell } = this.#context;
    const wanted = this.#context.upstream(pod);
    const [revision, at] = [now?.revision ?? options.revision, now?.address ?? options.xds];
    if (!wanted || (wanted.revision === revision && wanted.address === at)) {
      this.#unanswered = undefined;
      return;
    }
    const asked = this.#unanswered?.revision === wanted.revision ? this.#unanswered : undefined;
    if (asked && clock.monotonic() < asked.againAt) return;
    const { address } = wanted;
    try {
      if (address === undefined) throw new WeftError("NotFound", "nothing says where it is");
      await this.#proxy.follow({ revision: wanted.revision, address });
      this.#unanswered = undefined;
    } catch (error) {
      this.#unanswered = { revision: wanted.revision, againAt: clock.monotonic() + followAgainMs };
      if (asked) return;
      const message = `The proxy stays with revision ${revision}: revision ${wanted.revision} at ${address ?? "no known address"} does not take it: ${messageOf(error)}`;
      tell(pod, { type: "Warning", reason: "RevisionUnavailable", message: message.slice(0, 1000) });
    }
  }

  async #capture(place: PodPlace): Promise<void> {
    const { record } = this;
    const { tell, logger } = this.#context;
    let left: readonly OpenConnection[] = [];
    try {
      // What was captured before its first container started has no connections that are older.
      const isNew = record.traffic?.mode === undefined;
      if (isNew) record.lenientUntil = this.#context.clock.now() + lenientMs;
      await this.#lead(place.network);
      if (isNew && record.traffic?.mode !== "none") left = this.#older(place);
    } catch (error) {
      tell(record.pod, { type: "Warning", reason: "CaptureFailed", message: messageOf(error).slice(0, 1000) });
      throw error;
    }
    record.joined = true;
    if (!place.process) record.early = true;
    if (left.length > 0) record.outside = left.map(connectionText);
    const { name, namespace } = record.pod.metadata;
    logger.info("a Pod has joined the mesh", { pod: name, namespace, outside: left.length });
    if (left.length === 0) return;
    const named = left.slice(0, mostNamed).map(connectionText).join(", ");
    const message = `${left.length} connections are older than the sidecar and go on without it: ${named}`;
    tell(record.pod, { type: "Warning", reason: connectionsOutside, message: message.slice(0, 1000) });
  }

  /** By whom connections of the proxy are known; of nobody while it has never been started. */
  get #proxyUser(): number {
    const { baseId } = this.record;
    return baseId === undefined ? -1 : proxyUser(baseId);
  }

  /** Has its connections led as is wanted now. @param fresh whether nothing of the Pod runs yet. */
  async #lead(network: string, fresh = false): Promise<void> {
    await leadPod(this.#context, this.record, { network, fresh, usual: this.#context.options.hijack ?? "iptables" });
  }

  /** Connections of a Pod that runs which are older than what leads new ones. */
  #older(place: PodPlace): readonly OpenConnection[] {
    return outside(connectionsIn(place), this.#proxyUser).filter(({ open }) => open);
  }

  /** Forgets connections outside of the proxy that have ended. */
  #lookOutside(place: PodPlace): void {
    const { record } = this;
    if (record.outside === undefined) return;
    const known = new Set(record.outside);
    const left = connectionsIn(place).filter((each) => known.has(connectionText(each)));
    if (left.length === 0) delete record.outside;
    else record.outside = left.map(connectionText);
  }

  /** Once callers have heard, new connections go past the proxy, which tells those that it has to go, and ends when they have. */
  async #leave(place: PodPlace): Promise<Turn> {
    const { record } = this;
    const { clock, logger } = this.#context;
    record.leaving ??= { since: clock.now() };
    if (record.leaving.released === undefined) {
      await this.#proxy.serve(false);
      await this.#proxy.run();
      if (record.joined === true) {
        const { leaving, done } = await leavingStep(record.leaving, this.#proxy, clock);
        record.leaving = leaving;
        if (!done) return { gone: false, again: stepMs };
      }
      await this.#extras.release(place);
      await this.#context.traffic.release(place.network, keptTraffic(this.#context, record));
      record.leaving = { ...record.leaving, released: clock.now() };
      await this.#drainOnce("all");
    }
    const open = captured(connectionsIn(place), this.#proxyUser);
    if (open > 0 && clock.now() < (record.leaving.released ?? 0) + drainMs) return { gone: false, again: stepMs };
    const turn = await this.#end();
    if (turn.gone) await this.#context.traffic.end(place.network, keptTraffic(this.#context, record));
    if (turn.gone) logger.info("a Pod has left the mesh", { pod: record.pod.metadata.name, cut: open });
    return turn;
  }

  async #drainOnce(which: "inbound" | "all" = "inbound"): Promise<void> {
    if (this.#drained) return;
    this.#drained = true;
    await this.#proxy.drain(which);
  }

  /** Ends the proxy, and then what was made for it. */
  async #end(): Promise<Turn> {
    const { probes, baseIds } = this.#context;
    this.#proxy.stop(graceMs);
    const again = this.#proxy.wind();
    if (this.#proxy.lives) return { gone: false, again: Math.min(again ?? stepMs, stepMs) };
    await probes.remove(this.#uid);
    await this.#context.traffic.forget(this.record.traffic);
    this.#extras.end();
    await this[Symbol.asyncDispose]();
    if (this.record.baseId !== undefined) baseIds.free(this.record.baseId);
    delete this.record.baseId;
    return { gone: true };
  }

  #target(): ProbeTarget {
    return { address: this.record.address, ports: [], inContainer: () => undefined };
  }
}
