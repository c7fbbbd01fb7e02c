import type { CaptureDefaults } from "../settings.ts";
import { annotationOr, containerNames, interceptionOf, statusPortOf, type TemplateContext } from "./context.ts";
import { initImage, pullPolicy } from "./image.ts";
import { resourcesOf } from "./resources.ts";

const traffic = "traffic.sidecar.istio.io/";

/** Ports that are never captured, with that of the proxy's agent, unless it has none. */
function excludedInbound(context: TemplateContext): string {
  const told = annotationOr(context, `${traffic}excludeInboundPorts`, context.settings.proxy.excludeInboundPorts);
  const port = statusPortOf(context);
  const list = told.split(",").map((word) => word.trim());
  if (port === 0 || list.includes(String(port))) return told;
  return [...list.filter((word) => word !== ""), port].join(",");
}

function interfaces(context: TemplateContext): string | undefined {
  const { annotations = {} } = context.pod.metadata;
  return annotations["istio.io/reroute-virtual-interfaces"] ?? annotations[`${traffic}kubevirtInterfaces`];
}

/** Which traffic is captured, in the flags of `istio-iptables`. */
function captureFlags(context: TemplateContext): readonly string[] {
  const { proxy } = context.settings;
  const told = (name: string, other: string): string => annotationOr(context, `${traffic}${name}`, other);
  const own = context.pod.metadata.annotations ?? {};
  const optional = (flag: string, name: "includeOutboundPorts" | "excludeOutboundPorts"): readonly string[] =>
    own[`${traffic}${name}`] !== undefined || proxy[name] !== "" ? [flag, told(name, proxy[name])] : [];
  const excluded = excludedInbound(context);
  const rerouted = interfaces(context);
  const left = own[`${traffic}excludeInterfaces`];
  return [
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    interceptionOf(context),
    "-i",
    told("includeOutboundIPRanges", proxy.includeOutboundIPRanges),
    "-x",
    told("excludeOutboundIPRanges", proxy.excludeOutboundIPRanges),
    "-b",
    told("includeInboundPorts", proxy.includeInboundPorts),
    "-d",
    excluded === "" ? "15090,15021" : `15090,15021,${excluded}`,
    ...optional("-q", "includeOutboundPorts"),
    ...optional("-o", "excludeOutboundPorts"),
    ...(rerouted === undefined ? [] : ["-k", rerouted]),
    ...(left === undefined ? [] : ["-c", left]),
  ];
}

/** Who the container is: with a CNI plugin it only looks whether traffic is captured, as the proxy's own user. */
function securityOf({ settings: { cni, proxy } }: TemplateContext): object {
  const { privileged, seccompProfile } = proxy;
  const user = cni ? 1337 : 0;
  return {
    allowPrivilegeEscalation: privileged,
    privileged,
    capabilities: { ...(!cni && { add: ["NET_ADMIN", "NET_RAW"] }), drop: ["ALL"] },
    readOnlyRootFilesystem: cni,
    runAsGroup: user,
    runAsNonRoot: cni,
    runAsUser: user,
    ...(seccompProfile && { seccompProfile }),
  };
}

/** The container that has the Pod's traffic captured, or, with a CNI plugin, looks whether it is; undefined where it is not to be. */
export function captureContainer(context: TemplateContext): object | undefined {
  if (interceptionOf(context) === "NONE") return undefined;
  const { settings, config } = context;
  const level = annotationOr(context, "sidecar.istio.io/agentLogLevel", settings.agentLogLevel);
  const variables = Object.entries(config.proxyMetadata ?? {}).map(([name, value]) => ({ name, value }));
  return {
    name: settings.cni ? containerNames.validation : containerNames.init,
    image: initImage(context),
    args: [
      "istio-iptables",
      ...captureFlags(context),
      `--log_output_level=${level}`,
      ...(settings.logAsJson ? ["--log_as_json"] : []),
      ...(settings.cni ? ["--run-validation", "--skip-rule-apply"] : []),
    ],
    ...pullPolicy(context),
    ...(variables.length > 0 && { env: variables }),
    resources: resourcesOf(context),
    securityContext: securityOf(context),
  };
}

/** What a CNI plugin is told of the Pod: the same as the container would have been, in annotations. */
export function captureAnnotations(context: TemplateContext): Readonly<Record<string, string>> {
  const { proxy, cni } = context.settings;
  if (!cni) return {};
  const own = context.pod.metadata.annotations ?? {};
  const named = (name: keyof CaptureDefaults): Readonly<Record<string, string>> => {
    const value = own[`${traffic}${name}`] ?? proxy[name];
    return value === "" ? {} : { [`${traffic}${name}`]: value };
  };
  return {
    "sidecar.istio.io/interceptionMode": interceptionOf(context),
    ...named("includeOutboundIPRanges"),
    ...named("excludeOutboundIPRanges"),
    [`${traffic}includeInboundPorts`]: own[`${traffic}includeInboundPorts`] ?? proxy.includeInboundPorts,
    [`${traffic}excludeInboundPorts`]: excludedInbound(context),
    ...named("includeOutboundPorts"),
    ...named("excludeOutboundPorts"),
  };
}
