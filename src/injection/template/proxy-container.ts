import { annotationOr, containerNames, interceptionOf, statusPortOf, type TemplateContext } from "./context.ts";
import { proxyEnvironment } from "./environment.ts";
import { proxyImage, pullPolicy } from "./image.ts";
import { resourcesOf } from "./resources.ts";

/** Whether the application's containers wait for a proxy that is a container like them. */
export function holdsApplication({ config, settings, native }: TemplateContext): boolean {
  return !native && (config.holdApplicationUntilProxyStarts ?? settings.proxy.holdApplicationUntilProxyStarts);
}

/** The command line of the agent in the container, as Istio's. */
function commandLine(context: TemplateContext, role: "sidecar" | "router"): readonly string[] {
  const { proxy, agentLogLevel, logAsJson } = context.settings;
  const level = (annotation: string, other: string): string =>
    annotationOr(context, `sidecar.istio.io/${annotation}`, other);
  return [
    "proxy",
    role,
    "--domain",
    `$(POD_NAMESPACE).svc.${proxy.clusterDomain}`,
    `--proxyLogLevel=${level("logLevel", proxy.logLevel)}`,
    `--proxyComponentLogLevel=${level("componentLogLevel", proxy.componentLogLevel)}`,
    `--log_output_level=${level("agentLogLevel", agentLogLevel)}`,
    ...(logAsJson ? ["--log_as_json"] : []),
  ];
}

function lifecycleOf(context: TemplateContext): object | undefined {
  const { settings, native } = context;
  if (settings.proxy.lifecycle) return settings.proxy.lifecycle;
  if (holdsApplication(context)) return { postStart: { exec: { command: ["pilot-agent", "wait"] } } };
  if (!native) return undefined;
  // A native sidecar is ended after the application: it begins to drain when the Pod is to end.
  const port = `--debug-port=${statusPortOf(context)}`;
  return { preStop: { exec: { command: ["pilot-agent", "request", port, "POST", "drain"] } } };
}

const ready = { httpGet: { path: "/healthz/ready", port: 15021 } };

function readinessOf(context: TemplateContext): object {
  const { proxy } = context.settings;
  const told = (name: string, other: number): number =>
    Number(annotationOr(context, `readiness.status.sidecar.istio.io/${name}`, String(other)));
  return {
    ...ready,
    initialDelaySeconds: told("initialDelaySeconds", proxy.readinessInitialDelaySeconds),
    periodSeconds: told("periodSeconds", proxy.readinessPeriodSeconds),
    timeoutSeconds: 3,
    failureThreshold: told("failureThreshold", proxy.readinessFailureThreshold),
  };
}

function startupOf({ settings: { proxy } }: TemplateContext): object {
  if (proxy.startupFailures === undefined) return {};
  const startupProbe = {
    ...ready,
    initialDelaySeconds: 0,
    periodSeconds: 1,
    timeoutSeconds: 3,
    failureThreshold: proxy.startupFailures,
  };
  return { startupProbe };
}

/** Who the proxy is: Istio's user 1337, or root where it takes connections as they were sent, or low ports. */
function securityOf(context: TemplateContext): object {
  const { privileged, seccompProfile } = context.settings.proxy;
  const transparent = interceptionOf(context) === "TPROXY";
  const lowPorts = annotationOr(context, "sidecar.istio.io/capNetBindService", "false") === "true";
  const root = transparent || lowPorts;
  const add = [...(transparent ? ["NET_ADMIN"] : []), ...(lowPorts ? ["NET_BIND_SERVICE"] : [])];
  return {
    allowPrivilegeEscalation: privileged,
    capabilities: { ...(root && { add }), drop: ["ALL"] },
    privileged,
    readOnlyRootFilesystem: true,
    runAsNonRoot: !root,
    runAsUser: root ? 0 : 1337,
    runAsGroup: 1337,
    ...(seccompProfile && { seccompProfile }),
  };
}

/** The container of a sidecar. */
export function sidecarContainer(context: TemplateContext, mounts: readonly object[]): object {
  const lifecycle = lifecycleOf(context);
  return {
    name: containerNames.proxy,
    image: proxyImage(context),
    ...(context.native && { restartPolicy: "Always" }),
    ports: [{ containerPort: 15090, protocol: "TCP", name: "http-envoy-prom" }],
    args: commandLine(context, "sidecar"),
    ...(lifecycle && { lifecycle }),
    env: proxyEnvironment(context),
    ...pullPolicy(context),
    ...(statusPortOf(context) !== 0 && { ...startupOf(context), readinessProbe: readinessOf(context) }),
    securityContext: securityOf(context),
    resources: resourcesOf(context),
    volumeMounts: mounts,
  };
}

/** The container of a gateway: all that its Pod is there for. */
export function gatewayContainer(context: TemplateContext, mounts: readonly object[]): object {
  const { proxy } = context.settings;
  return {
    name: containerNames.proxy,
    image: proxyImage(context),
    ports: [{ containerPort: 15090, protocol: "TCP", name: "http-envoy-prom" }],
    args: commandLine(context, "router"),
    ...(proxy.lifecycle && { lifecycle: proxy.lifecycle }),
    securityContext: { runAsUser: 1337, runAsGroup: 1337 },
    env: proxyEnvironment(context),
    ...pullPolicy(context),
    readinessProbe: {
      ...ready,
      initialDelaySeconds: proxy.readinessInitialDelaySeconds,
      periodSeconds: proxy.readinessPeriodSeconds,
      timeoutSeconds: 3,
      failureThreshold: proxy.readinessFailureThreshold,
    },
    volumeMounts: mounts,
  };
}
