import { readFileSync } from "node:fs";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import type { StringMap } from "#api/meta.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { AppProbe } from "./app-probe.ts";

/** Where the injection puts what a sidecar needs: Istio's places. */
export const sidecarFiles = {
  roots: "/var/run/secrets/istio/root-cert.pem",
  revoked: "/var/run/secrets/istio/ca-crl.pem",
  token: "/var/run/secrets/tokens/istio-token",
  labels: "/etc/istio/pod/labels",
  annotations: "/etc/istio/pod/annotations",
  proxy: "/etc/istio/proxy",
} as const;

/** What a sidecar's container tells its agent, by Istio's variables and files. */
export interface Surroundings {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly labels: StringMap;
  readonly annotations: StringMap;
  /** How the proxy is started, as it was known when the Pod was made. */
  readonly config: MeshProxyConfig;
  /** Where xDS and certificates are served, as `host:port`. */
  readonly discovery: string;
  readonly authority: string;
  readonly trustDomain: string;
  /** Milliseconds that certificates are to be good. */
  readonly certificateTtlMs: number;
  /** Members of the node's metadata that are told as variables, without their prefix. */
  readonly metadata: StringMap;
  /** The port of the agent, as the Pod's annotation says it; 0 for none, as in Istio. */
  readonly statusPort: number;
  /** Processors that the proxy may use; 0 for all of the machine. */
  readonly processors: number;
  /** What the kubelet has the agent ask of the application, by path. */
  readonly probes: ReadonlyMap<string, AppProbe>;
  /** Whether the application is asked at its loopback. */
  readonly probesLoopback: boolean;
  /** Where the application's own metrics are, as a URL; undefined where it has none. */
  readonly metrics: string | undefined;
  /** Whether the proxy, when it is to end, waits for its connections, and how many milliseconds it waits at least. */
  readonly awaitConnections: boolean;
  readonly leastDrainMs: number;
  /** File that is merged into the proxy's bootstrap. */
  readonly bootstrapOverride: string | undefined;
}

/** The environment of a process. */
export type Environment = Readonly<Partial<Record<string, string>>>;

const metadataPrefix = "ISTIO_META_";
const usualStatusPort = 15020;

function required(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === "")
    throw new WeftError("InvalidArgument", `the variable ${name} is not set: the injection sets it`);
  return value;
}

function parsed(env: Environment, name: string): JsonObject {
  const text = env[name]?.trim() ?? "";
  try {
    const value: unknown = text === "" ? {} : JSON.parse(text);
    if (isObject(value)) return value;
  } catch (error) {
    throw new WeftError("InvalidArgument", `the variable ${name} is no JSON: ${messageOf(error)}`);
  }
  throw new WeftError("InvalidArgument", `the variable ${name} is no map in JSON`);
}

/** Labels or annotations, in the downward API's form: `name="value"`, a line each; none where there is no such file. */
export function readPodFile(path: string): StringMap {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  const lines = text.split("\n").filter((line) => line.includes("="));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), JSON.parse(line.slice(at + 1)) as string] as const;
    }),
  );
}

function metricsOf(env: Environment, statusPort: number): string | undefined {
  if (env["ISTIO_PROMETHEUS_ANNOTATIONS"] === undefined) return undefined;
  const { scrape, path, port } = parsed(env, "ISTIO_PROMETHEUS_ANNOTATIONS") as StringMap;
  if (scrape === "false") return undefined;
  // Asking itself would never end.
  if (Number(port) === statusPort) return undefined;
  return `http://localhost:${port === undefined || port === "" ? "80" : port}${path === undefined || path === "" ? "/metrics" : path}`;
}

/** The port of the agent: the injection has checked what the annotation says. */
export function statusPortOf(annotations: StringMap): number {
  return Number(annotations["status.sidecar.istio.io/port"] ?? usualStatusPort);
}

/** Milliseconds that a text such as `24h0m0s` or `5s` tells. */
function milliseconds(text: string): number {
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)];
  return parts.reduce((sum, [, count, unit = ""]) => sum + Number(count) * (units[unit] ?? 0), 0);
}

/**
 * Reads what the injection tells.
 * @throws WeftError `InvalidArgument` for variables that are missing or wrong.
 */
export function readSurroundings(env: Environment): Surroundings {
  const { discoveryAddress, ...config } = parsed(env, "PROXY_CONFIG") as MeshProxyConfig & {
    readonly discoveryAddress?: string;
  };
  const discovery = discoveryAddress ?? "istiod.istio-system.svc:15012";
  const told = Object.entries(env).filter(([name]) => name.startsWith(metadataPrefix));
  const annotations = readPodFile(sidecarFiles.annotations);
  const statusPort = statusPortOf(annotations);
  const probes = parsed(env, "ISTIO_KUBE_APP_PROBERS") as Readonly<Record<string, AppProbe>>;
  return {
    name: required(env, "POD_NAME"),
    namespace: required(env, "POD_NAMESPACE"),
    address: required(env, "INSTANCE_IP"),
    serviceAccount: env["SERVICE_ACCOUNT"] ?? "default",
    labels: readPodFile(sidecarFiles.labels),
    annotations,
    statusPort,
    config,
    discovery,
    authority: env["CA_ADDR"] ?? discovery,
    trustDomain: env["TRUST_DOMAIN"] ?? "cluster.local",
    certificateTtlMs: milliseconds(env["SECRET_TTL"] ?? "24h"),
    metadata: Object.fromEntries(told.map(([name, value = ""]) => [name.slice(metadataPrefix.length), value])),
    processors: Number(env["ISTIO_CPU_LIMIT"] ?? 0),
    probes: new Map(Object.entries(probes)),
    probesLoopback: env["REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"] === "true",
    metrics: metricsOf(env, statusPort),
    awaitConnections: env["EXIT_ON_ZERO_ACTIVE_CONNECTIONS"] === "true",
    leastDrainMs: milliseconds(env["MINIMUM_DRAIN_DURATION"] ?? "5s"),
    bootstrapOverride: env["ISTIO_BOOTSTRAP_OVERRIDE"],
  };
}
