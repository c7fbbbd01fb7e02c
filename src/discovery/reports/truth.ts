import { type EndpointSlice, endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import type { Clock } from "#base/clock.ts";
import type { Client } from "#kube/client.ts";
import { parseClusterName } from "#translate/names.ts";
import type { ProxyStatusSource } from "#xds/port.ts";
import type { ShownFinding } from "../shown-finding.ts";
import { EndpointCheck, type EndpointVerdict, type StaleCluster } from "./endpoint-check.ts";
import type { HeldReport, ProxyReports } from "./reports.ts";

/** What the truth about endpoints is found by. */
export interface EndpointTruthOptions {
  readonly reports: ProxyReports;
  readonly proxies: Pick<ProxyStatusSource, "endpoints">;
  /** The APIs of the member clusters. */
  readonly members: () => Iterable<readonly [cluster: string, client: Client]>;
  /** What is found has changed. */
  readonly changed: () => void;
  readonly clock: Clock;
  /** As in `EndpointCheck`. */
  readonly staleMs?: number;
}

/** What Kubernetes says of a service: addresses that are ready, without ports. */
interface ServiceWord {
  /** On the clock that never runs backwards. */
  readonly at: number;
  readonly addresses: readonly string[] | undefined;
}

/** The code of what is found. */
const code = "ProxyEndpointsStale";
const defaultStaleMs = 30_000;
/** Services of which Kubernetes' word is kept; addresses that are named. */
const mostServices = 100;
const mostNamed = 10;
/** Milliseconds that a cluster's API may take to answer. */
const answerMs = 5000;

/** Namespace and name of the Service that a cluster is of. */
function serviceOf(cluster: string): readonly [namespace: string, name: string] | undefined {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc\./.exec(parseClusterName(cluster)?.host ?? "") ?? [];
  return name === undefined || namespace === undefined ? undefined : [namespace, name];
}

function listed(addresses: readonly string[]): string {
  const more = addresses.length - mostNamed;
  return addresses.slice(0, mostNamed).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** An address without its port. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, "").replaceAll(/[[\]]/g, "");
}

/**
 * Compares all the time, of each proxy, what it holds with what it is to hold; where that differs for long, Kubernetes is asked too, so that
 * it can be told who is behind.
 */
export class EndpointTruth implements Disposable {
  readonly #options: EndpointTruthOptions;
  readonly #check: EndpointCheck;
  readonly #owned = new DisposableStack();
  readonly #services = new Map<string, ServiceWord>();

  constructor(options: EndpointTruthOptions) {
    const { reports, proxies, clock, staleMs = defaultStaleMs } = options;
    this.#options = options;
    this.#check = new EndpointCheck({
      due: (id) => proxies.endpoints(id),
      ask: (id, question) => reports.ask(id, question),
      changed: () => this.#changed(),
      clock,
      staleMs,
    });
    this.#owned.use(reports.onReport((held) => this.#check.look(held)));
    this.#owned.use(
      reports.onAnswer((id, answer) => {
        if (answer.kind === "hashes") this.#check.hashes(id, answer.hashes);
        else if (answer.kind === "addresses") this.#check.addresses(id, answer.addresses);
      }),
    );
    this.#owned.use(clock.every(staleMs / 3, () => this.#look()));
  }

  /** What came of comparing a proxy's endpoints; undefined where its agent does not tell. */
  verdict(held: HeldReport): EndpointVerdict | undefined {
    return this.#check.verdict(held);
  }

  /** What is to be told of proxies that are behind. */
  findings(): readonly ShownFinding[] {
    const now = this.#options.clock.now();
    return [...this.#options.reports.all()].flatMap((held) => {
      const { stale = [], count = 0 } = this.#check.verdict(held) ?? {};
      if (count === 0) return [];
      const { id: node, cluster } = held.node;
      const since = Math.min(now, ...stale.map((each) => each.since));
      return [{ node, cluster, code, what: this.#words(stale, count), since, last: now, count }];
    });
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #look(): void {
    const there = new Set<string>();
    for (const held of this.#options.reports.all()) {
      if (!held.live) continue;
      there.add(held.node.id);
      this.#check.look(held);
    }
    this.#check.keep(there);
  }

  #words(stale: readonly StaleCluster[], count: number): string {
    if (stale.length === 0)
      return "holds other endpoints than the control plane sent it, and its agent does not say of which clusters";
    const each = stale.map((one) => this.#clusterWords(one)).join("; ");
    const clusters = count === 1 ? "a cluster" : `${count} clusters`;
    const fix = "restart its proxy where it does not catch up";
    return `holds other endpoints of ${clusters} than the control plane sent it: ${each}; ${fix}`;
  }

  #clusterWords({ cluster, surplus, missing }: StaleCluster): string {
    if (!surplus || !missing) return cluster;
    const kubernetes = this.#kubernetes(cluster);
    const known = (address: string): boolean => kubernetes?.includes(hostOf(address)) === true;
    const said = (addresses: readonly string[]): string => {
      if (!kubernetes) return "";
      const count = addresses.filter(known).length;
      return ` (${count} of them ready in Kubernetes)`;
    };
    const parts = [
      ...(surplus.length > 0 ? [`holds ${listed(surplus)}${said(surplus)}`] : []),
      ...(missing.length > 0 ? [`lacks ${listed(missing)}${said(missing)}`] : []),
    ];
    return `${cluster} ${parts.join(" and ")}`;
  }

  #kubernetes(cluster: string): readonly string[] | undefined {
    const service = serviceOf(cluster);
    return service && this.#services.get(service.join("/"))?.addresses;
  }

  #changed(): void {
    for (const held of this.#options.reports.all())
      for (const { cluster } of this.#check.verdict(held)?.stale ?? []) void this.#ask(cluster);
    this.#options.changed();
  }

  /** Asks the member clusters for what they say of a service, once in a while. */
  async #ask(cluster: string): Promise<void> {
    const service = serviceOf(cluster);
    if (!service) return;
    const { clock, members, staleMs = defaultStaleMs } = this.#options;
    const key = service.join("/");
    const known = this.#services.get(key);
    if (known && clock.monotonic() - known.at < staleMs) return;
    this.#services.delete(key);
    this.#services.set(key, { at: clock.monotonic(), addresses: known?.addresses });
    const [oldest] = this.#services.keys();
    if (this.#services.size > mostServices && oldest !== undefined) this.#services.delete(oldest);
    const asked = [...members()].map(async ([, client]) => readyAddresses(client, service));
    // A cluster that is away says nothing, and then nothing is said of what clusters say.
    const told = await Promise.all(asked).catch(() => undefined);
    this.#services.set(key, { at: clock.monotonic(), addresses: told?.flat() });
    this.#options.changed();
  }
}

async function readyAddresses(
  client: Client,
  [namespace, name]: readonly [string, string],
): Promise<readonly string[]> {
  const selection = { namespace, labelSelector: `kubernetes.io/service-name=${name}` };
  const { items } = await client.of<EndpointSlice>(endpointSlice).list(selection, AbortSignal.timeout(answerMs));
  return items.flatMap(({ endpoints }) =>
    endpoints.flatMap(({ addresses, conditions }) => (conditions?.ready === false ? [] : addresses)),
  );
}
