import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { ProxyReports } from "./reports.ts";

/** Which proxy's log is wanted. */
export interface LoggedProxy {
  /** The node id. */
  readonly id: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  /** Whether it is a container of its Pod, which the cluster has the log of. */
  readonly contained: boolean;
}

/** Which part of it. */
export interface LogPart {
  readonly lines: number;
  /** Of the process before the one that runs. */
  readonly previous: boolean;
}

/** What is needed to read logs. */
export interface ProxyLogsOptions {
  readonly reports: ProxyReports;
  readonly clusterClient: (cluster: string) => Client | undefined;
  readonly clock: Clock;
}

/** The container of a proxy, as in Istio. */
const container = "istio-proxy";
/** Milliseconds that an agent may take to answer, and agents that are asked at once. */
const answerMs = 10_000;
const mostAsked = 100;

/** Reads proxies' logs: of those that their node's agent runs from the agent, on its stream of reports; of containers through their cluster. */
export class ProxyLogs implements Disposable {
  readonly #options: ProxyLogsOptions;
  /** Who waits for an agent's answer, by node id. */
  readonly #waiting = new Map<string, (text: string) => void>();
  readonly #answers: Disposable;

  constructor(options: ProxyLogsOptions) {
    this.#options = options;
    this.#answers = options.reports.onAnswer((id, answer) => {
      if (answer.kind === "log") this.#waiting.get(id)?.(answer.text);
    });
  }

  /** @throws WeftError `Unavailable` where nobody can tell now, and as the cluster's client does. */
  async read({ id, cluster, namespace, pod, contained }: LoggedProxy, { lines, previous }: LogPart): Promise<string> {
    if (!contained) return this.#ofAgent(id, { lines, previous });
    const client = this.#options.clusterClient(cluster);
    if (!client) throw new WeftError("Unavailable", `the API of cluster ${cluster} is not known`);
    const query = { container, tailLines: String(lines), previous: String(previous) };
    const path = `/api/v1/namespaces/${namespace}/pods/${pod}/log`;
    return (await client.bytes({ method: "GET", path, query })).toString("utf8");
  }

  [Symbol.dispose](): void {
    this.#answers[Symbol.dispose]();
  }

  async #ofAgent(id: string, part: LogPart): Promise<string> {
    const { reports, clock } = this.#options;
    if (!reports.get(id)?.live) throw new WeftError("Unavailable", "no agent tells of the proxy now: look at its node");
    if (this.#waiting.has(id) || this.#waiting.size >= mostAsked)
      throw new WeftError("Unavailable", "agents are being asked for logs already: try again");
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const late = new WeftError("DeadlineExceeded", `the proxy's agent did not answer within ${answerMs / 1000} s`);
    using _limit = clock.after(answerMs, () => reject(late));
    this.#waiting.set(id, resolve);
    try {
      reports.ask(id, { ask: "log", ...part });
      return await promise;
    } finally {
      this.#waiting.delete(id);
    }
  }
}
