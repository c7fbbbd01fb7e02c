import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { NamespaceGuard } from "#controllers/aggregation/guard.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { inClusterAddress } from "#kube/in-cluster.ts";
import { apiAddress } from "#kube/kubeconfig.ts";

/** What it needs of the machine. */
interface GuardContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Guards a member cluster's namespaces until the signal aborts.
 * @param api the cluster's API: a kubeconfig, a URL, or `in-cluster`.
 * @throws WeftError as `apiAddress`, and as `inClusterAddress`.
 */
export async function runGuard(api: string, { clock, logger }: GuardContext, signal: AbortSignal): Promise<void> {
  using connection = new Connection(api === "in-cluster" ? inClusterAddress(process.env) : await apiAddress(api), {
    clock,
  });
  await new NamespaceGuard({ client: new Client(connection), clock, logger }).run(signal);
}
