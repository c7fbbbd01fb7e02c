import type { JsonObject } from "#api/json.ts";
import { canonicalNames } from "#api/kubernetes/workload.ts";
import { captureAnnotations, captureContainer } from "./capture-container.ts";
import { applicationContainers, type TemplateContext } from "./context.ts";
import { gatewayContainer, sidecarContainer } from "./proxy-container.ts";
import { proxyVolumes } from "./volumes.ts";

/** A part of a Pod that is merged into it. */
export type PodPart = JsonObject;

/** A text as a label's value may be: of 63 characters at most, with a letter or a digit at either end. */
function labelValue(text: string): string {
  return text.slice(0, 63).replaceAll(/^[-_.]+|[-_.]+$/g, "");
}

function commonAnnotations(context: TemplateContext): JsonObject {
  const { pod, revision } = context;
  const own = pod.metadata.annotations ?? {};
  const [first] = applicationContainers(context);
  const defaults = ["kubectl.kubernetes.io/default-logs-container", "kubectl.kubernetes.io/default-container"];
  const missing = first === undefined ? [] : defaults.filter((name) => own[name] === undefined);
  return { "istio.io/rev": revision, ...Object.fromEntries(missing.map((name) => [name, first])) };
}

function commonLabels({ pod, workload }: TemplateContext): JsonObject {
  const { name, revision } = canonicalNames(pod.metadata.labels ?? {}, workload.name);
  return {
    "service.istio.io/canonical-name": labelValue(name),
    "service.istio.io/canonical-revision": revision,
  };
}

function pullSecrets({ settings }: TemplateContext): JsonObject {
  const { imagePullSecrets: names } = settings;
  return names.length === 0 ? {} : { imagePullSecrets: names.map((name) => ({ name })) };
}

/** Istio's template `sidecar`: a proxy beside a Pod's containers, and what captures their traffic. */
export function sidecarTemplate(context: TemplateContext): PodPart {
  const { volumes, mounts } = proxyVolumes(context, "sidecar");
  const capture = captureContainer(context);
  const proxy = sidecarContainer(context, mounts);
  const tlsMode = "security.istio.io/tlsMode";
  const before = [...(capture ? [capture] : []), ...(context.native ? [proxy] : [])];
  return {
    metadata: {
      labels: { [tlsMode]: context.pod.metadata.labels?.[tlsMode] ?? "istio", ...commonLabels(context) },
      annotations: { ...commonAnnotations(context), ...captureAnnotations(context) },
    },
    spec: {
      ...(before.length > 0 && { initContainers: before }),
      ...(!context.native && { containers: [proxy] }),
      volumes,
      ...pullSecrets(context),
    },
  };
}

/** Without it only root could open ports below 1024. */
const lowPorts = { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] };

/** Istio's template `gateway`: a Pod that is a proxy. */
export function gatewayTemplate(context: TemplateContext): PodPart {
  const { volumes, mounts } = proxyVolumes(context, "gateway");
  return {
    metadata: { labels: commonLabels(context), annotations: commonAnnotations(context) },
    spec: {
      securityContext: context.settings.gatewaySecurityContext ?? lowPorts,
      containers: [gatewayContainer(context, mounts)],
      volumes,
      ...pullSecrets(context),
    },
  };
}
