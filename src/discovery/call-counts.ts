import type { CallCounts } from "./call-watch.ts";

/** Envoy's `envoy.admin.v3.Clusters`, as far as it is read. */
interface Clusters {
  readonly cluster_statuses?: readonly {
    readonly name: string;
    readonly host_statuses?: readonly {
      readonly stats?: readonly { readonly name?: string; readonly value?: string }[];
    }[];
  }[];
}

/**
 * What was sent to each cluster, as Envoy's `/clusters?format=json` has it. These counters are there whatever statistics
 * the proxy was told to keep; connections of TCP count as requests in them, too.
 * @throws SyntaxError for a text that is no JSON.
 */
export function callCounts(page: Buffer): CallCounts {
  const { cluster_statuses: clusters = [] } = JSON.parse(page.toString()) as Clusters;
  return new Map(
    clusters.map(({ name, host_statuses: hosts = [] }) => {
      const stats = hosts.flatMap((host) => host.stats ?? []);
      const sum = (counter: string): number =>
        stats.filter((each) => each.name === counter).reduce((total, { value = "0" }) => total + Number(value), 0);
      return [name, { begun: sum("rq_total"), open: sum("rq_active") }] as const;
    }),
  );
}
