import { type FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import { validateConnectionPool } from "./connection-pool-validation.ts";
import { validateLoadBalancer } from "./load-balancer-validation.ts";
import { domainProblem, type Errors, isAddress, validatePort } from "./names.ts";
import type { ClientTLSSettings, OutlierDetection, PortTrafficPolicy, TrafficPolicy } from "./traffic-policy.ts";

const configMapPrefix = "configmap://";

/** Checks when hosts are taken for ill. */
export function* validateOutliers(outlier: OutlierDetection | undefined, path: FieldPath): Errors {
  if (outlier === undefined) return;
  if (!outlier.splitExternalLocalOriginErrors && (outlier.consecutiveLocalOriginFailures ?? 0) > 0) {
    yield forbidden(
      path.field("consecutiveLocalOriginFailures"),
      "splitExternalLocalOriginErrors must be true for this",
    );
  }
  for (const name of ["maxEjectionPercent", "minHealthPercent"] as const) {
    const percent = outlier[name] ?? 0;
    if (percent < 0 || percent > 100) yield invalid(path.field(name), percent, "must be between 0 and 100");
  }
}

/** Checks a name of a ConfigMap, which must be of the object's own namespace. */
function* validateCredential(name: string, namespace: string | undefined, path: FieldPath): Errors {
  if (!name.startsWith(configMapPrefix)) return;
  const parts = name.slice(configMapPrefix.length).split("/");
  const [first = "", second = first] = parts;
  if (parts.length > 2 || first === "" || second === "")
    yield invalid(path, name, "must be configmap://NAMESPACE/NAME");
  else if (parts.length === 2 && first !== namespace) {
    yield invalid(path, name, "must be a ConfigMap of the object's own namespace");
  }
}

/**
 * Checks how connections to a destination use TLS.
 * @param namespace of the object that says so; absent where it has none.
 */
export function* validateClientTls(
  tls: ClientTLSSettings | undefined,
  namespace: string | undefined,
  path: FieldPath,
): Errors {
  if (tls === undefined) return;
  yield* validateCredential(tls.credentialName ?? "", namespace, path.field("credentialName"));
  const mode = tls.mode ?? "DISABLE";
  if (tls.insecureSkipVerify && (mode === "SIMPLE" || mode === "MUTUAL")) {
    const checked =
      mode === "SIMPLE"
        ? ["caCertificates", "credentialName", "subjectAltNames"]
        : ["caCertificates", "subjectAltNames"];
    for (const name of checked as readonly ("caCertificates" | "credentialName" | "subjectAltNames")[]) {
      if (tls[name]) yield forbidden(path.field(name), "insecureSkipVerify is true");
    }
  }
  if (tls.credentialName && (mode === "SIMPLE" || mode === "MUTUAL")) {
    for (const name of ["clientCertificate", "caCertificates", "privateKey", "caCrl"] as const) {
      if (tls[name]) yield forbidden(path.field(name), "credentialName is set");
    }
  } else if (mode === "MUTUAL") {
    for (const name of ["clientCertificate", "privateKey"] as const) {
      if (!tls[name]) yield required(path.field(name), "for mode MUTUAL");
    }
  }
}

/** Fields that policies of a destination and of a port have in common. */
function* validateCommon(
  policy: TrafficPolicy | PortTrafficPolicy,
  namespace: string | undefined,
  path: FieldPath,
): Errors {
  yield* validateOutliers(policy.outlierDetection, path.field("outlierDetection"));
  yield* validateConnectionPool(policy.connectionPool, path.field("connectionPool"));
  yield* validateLoadBalancer(policy.loadBalancer, path.field("loadBalancer"));
  yield* validateClientTls(policy.tls, namespace, path.field("tls"));
}

const portFields = ["outlierDetection", "connectionPool", "loadBalancer", "tls"] as const;
const fields = [...portFields, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget"] as const;

function* validateTunnel(
  { protocol, targetHost, targetPort }: NonNullable<TrafficPolicy["tunnel"]>,
  path: FieldPath,
): Errors {
  if (protocol && protocol !== "CONNECT" && protocol !== "POST") {
    yield notSupported(path.field("protocol"), protocol, ["CONNECT", "POST"]);
  }
  const problem = isAddress(targetHost) ? undefined : domainProblem(targetHost);
  if (problem !== undefined) yield invalid(path.field("targetHost"), targetHost, problem);
  yield* validatePort(targetPort, path.field("targetPort"));
}

/** Checks how proxies deal with a destination. */
export function* validateTrafficPolicy(
  policy: TrafficPolicy | undefined,
  namespace: string | undefined,
  path: FieldPath,
): Errors {
  if (policy === undefined) return;
  if (fields.every((name) => policy[name] === undefined)) yield required(path, "at least one field");
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) {
    yield forbidden(path.field("proxyProtocol"), "only one of tunnel, proxyProtocol may be set");
  }
  yield* validateCommon(policy, namespace, path);
  if (policy.tunnel !== undefined) yield* validateTunnel(policy.tunnel, path.field("tunnel"));
  for (const [index, setting] of (policy.portLevelSettings ?? []).entries()) {
    const at = path.field("portLevelSettings").item(index);
    if (setting.port === undefined) yield required(at.field("port"));
    if (portFields.every((name) => setting[name] === undefined)) yield required(at, "at least one field beside port");
    yield* validateCommon(setting, namespace, at);
  }
}
