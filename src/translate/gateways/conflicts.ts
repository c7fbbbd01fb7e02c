import type { GatewaySpec } from "#api/istio/gateway.ts";
import { listed, type Problem } from "#model/findings/finding.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Config } from "#model/rows.ts";
import { byAge } from "#model/service.ts";
import { mergeServers, type PlacedServer } from "./server.ts";

/** Whether some proxies may serve both Gateways. */
function meet(a: Config<GatewaySpec>, b: Config<GatewaySpec>): boolean {
  const [first, second] = [a.spec.selector ?? {}, b.spec.selector ?? {}];
  return labelsMatch(first, second) || labelsMatch(second, first);
}

function keyOf({ namespace, name }: Config<GatewaySpec>): string {
  return `${namespace}/${name}`;
}

/** Servers of a Gateway that are left out, since others of it or of an older Gateway have their place. */
export function conflictingServers(
  gateway: Config<GatewaySpec>,
  all: readonly Config<GatewaySpec>[],
): readonly Problem[] {
  const placed = all
    .filter((other) => meet(gateway, other))
    .toSorted(byAge)
    .flatMap((row) =>
      (row.spec.servers ?? []).map((server, index): PlacedServer => {
        return { gateway: keyOf(row), index, server, port: server.port.number };
      }),
    );
  return mergeServers(placed)
    .leftOut.filter(({ server }) => server.gateway === keyOf(gateway))
    .map(({ server: { index, port }, before, hosts }) => {
      const other = `server ${before.index} of Gateway ${before.gateway}`;
      const message =
        hosts.length > 0
          ? `Port ${port} has ${listed(hosts)} from ${other} already; this server is left out. Take the hosts out of one of them.`
          : `Port ${port} is taken by ${other}, which speaks ${before.server.port.protocol}; this server is left out. Give it another port.`;
      return { code: "ConflictingServers", severity: "error", field: `spec.servers[${index}]`, message };
    });
}
