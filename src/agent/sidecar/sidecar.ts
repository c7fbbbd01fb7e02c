import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConfigMap } from "#api/kubernetes/config-map.ts";
import { aborted } from "#base/aborted.ts";
import type { Clock } from "#base/clock.ts";
import { parseDuration } from "#base/duration.ts";
import type { Logger } from "#base/logger.ts";
import { takesIPv6 } from "#runtime/capture6.ts";
import { bootstrap } from "../bootstrap.ts";
import { rootsConfigMap } from "../certificates/trust-bundle.ts";
import { ControlPlane, type ControlPlaneTrust } from "../control-plane.ts";
import type { ProxyNode } from "../node-metadata.ts";
import { proxyArguments } from "../proxy-arguments.ts";
import { fetchSettings, patchedBootstrap, type ProxySettings } from "../proxy-settings.ts";
import { ProxySocket } from "../proxy-socket.ts";
import { Relay } from "../relay.ts";
import { asking } from "../reports/asking.ts";
import { ProxyReporter } from "../reports/reporter.ts";
import { WorkloadIdentities } from "../workload-identities.ts";
import { askedSettings } from "./asked-settings.ts";
import { EnvoyProcess } from "./envoy-process.ts";
import { SidecarNames } from "./names.ts";
import { ownNode, ownPod } from "./proxy-pod.ts";
import { StatusServer } from "./status-server.ts";
import { type Surroundings, sidecarFiles } from "./surroundings.ts";

/** What a sidecar's agent is told on its command line. */
export interface SidecarOptions {
  readonly role: "sidecar" | "gateway";
  readonly told: Surroundings;
  readonly clusterDomain: string;
  /** Path of Envoy. */
  readonly envoy: string;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  /** The user that agent and proxy run as. */
  readonly uid: number;
  /** Name servers of the Pod. */
  readonly resolvers: readonly string[];
  /** The agent's version. */
  readonly version: string;
}

/** What it needs of the machine. */
export interface SidecarContext {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks at the mesh's authorities, which the kubelet writes. */
const lookMs = 5000;

function trustOf(address: string): ControlPlaneTrust {
  const serverName = address.replace(/:\d+$/, "");
  return { rootsFile: sidecarFiles.roots, tokenFile: sidecarFiles.token, serverName };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Follows the authorities that the mesh publishes, which are files here. */
function followRoots(identities: WorkloadIdentities, clock: Clock): Disposable {
  let before: ConfigMap | undefined;
  const look = (): void => {
    const [roots, revoked] = [readIfThere(sidecarFiles.roots), readIfThere(sidecarFiles.revoked)];
    const data = { [rootsConfigMap.key]: roots, ...(revoked !== "" && { [rootsConfigMap.revokedKey]: revoked }) };
    if (JSON.stringify(before?.data) === JSON.stringify(data)) return;
    const after = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: rootsConfigMap.name },
      data,
    } as unknown as ConfigMap;
    identities.published(before, after);
    before = after;
  };
  look();
  return clock.every(lookMs, look);
}

/** Starts the proxy with the bootstrap that it is to have. @returns undefined where the signal aborted before. */
async function startProxy(
  plane: ControlPlane,
  node: ProxyNode,
  options: SidecarOptions,
  context: SidecarContext,
  signal: AbortSignal,
): Promise<EnvoyProcess | undefined> {
  const { told } = options;
  const ask = async (): Promise<ProxySettings> => fetchSettings(plane, node, context.clock);
  const settings = await askedSettings({ ask, otherwise: { config: told.config }, ...context }, signal);
  if (settings === undefined) return undefined;
  const { config, patch } = settings;
  const plain = bootstrap({ node, config, xdsSocket: join(sidecarFiles.proxy, "xds", "xds.sock"), agentAnswers: true });
  const file = join(sidecarFiles.proxy, "bootstrap.json");
  const whole = patch === undefined ? plain : await patchedBootstrap(plain, patch);
  writeFileSync(file, JSON.stringify(whole), { mode: 0o600 });
  const { logLevel, componentLogLevel } = options;
  const flags = { config, bootstrap: file, concurrency: told.processors, logLevel, componentLogLevel };
  const override =
    told.bootstrapOverride === undefined ? [] : ["--config-yaml", readFileSync(told.bootstrapOverride, "utf8")];
  if (signal.aborted) return undefined;
  return new EnvoyProcess({
    program: options.envoy,
    args: [...proxyArguments(flags), "--disable-hot-restart", ...override],
    drainMs: parseDuration(config.terminationDrainDuration ?? "5s"),
    awaitConnections: told.awaitConnections,
    leastDrainMs: told.leastDrainMs,
    ...context,
  });
}

/**
 * Runs a Pod's proxy from inside of the Pod, as Istio's agent does: one Envoy, its way to the control plane, its certificate, its names,
 * and the port that the kubelet and Prometheus ask. Ends when the proxy does, or, when the signal aborts, once the proxy has drained.
 * @returns how the proxy ended, unless that was asked for.
 */
export async function runSidecar(
  options: SidecarOptions,
  context: SidecarContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { told, role, clusterDomain, uid } = options;
  const { clock, logger } = context;
  const node = ownNode(told, role, clusterDomain, role === "sidecar" && takesIPv6());
  const plane = new ControlPlane({ address: told.discovery, trust: trustOf(told.discovery), logger });
  const cluster = String(node.metadata["CLUSTER_ID"]);
  using identities = new WorkloadIdentities({
    identity: { ca: told.authority, trustDomain: told.trustDomain, ttlMs: told.certificateTtlMs },
    trust: trustOf(told.authority),
    agent: { cluster },
    ownIdentity: true,
    clock,
    logger,
  });
  using _roots = followRoots(identities, clock);
  const place = { namespace: told.namespace, clusterDomain, sharesDomain: true };
  using names = await SidecarNames.serve(place, options.resolvers, clock);
  const identity = identities.hold(ownPod(told), () => undefined);
  const relay = new Relay({
    identity: { id: node.id, namespace: told.namespace, cluster },
    upstream: plane,
    onNames: ({ table }) => names.setHosts(table),
    clock,
    logger,
  });
  const folder = join(sidecarFiles.proxy, "xds");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await using _socket = await ProxySocket.open({
    socket: join(folder, "xds.sock"),
    uid,
    gid: uid,
    services: [relay, identity],
  });
  const proxy = await startProxy(plane, node, options, context, signal);
  if (proxy === undefined) {
    logger.info("ending before the Pod's proxy was started");
    return undefined;
  }
  const status = {
    port: told.statusPort,
    application: told.probesLoopback ? "127.0.0.1" : told.address,
    probes: told.probes,
    metrics: role === "sidecar" ? told.metrics : undefined,
    drain: async () => proxy.drain(),
    quit: () => proxy.quit(),
    clock,
    logger,
  };
  using _status = told.statusPort === 0 ? undefined : await StatusServer.listen(status);
  using _report = new ProxyReporter({
    node: { id: node.id, cluster, namespace: told.namespace },
    way: relay,
    version: options.version,
    look: () => ({ ...proxy.look, certificate: identity.state }),
    ask: asking(),
    clock,
    logger,
  });
  logger.info("running the Pod's proxy", { node: node.id, discovery: told.discovery });
  const ended = await Promise.race([proxy.ended, aborted(signal)]);
  if (ended !== undefined) return ended;
  logger.info("ending the Pod's proxy");
  await proxy.end();
  return undefined;
}
