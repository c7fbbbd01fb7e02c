import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { readReport, reportLabel, reportName, type RevisionReport } from "#api/weft/revision-report.ts";
import { revisionLabel, revisionsNamespace } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import type { ProxyStatus, ProxyStatusSource } from "#xds/port.ts";
import { proxyLabel } from "./proxy-object.ts";

/** What a control plane tells of itself. */
export interface ReportSource {
  readonly version: string;
  readonly proxies: ProxyStatusSource;
  /** What is found against objects, as `CODE KIND NAMESPACE/NAME`. */
  readonly findings: () => readonly string[];
  readonly clock: Clock;
}

/** Names that are told; others are counted. A ConfigMap has a megabyte for all control planes of a revision. */
const mostProxies = 200;
const mostBehind = 20;
const mostFindings = 300;

function isBehind({ types }: ProxyStatus): boolean {
  return Object.values(types).some(({ state }) => state !== "SYNCED" && state !== "NEVER");
}

/** How a control plane stands now. */
export function reportOf({ version, proxies: source, findings: found, clock }: ReportSource): RevisionReport {
  const proxies = source.proxies();
  const behind = proxies.filter(isBehind);
  const findings = found().toSorted();
  return {
    at: new Date(clock.now()).toISOString(),
    version,
    connected: proxies.length,
    inSync: proxies.length - behind.length,
    proxies: proxies.slice(0, mostProxies).map(({ node }) => proxyLabel(node)),
    behind: behind.slice(0, mostBehind).map(({ node }) => proxyLabel(node)),
    findings: findings.slice(0, mostFindings),
    findingCount: findings.length,
  };
}

/** What is needed to tell it to a cluster. */
export interface RevisionReporterOptions {
  readonly client: Client;
  readonly revision: string;
  /** The control plane's name among those of the revision. */
  readonly replica: string;
  readonly report: () => RevisionReport;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks, between words when nothing changes, and after which the word of one that is silent is removed. */
const lookMs = 2_000;
const sayMs = 20_000;
const silentMs = 90_000;

/** Tells a cluster's administrators how a revision stands, in a ConfigMap where each control plane has a key. */
export class RevisionReporter {
  readonly #options: RevisionReporterOptions;
  #said = "";
  #saidAt = -Infinity;

  constructor(options: RevisionReporterOptions) {
    this.#options = options;
  }

  /** Tells it until the signal aborts, and takes its own word back then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, revision } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (error) {
        logger.warn("how the revision stands is not told", { revision, error: messageOf(error) });
      }
      await clock.sleep(lookMs, signal).catch(() => undefined);
    }
    await this.#patch({ [this.#options.replica]: null }).catch(() => undefined);
  }

  async #look(): Promise<void> {
    const { clock, replica, report } = this.#options;
    const told = report();
    const content = JSON.stringify({ ...told, at: "" });
    if (content === this.#said && clock.monotonic() - this.#saidAt < sayMs) return;
    const { data = {} } = await this.#patch({ [replica]: JSON.stringify(told) });
    this.#said = content;
    this.#saidAt = clock.monotonic();
    const silent = Object.entries(data).filter(([name, text]) => {
      const at = Date.parse(readReport(text)?.at ?? "");
      return name !== replica && !(clock.now() - at < silentMs);
    });
    if (silent.length > 0) await this.#patch(Object.fromEntries(silent.map(([name]) => [name, null])));
  }

  /** Writes keys of the ConfigMap, whoever else writes others. */
  async #patch(data: Readonly<Record<string, string | null>>): Promise<ConfigMap> {
    const { client, revision } = this.#options;
    const maps = client.of<ConfigMap>(configMap);
    const place = { namespace: revisionsNamespace, name: reportName(revision) };
    try {
      return await maps.patch(place, { kind: "merge", body: { data } });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
      const labels = { [revisionLabel]: revision, [reportLabel.name]: reportLabel.value };
      const kept = Object.entries(data).filter((entry): entry is [string, string] => entry[1] !== null);
      return maps.create({ metadata: { ...place, labels }, data: Object.fromEntries(kept) });
    }
  }
}
