import { annotationProblem, truthOf } from "#api/istio/annotation-values.ts";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { workloadOf } from "#api/kubernetes/workload.ts";
import { WeftError } from "#base/errors.ts";
import { ordered } from "./order.ts";
import {
  injectedBefore,
  merged,
  overridesOf,
  statusAnnotation,
  withCapturedUser,
  withMovedProxy,
  withoutInjection,
  withOverrides,
} from "./overrides.ts";
import { appProbes, withRewrittenProbes } from "./probes.ts";
import { mergedMetrics } from "./prometheus.ts";
import type { InjectionSettings } from "./settings.ts";
import { containerNames, type MeshFacts, type TemplateContext } from "./template/context.ts";
import { holdsApplication } from "./template/proxy-container.ts";
import { gatewayTemplate, type PodPart, sidecarTemplate } from "./template/template.ts";

/** What decides what is injected into a Pod, beside the Pod. */
export interface InjectionContext {
  /** Where the Pod is made. */
  readonly namespace: string;
  readonly settings: InjectionSettings;
  /** How the Pod's proxy is started: settings of the mesh, of ProxyConfigs and of the Pod's annotation. */
  readonly config: MeshProxyConfig;
  readonly mesh: MeshFacts;
  readonly revision: string;
  /** The cluster and the network that the webhook's address names; those of the settings unless it does. */
  readonly cluster?: string;
  readonly network?: string;
  /** Whether the cluster's nodes can have native sidecars. */
  readonly native: boolean;
}

const networkLabel = "topology.istio.io/network";

function checkAnnotations({ metadata }: Pod): void {
  const problems = Object.entries(metadata.annotations ?? {}).flatMap(([name, value]) => {
    const problem = annotationProblem(name, value);
    return problem === undefined ? [] : [`annotation ${name}: "${value}" ${problem}`];
  });
  if (problems.length > 0) throw new WeftError("InvalidArgument", problems.join("; "));
}

function templateContext(pod: Pod, context: InjectionContext): TemplateContext {
  const { settings, cluster = settings.clusterName, network = settings.network } = context;
  const { labels = {}, annotations = {}, name, generateName = "" } = pod.metadata;
  return {
    ...context,
    pod,
    workload: workloadOf({ ...pod.metadata, name: name || generateName.replace(/-$/, "") }),
    cluster,
    network: labels[networkLabel] ?? network,
    native: truthOf(annotations["sidecar.istio.io/nativeSidecar"]) ?? context.native,
  };
}

function templateNames({ metadata }: Pod, { defaultTemplates, aliases }: InjectionSettings): readonly string[] {
  const told = metadata.annotations?.["inject.istio.io/templates"]?.split(",").map((name) => name.trim());
  return (told ?? defaultTemplates).flatMap((name) => aliases[name] ?? [name]);
}

function templatePart(name: string, context: TemplateContext): PodPart {
  if (name === "sidecar") return sidecarTemplate(context);
  if (name === "gateway") return gatewayTemplate(context);
  const { templates } = context.settings;
  const part = templates.get(name);
  if (part === undefined) {
    const known = ["sidecar", "gateway", ...templates.keys()].toSorted().join(", ");
    throw new WeftError(
      "InvalidArgument",
      `annotation inject.istio.io/templates: there is no template "${name}": there are ${known}`,
    );
  }
  if (typeof part === "string")
    throw new WeftError("InvalidArgument", `the template "${name}" cannot be used: ${part}`);
  return part;
}

const nothing = { metadata: {}, spec: {} } as unknown as Pod;

/** Changes a Pod's proxy, wherever it stands. */
function withProxyVariable(pod: Pod, name: string, value: string): Pod {
  const change = (container: Container): Container => {
    if (container.name !== containerNames.proxy) return container;
    return { ...container, env: [...(container.env ?? []).filter((each) => each.name !== name), { name, value }] };
  };
  const { containers, initContainers } = pod.spec;
  const spec = {
    ...pod.spec,
    containers: containers.map(change),
    ...(initContainers && { initContainers: initContainers.map(change) }),
  };
  return { ...pod, spec };
}

function hasProxy({ spec }: Pod): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === containerNames.proxy);
}

function withMetrics(pod: Pod, { mesh, settings }: InjectionContext): Pod {
  const found = mergedMetrics(pod, mesh.prometheusMerge, settings.proxy.statusPort);
  if (!found) return pod;
  const { target } = found;
  return target ? withProxyVariable(found.pod, "ISTIO_PROMETHEUS_ANNOTATIONS", JSON.stringify(target)) : found.pod;
}

function withProbes(pod: Pod, { settings }: InjectionContext): Pod {
  const { annotations = {} } = pod.metadata;
  const wanted = truthOf(annotations["sidecar.istio.io/rewriteAppHTTPProbers"]) ?? settings.rewriteAppHTTPProbe;
  if (!wanted || !hasProxy(pod)) return pod;
  const port = Number(annotations["status.sidecar.istio.io/port"] ?? settings.proxy.statusPort);
  const probes = appProbes(pod, port);
  const rewritten = withRewrittenProbes(pod, port);
  return Object.keys(probes).length === 0
    ? rewritten
    : withProxyVariable(rewritten, "ISTIO_KUBE_APP_PROBERS", JSON.stringify(probes));
}

function names(list: readonly { readonly name?: string }[] = []): readonly (string | undefined)[] | null {
  return list.length === 0 ? null : list.map(({ name }) => name);
}

/** What was injected, for people and for the next injection; Istio writes null for what there is none of. */
function statusOf({ spec }: Pod, revision: string): string {
  return JSON.stringify({
    initContainers: names(spec.initContainers),
    containers: names(spec.containers),
    volumes: names(spec.volumes),
    imagePullSecrets: names(spec.imagePullSecrets),
    revision,
  });
}

/** Probes that were rewritten before are known to nobody else than the proxy that was injected then. */
function withEarlierProbes(pod: Pod, original: Pod): Pod {
  if (!injectedBefore(original)) return pod;
  const name = "ISTIO_KUBE_APP_PROBERS";
  const textOf = ({ spec }: Pod): string | undefined =>
    [...spec.containers, ...(spec.initContainers ?? [])]
      .find((each) => each.name === containerNames.proxy)
      ?.env?.find((each) => each.name === name)?.value;
  const earlier = textOf(original);
  if (earlier === undefined) return pod;
  const now = JSON.parse(textOf(pod) ?? "{}") as object;
  return withProxyVariable(pod, name, JSON.stringify({ ...now, ...(JSON.parse(earlier) as object) }));
}

function withMetadata(pod: Pod, template: Pod, context: TemplateContext): Pod {
  const { settings, network, revision } = context;
  const metadata = {
    ...pod.metadata,
    labels: { ...pod.metadata.labels, ...(network !== "" && { [networkLabel]: network }) },
    annotations: {
      ...pod.metadata.annotations,
      [statusAnnotation]: statusOf(template, revision),
      ...settings.injectedAnnotations,
    },
  };
  return { ...pod, metadata };
}

/**
 * A Pod with what the mesh adds to it, as Istio's injection does: the templates that it names are merged into it, what its owner says of
 * injected containers goes before, and its probes and metrics lead to the proxy's agent.
 * @throws WeftError `InvalidArgument` for annotations that cannot be carried out.
 */
export function injected(pod: Pod, context: InjectionContext): Pod {
  checkAnnotations(pod);
  const filled = templateContext(withoutInjection(pod), context);
  const parts = templateNames(pod, context.settings).map((name) => templatePart(name, filled));
  const template = parts.reduce(merged, nothing);
  const before = template.spec.initContainers?.some(({ name }) => name === containerNames.proxy) === true;
  const combined = parts.reduce(merged, before ? withMovedProxy(pod) : pod);
  const own = withCapturedUser(withOverrides(combined, overridesOf(pod, template), pod), pod);
  const told = withEarlierProbes(withProbes(withMetrics(own, context), context), pod);
  return ordered(withMetadata(told, template, filled), holdsApplication(filled));
}
