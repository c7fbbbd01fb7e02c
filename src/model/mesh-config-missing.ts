import { isIP } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { MeshNetworks } from "#api/istio/mesh-networks.ts";

const roots =
  "has no effect: the mesh's proxies trust root-cert.pem of the Secret cacerts, which may hold several roots";
const telemetry = "comes with telemetry";
const ambient = "is of ambient mode, which Weft does not have";
const ingress = "is of Kubernetes' Ingress, which Weft does not serve yet";

/** Members of a MeshConfig that Weft does not carry out, and why; of some a value that changes nothing. */
const missing: Readonly<Record<string, readonly [why: string, harmless?: unknown]>> = {
  proxyListenPort: ["cannot be another port yet", 15001],
  proxyInboundListenPort: ["cannot be another port yet", 15006],
  hboneIdleTimeout: [ambient],
  serviceScopeConfigs: [ambient],
  ingressClass: [ingress, "istio"],
  ingressService: [ingress, "istio-ingressgateway"],
  ingressControllerMode: [ingress, "STRICT"],
  ingressSelector: [ingress, "ingressgateway"],
  enableTracing: [telemetry, true],
  enableEnvoyAccessLogService: [telemetry, false],
  caCertificates: [roots, []],
  certificates: ["has no effect: certificates of names are not made for other programs", []],
  ca: ["has no effect: the mesh's own authority signs; plug it in by the Secret cacerts"],
  configSources: ["has no effect: Weft's configuration is in its API", []],
  "outboundTrafficPolicy.tls.credentialName": ["has no effect, and there is no TLS: sidecars read files only"],
  verifyCertificateAtClient: ["has no effect, as in Istio: say it in DestinationRules", true],
  "defaultConfig.tracing": [telemetry],
  "defaultConfig.zipkinAddress": [telemetry],
  "defaultConfig.statsdUdpAddress": [telemetry],
  "defaultConfig.envoyAccessLogService": [telemetry],
  "defaultConfig.envoyMetricsService": [telemetry],
  "defaultConfig.envoyMetricsServiceAddress": [telemetry],
  "defaultConfig.statsCompression": [telemetry, true],
  "defaultConfig.caCertificatesPem": [roots],
  "defaultConfig.privateKeyProvider": ["has no effect: upstream builds of Envoy lack CryptoMB and QAT"],
  "defaultConfig.readinessProbe": ["comes with virtual machines"],
  "defaultConfig.proxyAdminPort": ["cannot be another port yet", 15000],
  "defaultConfig.statusPort": ["cannot be another port yet", 15020],
  "defaultConfig.customConfigFile": [
    "has no effect: the node's agent writes the bootstrap; patch it by an EnvoyFilter",
  ],
  "defaultConfig.proxyBootstrapTemplatePath": [
    "has no effect: the node's agent writes the bootstrap; patch it by an EnvoyFilter",
  ],
  "defaultConfig.connectionSettings.clusterPerConnectionBufferLimitBytes": ["has no effect, as in Istio 1.31"],
  "defaultConfig.connectionSettings.listenerConnectionLimit": ["has no effect, as in Istio 1.31"],
  "defaultConfig.connectionSettings.globalDownstreamConnectionLimit": [
    "has no effect, as in Istio 1.31: use runtimeValues overload.global_downstream_max_connections",
  ],
};

function valueAt(config: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>> | null | undefined)?.[name], config);
}

/** Extension providers of kinds that nothing asks yet: all but those that authorize. */
function missingProviders(config: unknown): readonly string[] {
  const providers = valueAt(config, "extensionProviders");
  return (Array.isArray(providers) ? (providers as readonly Readonly<Record<string, unknown>>[]) : []).flatMap(
    (provider, index) => {
      const others = Object.keys(provider).filter(
        (key) => !["name", "envoyExtAuthzHttp", "envoyExtAuthzGrpc"].includes(key),
      );
      return others.map((key) => `extensionProviders[${index}].${key} ${telemetry}`);
    },
  );
}

/** Gateways of networks that have only a name, which nobody looks up: their networks are called directly. */
function missingGateways(config: unknown): readonly string[] {
  return Object.entries((valueAt(config, "meshNetworks") ?? {}) as MeshNetworks).flatMap(
    ([network, { gateways = [] }]) =>
      gateways.flatMap(({ address = "" }, index) =>
        address === "" || isIP(address) !== 0
          ? []
          : [`meshNetworks.${network}.gateways[${index}].address has no effect: names are not looked up yet`],
      ),
  );
}

/**
 * Members of a MeshConfig that are set to something and have no effect, each with the reason.
 * @param config in the form of JSON.
 */
export function missingMembers(config: unknown): readonly string[] {
  const members = Object.entries(missing).flatMap(([path, [why, harmless]]) => {
    const value = valueAt(config, path);
    return value === undefined || value === null || isDeepStrictEqual(value, harmless) ? [] : [`${path} ${why}`];
  });
  return [...members, ...missingProviders(config), ...missingGateways(config)];
}
