import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import type { SidecarSpec } from "#api/istio/sidecar.ts";
import { labelsText } from "#api/kubernetes/selector.ts";
import type { StringMap } from "#api/meta.ts";
import { discoveryKey } from "#api/weft/discovery-mode.ts";
import { isIP } from "node:net";
import { labelsMatch } from "../labels.ts";
import type { Config } from "../rows.ts";
import { byAge } from "../service.ts";
import { hostMatches } from "#api/istio/hosts.ts";
import { only, type ServiceQueries } from "../services.ts";
import { egressHosts, egressListeners, isEverything, ownNamespace } from "../sidecars.ts";
import { parseServiceKey, podLabel, type Tables } from "../tables.ts";
import type { Problem } from "./finding.ts";

/** What is asked to judge objects that select workloads. */
export interface WorkloadContext {
  readonly tables: Tables;
  readonly services: ServiceQueries;
}

/** Whether some Pod or WorkloadEntry of a namespace has the labels. */
export function someWorkload(
  { tables }: Pick<WorkloadContext, "tables">,
  namespace: string,
  labels: StringMap,
): boolean {
  const [first] = Object.entries(labels);
  if (!first) return true;
  const pods = tables.podsByLabel.rows(podLabel(namespace, ...first));
  if (pods.some((pod) => labelsMatch(labels, pod.labels))) return true;
  return tables.workloadEntries.byNamespace.rows(namespace).some((row) => labelsMatch(labels, row.spec.labels ?? {}));
}

/** That nobody has the labels of a selector; nothing where somebody has. */
export function unselected(
  context: WorkloadContext,
  namespace: string,
  labels: StringMap,
  field: string,
): readonly Problem[] {
  if (someWorkload(context, namespace, labels)) return [];
  const message = `No Pod or WorkloadEntry of namespace ${namespace} has the labels ${labelsText(labels)}.`;
  return [{ code: "NoWorkload", severity: "warning", field, message }];
}

/** Whether some Pod of any namespace has the labels. */
function somePod({ tables }: WorkloadContext, labels: StringMap): boolean {
  const [first] = Object.entries(labels);
  if (!first) return true;
  return tables.podsWithLabel.rows(first.join("=")).some((pod) => labelsMatch(labels, pod.labels));
}

/** What is wrong with a Gateway: that nobody runs it. */
export function gatewayProblems(row: Config<GatewaySpec>, context: WorkloadContext): readonly Problem[] {
  const selector = row.spec.selector ?? {};
  if (somePod(context, selector)) return [];
  const message = `No Pod has the labels ${labelsText(selector)}; nothing listens for this Gateway.`;
  return [{ code: "GatewayWithoutWorkload", severity: "error", field: "spec.selector", message }];
}

function unknownImports(row: Config<SidecarSpec>, context: WorkloadContext): readonly Problem[] {
  // A Sidecar of the root namespace is for proxies of all, so `./` means another namespace each time.
  const root = context.services.mesh.get(only).rootNamespace;
  const keys = context.services.namespaces.get(only).flatMap((namespace) => context.services.keysIn.get(namespace));
  const known = keys.map(parseServiceKey);
  return (row.spec.egress ?? []).flatMap((listener, at) =>
    listener.hosts.flatMap((written, index) => {
      const [host] = egressHosts({ egress: [{ hosts: [written] }] }) ?? [];
      if (!host || (row.namespace === root && host.namespace === ownNamespace)) return [];
      const namespace = host.namespace === ownNamespace ? row.namespace : host.namespace;
      const found = known.some(
        (each) => (namespace === "*" || namespace === each.namespace) && hostMatches(host.pattern, each.host),
      );
      if (found || host.pattern === "*") return [];
      const message = `No service ${host.pattern} is known in ${namespace === "*" ? "any namespace" : `namespace ${namespace}`}.`;
      const field = `spec.egress[${at}].hosts[${index}]`;
      return [{ code: "UnknownHost", severity: "warning", field, message } as const];
    }),
  );
}

function otherDefaults(row: Config<SidecarSpec>, { tables }: WorkloadContext): readonly Problem[] {
  const defaults = tables.sidecars.byNamespace
    .rows(row.namespace)
    .filter((each) => Object.keys(each.spec.workloadSelector?.labels ?? {}).length === 0)
    .toSorted(byAge);
  const [first] = defaults;
  if (!first || first.name === row.name) return [];
  const message = `Sidecar ${first.name} is the namespace's default already; this one has no effect. Give it a workloadSelector.`;
  return [{ code: "ConflictingSidecars", severity: "warning", field: "spec.workloadSelector", message }];
}

/** Whether proxies of some workload that a Sidecar may be for are to hold only what the workload calls. */
function mayBeOnDemand({ namespace }: Config<SidecarSpec>, { tables, services }: WorkloadContext): boolean {
  const { discovery, rootNamespace } = services.mesh.get(only);
  if (discovery === "OnDemand") return true;
  const namespaces = namespace === rootNamespace ? services.namespaces.get(only) : [namespace];
  return namespaces.some(
    (each) =>
      services.namespaceLabels(each)[discoveryKey] === "OnDemand" ||
      tables.egressScopes.byNamespace.rows(each).some(({ spec }) => spec.discovery === "OnDemand"),
  );
}

/** That on-demand discovery has nothing to leave out. */
function declaresEverything(row: Config<SidecarSpec>, context: WorkloadContext): readonly Problem[] {
  const { egress = [] } = row.spec;
  if (egressListeners(row.spec).length > 0) return [];
  const at = egress.findIndex((listener) => egressHosts({ egress: [listener] })?.some(isEverything));
  if (at < 0 || !mayBeOnDemand(row, context)) return [];
  const message =
    "Every host is declared, so that proxies hold everything where discovery is OnDemand, too. Declare the hosts that must be held from the start, or leave egress out.";
  const field = `spec.egress[${at}].hosts[${egress[at]?.hosts.indexOf("*/*") ?? 0}]`;
  return [{ code: "DeclaresEverything", severity: "warning", field, message }];
}

/** What is wrong with a Sidecar. */
export function sidecarProblems(row: Config<SidecarSpec>, context: WorkloadContext): readonly Problem[] {
  const labels = row.spec.workloadSelector?.labels ?? {};
  const selects = Object.keys(labels).length > 0;
  return [
    ...unselected(context, row.namespace, labels, "spec.workloadSelector.labels"),
    ...(selects ? [] : otherDefaults(row, context)),
    ...unknownImports(row, context),
    ...declaresEverything(row, context),
  ];
}

/** What is wrong with a ServiceEntry. */
export function serviceEntryProblems(row: Config<ServiceEntrySpec>, context: WorkloadContext): readonly Problem[] {
  const { workloadSelector, resolution, endpoints = [] } = row.spec;
  const labels = workloadSelector?.labels ?? {};
  const problems: Problem[] = [...unselected(context, row.namespace, labels, "spec.workloadSelector.labels")];
  for (const [index, { address = "" }] of endpoints.entries()) {
    if (resolution !== "STATIC" || isIP(address) !== 0 || address.startsWith("unix://")) continue;
    const message = `${address} is no IP address, which endpoints of a STATIC service must be; it is left out. Use resolution DNS.`;
    problems.push({ code: "AddressNotIP", severity: "error", field: `spec.endpoints[${index}].address`, message });
  }
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1) {
    const message = "A service of resolution DNS_ROUND_ROBIN has one endpoint; the others are left out. Use DNS.";
    problems.push({ code: "TooManyEndpoints", severity: "warning", field: "spec.endpoints", message });
  }
  return problems;
}
