import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { envoyAnnotation, renewAnnotation } from "#api/kubernetes/proxy-upgrade.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { type SidecarUpgrade, sidecarUpgrade } from "#api/weft/sidecar-upgrade.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { Gates } from "./gates.ts";
import { withCounts } from "./handover-counts.ts";
import type { CountSources } from "./requests.ts";
import { type Ask, heldIn, type Plan, planned } from "./plan.ts";
import { fitsCluster, type SeenSidecar, selectedSidecar } from "./selection.ts";

/** What carrying out upgrades needs. */
export interface SidecarUpgradesOptions extends CountSources {
  /** The mesh's API. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks while an upgrade is under way, and while none is. */
const [busyMs, idleMs] = [1000, 3000];

/** Carries out upgrades of sidecars, from where whoever did so before has left them. */
class SidecarUpgrades {
  readonly #options: SidecarUpgradesOptions;
  readonly #upgrades: KindClient<SidecarUpgrade>;
  readonly #clusters: KindClient<Cluster>;
  readonly #gates = new Map<string, Gates>();

  constructor(options: SidecarUpgradesOptions) {
    this.#options = options;
    this.#upgrades = options.client.of<SidecarUpgrade>(sidecarUpgrade);
    this.#clusters = options.client.of<Cluster>(clusterKind);
  }

  /** One look at all of them. Returns whether one is under way. */
  async look(): Promise<boolean> {
    const { items } = await this.#upgrades.list({});
    const ordered = items.toSorted((a, b) => orderOf(a) - orderOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1));
    const taken = new Map<string, string>();
    for (const { metadata, status } of ordered)
      if (heldIn.has(status?.phase ?? "")) for (const { uid } of status?.sidecars ?? []) taken.set(uid, metadata.name);
    let busy = false;
    for (const upgrade of ordered) {
      try {
        busy = (await this.#step(upgrade, taken)) || busy;
      } catch (error) {
        const level = ["Conflict", "NotFound", "Unavailable"].includes(codeOf(error)) ? "debug" : "warn";
        this.#options.logger[level]("an upgrade of sidecars does not go on", {
          upgrade: upgrade.metadata.name,
          error: messageOf(error),
        });
        busy = true;
      }
    }
    for (const uid of this.#gates.keys())
      if (!items.some(({ metadata }) => metadata.uid === uid)) this.#gates.delete(uid);
    return busy;
  }

  async #step(upgrade: SidecarUpgrade, taken: Map<string, string>): Promise<boolean> {
    const { clock } = this.#options;
    const { name, uid } = upgrade.metadata;
    const over = {
      seen: [],
      taken,
      away: new Set<string>(),
      now: clock.now(),
      gate: () => ({ opens: true, failed: false, why: "" }),
    };
    if (!heldIn.has(upgrade.status?.phase ?? "Running") && planned(upgrade, over) === undefined) return false;
    const { seen, away } = await this.#seen(upgrade);
    const gates = this.#gates.get(uid) ?? new Gates(this.#options);
    this.#gates.set(uid, gates);
    await gates.look(upgrade);
    const next = planned(upgrade, { ...over, seen, away, gate: (one) => gates.answer(one) });
    if (next === undefined) return false;
    const plan = await this.#counted(upgrade, next, gates);
    // Who is killed here has asked, which the next one sees.
    for (const ask of plan.asks) await this.#ask(ask);
    if (!equal(plan.status, upgrade.status)) await this.#upgrades.replaceStatus({ ...upgrade, status: plan.status });
    if (heldIn.has(plan.status.phase ?? "")) for (const each of plan.status.sidecars ?? []) taken.set(each.uid, name);
    if (plan.status.phase !== upgrade.status?.phase)
      this.#options.logger.info("an upgrade of sidecars", {
        upgrade: name,
        phase: plan.status.phase,
        why: plan.status.message,
      });
    return heldIn.has(plan.status.phase ?? "");
  }

  /** A plan with what is counted of its sidecars before they are changed, and after. */
  async #counted(upgrade: SidecarUpgrade, { status, asks }: Plan, gates: Gates): Promise<Plan> {
    const { waveSince, othersP99Ms: known } = upgrade.status ?? {};
    const opened = waveSince !== undefined && status.waveSince === undefined;
    const othersP99Ms = (opened ? gates.othersP99(upgrade) : undefined) ?? known;
    const forth = status.phase === "RollingBack" || status.phase === "RolledBack" ? [] : asks;
    const sidecars = await withCounts(this.#options, upgrade.status?.sidecars, status.sidecars, forth);
    return {
      asks,
      status: { ...status, ...(othersP99Ms !== undefined && { othersP99Ms }), ...(sidecars && { sidecars }) },
    };
  }

  async #seen({
    spec,
    status,
  }: SidecarUpgrade): Promise<{ readonly seen: readonly SeenSidecar[]; readonly away: ReadonlySet<string> }> {
    // What was chosen at first stays chosen, whatever its labels become.
    const begun = status?.sidecars !== undefined && status.sidecars.length > 0;
    const { selector = {} } = spec;
    const known = new Set(status?.sidecars?.map(({ uid }) => uid));
    const seen: SeenSidecar[] = [];
    const away = new Set<string>();
    const { items } = await this.#clusters.list({});
    for (const { metadata } of items) {
      const { name } = metadata;
      if (!fitsCluster(selector, name)) continue;
      try {
        for (const pod of await this.#pods(name, selector.namespaces ?? [])) {
          const found = selectedSidecar(begun ? {} : selector, name, pod);
          if (found && (!begun || known.has(found.uid))) seen.push(found);
        }
      } catch (error) {
        this.#options.logger.debug("a cluster's sidecars are not known", { cluster: name, error: messageOf(error) });
        away.add(name);
      }
    }
    return { seen, away };
  }

  async #pods(cluster: string, namespaces: readonly string[]): Promise<readonly Pod[]> {
    const client = this.#options.member(cluster);
    if (!client) throw new Error("it was not reached");
    const pods = client.of<Pod>(podKind);
    const found: Pod[] = [];
    for (const namespace of namespaces.length === 0 ? [undefined] : namespaces)
      found.push(...(await pods.list(namespace === undefined ? {} : { namespace })).items);
    return found;
  }

  async #ask({ sidecar, envoy, renew }: Ask): Promise<void> {
    const { cluster, namespace, pod: name, uid } = sidecar;
    const pods = this.#options.member(cluster)?.of<Pod>(podKind);
    const annotations = { [envoyAnnotation]: envoy ?? null, [renewAnnotation]: renew ?? null };
    try {
      await pods?.patch({ namespace, name }, { kind: "merge", body: { metadata: { uid, annotations } } });
    } catch (error) {
      // It went, or another one has its name: the next look says so.
      if (codeOf(error) !== "NotFound" && codeOf(error) !== "Conflict") throw error;
    }
  }
}

function orderOf({ metadata }: SidecarUpgrade): number {
  return Date.parse(metadata.creationTimestamp ?? "") || 0;
}

/** Carries out the mesh's upgrades of sidecars until the signal aborts; to be run by one control plane of several. */
export async function runSidecarUpgrades(options: SidecarUpgradesOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger } = options;
  const upgrades = new SidecarUpgrades(options);
  while (!signal.aborted) {
    let busy = false;
    try {
      busy = await upgrades.look();
    } catch (error) {
      logger.debug("upgrades of sidecars cannot be read", { error: messageOf(error) });
    }
    await clock.sleep(busy ? busyMs : idleMs, signal).catch(() => undefined);
  }
}
