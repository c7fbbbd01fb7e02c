import type { ProxyStatus, ProxyStatusSource } from "#xds/port.ts";
import {
  clusterOf,
  type HeldBy,
  nodeParts,
  type ProxyKnowledge,
  type ProxyObject,
  proxyObject,
  reportedObject,
  type SidecarOf,
} from "./proxy-object.ts";
import type { HeldReport, ProxyReports } from "./reports/reports.ts";
import type { EndpointTruth } from "./reports/truth.ts";
import type { ShownFinding } from "./shown-finding.ts";

/** Where it is known what there is to tell of proxies. */
export interface ProxyListOptions {
  /** The revision of the control plane that tells. */
  readonly revision: string;
  readonly proxies: ProxyStatusSource;
  readonly reports: ProxyReports;
  /** What comes of comparing endpoints. */
  readonly truth: EndpointTruth;
  /** What a proxy holds. */
  readonly held: (proxy: ProxyStatus) => HeldBy;
  /** What is said of a Pod's proxy; undefined of one whose Pod is not there. */
  readonly sidecar: SidecarOf;
}

/** What proxies did that they should not, and what they lack. */
export function listedFindings({
  proxies,
  truth,
}: Pick<ProxyListOptions, "proxies" | "truth">): readonly ShownFinding[] {
  return [...proxies.findings(), ...truth.findings()];
}

/** All proxies: those that are connected, and those that agents tell of whose Pods are there. */
export function listedProxies(options: ProxyListOptions): readonly ProxyObject[] {
  const { proxies, reports, truth, held, sidecar } = options;
  const findings = Map.groupBy(listedFindings(options), ({ node }) => node);
  const connected = proxies.proxies();
  const known = new Set(connected.map(({ node }) => node.id));
  const others = [...reports.all()].filter(({ node }) => !known.has(node.id));
  const alone = others.flatMap((report) => {
    const { pod, namespace } = nodeParts(report.node.id);
    const said = sidecar(report.node.cluster, namespace, pod);
    return said ? reportedObject(report, said) : [];
  });
  const told = (report: HeldReport | undefined): Pick<ProxyKnowledge, "report" | "endpoints"> => ({
    report,
    endpoints: report && truth.verdict(report),
  });
  const all = connected.map((proxy) => {
    const { pod, namespace } = nodeParts(proxy.node.id);
    return proxyObject(proxy, {
      held: held(proxy),
      findings: findings.get(proxy.node.id) ?? [],
      said: sidecar(clusterOf(proxy.node), namespace, pod) ?? {},
      ...told(reports.get(proxy.node.id)),
    });
  });
  const { revision } = options;
  return [...all, ...alone].map((each) => ({ ...each, status: { ...each.status, revision } }));
}
