import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import { labelsText } from "#api/kubernetes/selector.ts";
import type { EndpointQueries } from "../endpoints.ts";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import { resolveHost } from "../hosts.ts";
import { labelsMatch } from "../labels.ts";
import type { Config } from "../rows.ts";
import { selectorOf } from "../rule-groups.ts";
import { only } from "../services.ts";
import { parseServiceKey } from "../tables.ts";
import type { Problem } from "./finding.ts";
import { unselected, type WorkloadContext } from "./workloads.ts";

/** What is asked to judge a DestinationRule. */
export interface RuleContext extends WorkloadContext {
  readonly endpoints: EndpointQueries;
}

/** Keys of the services that a rule is for, as its own namespace sees them. */
function servicesOf(host: string, viewer: string, { services }: RuleContext): readonly string[] {
  if (!isWildcard(host)) return [services.keyForHost.get({ viewer, host })].flatMap((key) => key ?? []);
  return services.namespaces
    .get(only)
    .flatMap((namespace) => services.keysIn.get(namespace))
    .filter((key) => hostMatches(host, parseServiceKey(key).host));
}

function emptySubsets(row: Config<DestinationRuleSpec>, key: string, context: RuleContext): readonly Problem[] {
  const service = context.services.service.get(key);
  // Addresses that DNS gives have no labels of their own to choose by.
  if (!service || service.resolution === "DNS" || service.resolution === "DNS_ROUND_ROBIN") return [];
  const endpoints = service.ports.flatMap((port) =>
    context.endpoints.endpoints.get({ service: key, port: port.number }),
  );
  if (endpoints.length === 0) return [];
  return (row.spec.subsets ?? []).flatMap(({ name, labels = {} }, index) => {
    if (endpoints.some((each) => labelsMatch(labels, each.labels))) return [];
    const message = `No endpoint of ${service.host} has the labels of subset ${name} (${labelsText(labels)}); requests to it fail with 503.`;
    return [{ code: "SubsetWithoutEndpoints", severity: "warning", field: `spec.subsets[${index}]`, message } as const];
  });
}

/** What a DestinationRule refers to in vain. */
export function destinationRuleProblems(row: Config<DestinationRuleSpec>, context: RuleContext): readonly Problem[] {
  const host = resolveHost(row.spec.host, row.namespace);
  const keys = servicesOf(host, row.namespace, context);
  if (keys.length === 0) {
    const message = `No service or ServiceEntry ${host} is visible in namespace ${row.namespace}; the rule has no effect.`;
    return [{ code: "UnknownHost", severity: "error", field: "spec.host", message }];
  }
  const [key] = keys;
  return [
    ...unselected(context, row.namespace, selectorOf(row) ?? {}, "spec.workloadSelector.matchLabels"),
    ...(keys.length === 1 && key !== undefined ? emptySubsets(row, key, context) : []),
  ];
}
