import { parse } from "yaml";
import { isObject, type JsonObject } from "#api/json.ts";
import type { LabelSelector } from "#api/kubernetes/meta.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { InjectionSettings, ProxySettings } from "./settings.ts";

/** The parts of Istio's ConfigMap `istio-sidecar-injector`. */
export interface InjectorTexts {
  /** Policy, selectors and templates, in YAML. */
  readonly config?: string;
  /** The values of Istio's installation, in JSON or YAML. */
  readonly values?: string;
}

/** The image where an installation names none. */
const defaultImage = { hub: "weft", tag: "latest", name: "proxyv2" } as const;

function read(name: string, text: string): JsonObject {
  try {
    const value: unknown = parse(text) ?? {};
    if (isObject(value)) return value;
  } catch (error) {
    throw new WeftError("InvalidArgument", `${name} of the injector's ConfigMap: ${messageOf(error)}`);
  }
  throw new WeftError("InvalidArgument", `${name} of the injector's ConfigMap is no map: write its fields as YAML`);
}

/** Values as Istio's charts have them, read by their paths with defaults. */
class Values {
  readonly #root: JsonObject;

  constructor(root: JsonObject) {
    this.#root = root;
  }

  at(path: string): unknown {
    return path
      .split(".")
      .reduce<unknown>(
        (value, name) => (isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined),
        this.#root,
      );
  }

  /** A text; numbers are texts too, as charts quote or do not. */
  text(path: string, unset = ""): string {
    const value = this.at(path);
    return typeof value === "string" || typeof value === "number" ? String(value) : unset;
  }

  number(path: string, unset: number): number {
    const value = this.at(path);
    return value === undefined || value === null || Number.isNaN(Number(value)) ? unset : Number(value);
  }

  flag(path: string, unset: boolean): boolean {
    const value = this.at(path);
    return typeof value === "boolean" ? value : unset;
  }

  /** A map; undefined for none and for an empty one. */
  map(path: string): JsonObject | undefined {
    const value = this.at(path);
    return isObject(value) && Object.keys(value).length > 0 ? value : undefined;
  }

  list(path: string): readonly unknown[] {
    const value = this.at(path);
    return Array.isArray(value) ? (value as unknown[]) : [];
  }
}

const ownResources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2", memory: "1Gi" } };

/** A map without members that are null: that is how values take a default away. */
function withoutNulls(map: JsonObject): JsonObject {
  const members = Object.entries(map).flatMap(([name, value]) => {
    if (value === null) return [];
    return [[name, isObject(value) ? withoutNulls(value) : value] as const];
  });
  return Object.fromEntries(members);
}

function proxySettings(values: Values): ProxySettings {
  const own = "global.proxy";
  const resources = values.at(`${own}.resources`);
  return {
    image: values.text(`${own}.image`, defaultImage.name),
    resources: isObject(resources) ? withoutNulls(resources) : resources === null ? {} : ownResources,
    clusterDomain: values.text(`${own}.clusterDomain`, "cluster.local"),
    logLevel: values.text(`${own}.logLevel`, "warning"),
    componentLogLevel: values.text(`${own}.componentLogLevel`, "misc:error"),
    statusPort: values.number(`${own}.statusPort`, 15020),
    readinessInitialDelaySeconds: values.number(`${own}.readinessInitialDelaySeconds`, 0),
    readinessPeriodSeconds: values.number(`${own}.readinessPeriodSeconds`, 15),
    readinessFailureThreshold: values.number(`${own}.readinessFailureThreshold`, 4),
    startupFailures: values.flag(`${own}.startupProbe.enabled`, true)
      ? values.number(`${own}.startupProbe.failureThreshold`, 600)
      : undefined,
    holdApplicationUntilProxyStarts: values.flag(`${own}.holdApplicationUntilProxyStarts`, false),
    privileged: values.flag(`${own}.privileged`, false),
    lifecycle: values.map(`${own}.lifecycle`),
    seccompProfile: values.map(`${own}.seccompProfile`),
    includeOutboundIPRanges: values.text(`${own}.includeIPRanges`, "*"),
    excludeOutboundIPRanges: values.text(`${own}.excludeIPRanges`),
    includeInboundPorts: values.text(`${own}.includeInboundPorts`, "*"),
    excludeInboundPorts: values.text(`${own}.excludeInboundPorts`),
    includeOutboundPorts: values.text(`${own}.includeOutboundPorts`),
    excludeOutboundPorts: values.text(`${own}.excludeOutboundPorts`),
  };
}

/** Templates that Istio's charts bring along, which Weft carries out by itself or not at all. */
const builtIn: ReadonlySet<string> = new Set(["sidecar", "gateway"]);

/** A template, or why it cannot be used. */
function template(name: string, text: unknown): JsonObject | string {
  if (typeof text !== "string") return "it is no text";
  if (text.includes("{{"))
    return "it has actions of Go templates, which Weft does not run: write it as a plain part of a Pod";
  try {
    return read(`template ${name}`, text);
  } catch (error) {
    return messageOf(error);
  }
}

function texts(list: readonly unknown[]): readonly string[] {
  return list.map(String);
}

/**
 * Reads an injector's settings, in the form of Istio's ConfigMap. What is not set is as Istio's charts have it.
 * @throws WeftError `InvalidArgument` for texts that are no maps.
 */
export function readSettings({ config: configText = "", values: valuesText = "" }: InjectorTexts): InjectionSettings {
  const config = new Values(read("config", configText));
  const values = new Values(read("values", valuesText));
  const templates = Object.entries(config.map("templates") ?? {}).filter(([name]) => !builtIn.has(name));
  const aliases = Object.entries(config.map("aliases") ?? {});
  const defaults = texts(config.list("defaultTemplates"));
  return {
    policy: config.text("policy", "enabled") === "disabled" ? "disabled" : "enabled",
    neverInjectSelector: config.list("neverInjectSelector") as readonly LabelSelector[],
    alwaysInjectSelector: config.list("alwaysInjectSelector") as readonly LabelSelector[],
    injectedAnnotations: (config.map("injectedAnnotations") ?? {}) as Readonly<Record<string, string>>,
    defaultTemplates: defaults.length === 0 ? ["sidecar"] : defaults,
    aliases: Object.fromEntries(aliases.map(([name, list]) => [name, Array.isArray(list) ? texts(list) : []])),
    templates: new Map(templates.map(([name, text]) => [name, template(name, text)])),
    hub: values.text("global.hub", defaultImage.hub),
    tag: values.text("global.tag", defaultImage.tag),
    variant: values.text("global.variant"),
    imagePullPolicy: values.text("global.imagePullPolicy"),
    imagePullSecrets: texts(values.list("global.imagePullSecrets")),
    initImage: values.text("global.proxy_init.image", defaultImage.name),
    proxy: proxySettings(values),
    cni: values.flag("pilot.cni.enabled", false),
    rewriteAppHTTPProbe: values.flag("sidecarInjectorWebhook.rewriteAppHTTPProbe", true),
    agentLogLevel: values.text("global.logging.level", "default:info"),
    logAsJson: values.flag("global.logAsJson", false),
    clusterName: values.text("global.multiCluster.clusterName"),
    network: values.text("global.network"),
    meshId: values.text("global.meshID"),
    rootNamespace: values.text("global.istioNamespace", "istio-system"),
    caAddress: values.text("global.caAddress"),
    gatewaySecurityContext: values.map("gateways.securityContext"),
  };
}
