import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { TrafficPolicy } from "#api/istio/traffic-policy.ts";
import { resolveHost } from "#model/hosts.ts";
import { isTls } from "#model/protocol.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects, Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";
import { fieldPointer } from "#api/field-path.ts";

type Rule = Subject<DestinationRuleSpec>;
type Tls = NonNullable<TrafficPolicy["tls"]>;

function beginsTls(tls: Tls | undefined): tls is Tls {
  return tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL";
}

/** Whether the rule leaves open whose certificates it takes; a Secret may hold authorities too. */
function isUnverified({ caCertificates = "", credentialName = "" }: Tls, { spec }: Rule): boolean {
  return caCertificates === "" && !(credentialName !== "" && spec.workloadSelector !== undefined);
}

function verification({ mode, insecureSkipVerify, subjectAltNames = [] }: Tls): string {
  if (insecureSkipVerify === true) return `TLS mode ${String(mode)} with insecureSkipVerify takes any certificate.`;
  const names = subjectAltNames.length === 0 ? ", for any name" : "";
  return `TLS mode ${String(mode)} without caCertificates takes certificates of all of the system's authorities${names}. Set caCertificates and subjectAltNames.`;
}

function* certificates(rule: Rule): Generator<Problem> {
  const { ref, spec } = rule;
  const { tls, portLevelSettings = [] } = spec.trafficPolicy ?? {};
  if (beginsTls(tls) && isUnverified(tls, rule)) {
    const code = "NoServerCertificateVerificationDestinationLevel";
    yield problemOf(ref, { code, field: "spec.trafficPolicy.tls", message: `For ${spec.host}: ${verification(tls)}` });
  }
  for (const [index, { port, tls: ofPort }] of portLevelSettings.entries()) {
    if (!beginsTls(ofPort) || !isUnverified(ofPort, rule)) continue;
    const field = `spec.trafficPolicy.portLevelSettings[${index}].tls`;
    const message = `For ${spec.host} at port ${port?.number ?? 0}: ${verification(ofPort)}`;
    yield problemOf(ref, { code: "NoServerCertificateVerificationPortLevel", field, message });
  }
}

/** TLS without saying whose certificates are taken. */
export const caCertificateAnalyzer: Analyzer = {
  name: "destinationrule.CaCertificateAnalyzer",
  description: "Checks if caCertificates is set when TLS mode is SIMPLE or MUTUAL",
  *problems({ all }) {
    for (const rule of all<DestinationRuleSpec>("DestinationRule")) yield* certificates(rule);
  },
};

function* doubleTls({ ref, namespace, spec }: Rule, { mesh: { model } }: MeshObjects): Generator<Problem> {
  const key = model.services.keyForHost.get({ viewer: namespace, host: resolveHost(spec.host, namespace) });
  const ports = (key === undefined ? undefined : model.services.service.get(key))?.ports ?? [];
  const { tls, portLevelSettings = [] } = spec.trafficPolicy ?? {};
  for (const { number, protocol } of ports.filter((port) => isTls(port.protocol))) {
    const own = portLevelSettings.findIndex(({ port }) => port?.number === number);
    // The settings of a port take the place of all others.
    if (!beginsTls(own < 0 ? tls : portLevelSettings[own]?.tls)) continue;
    const field = own < 0 ? "spec.trafficPolicy.tls" : `spec.trafficPolicy.portLevelSettings[${own}].tls`;
    const message = `Callers of ${spec.host} send TLS themselves to port ${number} (${protocol}), and this puts TLS around it. Give the port protocol HTTP or TCP where callers send plain text, or leave tls out.`;
    yield problemOf(ref, { code: "TlsOverTls", field, message });
  }
}

/** TLS within TLS. */
export const doubleTlsAnalyzer: Analyzer = {
  name: "destinationrule.DoubleTlsAnalyzer",
  description: "Checks that TLS is not begun for traffic that is TLS already",
  *problems(objects) {
    for (const rule of objects.all<DestinationRuleSpec>("DestinationRule")) yield* doubleTls(rule, objects);
  },
};

type Policy = Pick<TrafficPolicy, "loadBalancer" | "outlierDetection">;

function* localityOf({ ref }: Rule, policy: Policy, outliers: unknown, at: string): Generator<Problem> {
  const {
    enabled,
    distribute = [],
    failover = [],
    failoverPriority = [],
  } = policy.loadBalancer?.localityLbSetting ?? {};
  // The API warns of failover lists itself; shares by locality need no outlier detection.
  const isSilent = distribute.length + failover.length + failoverPriority.length > 0 || enabled === false;
  if (policy.loadBalancer?.localityLbSetting === undefined || isSilent || outliers !== undefined) return;
  const value = { consecutive5xxErrors: 5, interval: "10s", baseEjectionTime: "30s" };
  const path = fieldPointer(`${at}.outlierDetection`);
  const fix = { text: "Add outlier detection with its defaults.", patch: [{ op: "add", path, value }] } as const;
  const message =
    "Localities are not preferred without outlierDetection: proxies could not tell when to leave the own one.";
  const field = `${at}.loadBalancer.localityLbSetting`;
  yield problemOf(ref, { code: "LocalityWithoutOutlierDetection", field, message, fix });
}

function* locality(rule: Rule): Generator<Problem> {
  const { trafficPolicy = {}, subsets = [] } = rule.spec;
  const { outlierDetection, portLevelSettings = [] } = trafficPolicy;
  yield* localityOf(rule, trafficPolicy, outlierDetection, "spec.trafficPolicy");
  for (const [index, policy] of portLevelSettings.entries()) {
    const at = `spec.trafficPolicy.portLevelSettings[${index}]`;
    yield* localityOf(rule, policy, policy.outlierDetection, at);
  }
  for (const [index, { trafficPolicy: own }] of subsets.entries()) {
    const at = `spec.subsets[${index}].trafficPolicy`;
    if (own) yield* localityOf(rule, own, own.outlierDetection ?? outlierDetection, at);
  }
}

/** Locality load balancing that cannot work. */
export const localityAnalyzer: Analyzer = {
  name: "destinationrule.LocalityAnalyzer",
  description: "Checks that load balancing by locality has outlier detection",
  *problems({ all }) {
    for (const rule of all<DestinationRuleSpec>("DestinationRule")) yield* locality(rule);
  },
};
