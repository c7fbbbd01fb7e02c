import type { ProxyStatus, ProxyStatusSource } from "#xds/port.ts";
import {
  clusterOf,
  type HeldBy,
  nodeParts,
  type ProxyObject,
  proxyObject,
  reportedObject,
  type SidecarOf,
} from "./proxy-object.ts";
import type { ProxyReports } from "./reports/reports.ts";

/** Where it is known what there is to tell of proxies. */
export interface ProxyListOptions {
  readonly proxies: ProxyStatusSource;
  readonly reports: ProxyReports;
  /** What a proxy holds. */
  readonly held: (proxy: ProxyStatus) => HeldBy;
  /** What is said of a Pod's proxy; undefined of one whose Pod is not there. */
  readonly sidecar: SidecarOf;
}

/** All proxies: those that are connected, and those that agents tell of whose Pods are there. */
export function listedProxies({ proxies, reports, held, sidecar }: ProxyListOptions): readonly ProxyObject[] {
  const findings = Map.groupBy(proxies.findings(), ({ node }) => node);
  const connected = proxies.proxies();
  const known = new Set(connected.map(({ node }) => node.id));
  const others = [...reports.all()].filter(({ node }) => !known.has(node.id));
  const alone = others.flatMap((report) => {
    const { pod, namespace } = nodeParts(report.node.id);
    const said = sidecar(report.node.cluster, namespace, pod);
    return said ? reportedObject(report, said) : [];
  });
  const all = connected.map((proxy) => {
    const { pod, namespace } = nodeParts(proxy.node.id);
    return proxyObject(proxy, {
      held: held(proxy),
      findings: findings.get(proxy.node.id) ?? [],
      said: sidecar(clusterOf(proxy.node), namespace, pod) ?? {},
      report: reports.get(proxy.node.id),
    });
  });
  return [...all, ...alone];
}
