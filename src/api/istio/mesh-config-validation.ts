import { parseDuration } from "#base/duration.ts";
import { type FieldPath, forbidden, invalid } from "../field.ts";
import { validateLabelSelector } from "../kubernetes/selector-validation.ts";
import { validateNamed } from "../metadata.ts";
import { validateConnectionPool } from "./connection-pool-validation.ts";
import { validateRetries } from "./http-action-validation.ts";
import { validateLocality, validateZones } from "./load-balancer-validation.ts";
import type { MeshConfig } from "./mesh-config.ts";
import type { MeshProxyConfig } from "./mesh-proxy-config.ts";
import { type Errors, validateExportTo } from "./names.ts";
import { validateClientTls, validateOutliers } from "./traffic-policy-validation.ts";

const exportLists = [
  "defaultServiceExportTo",
  "defaultVirtualServiceExportTo",
  "defaultDestinationRuleExportTo",
] as const;

const connectionTimes = [
  "httpIdleTimeout",
  "httpMaxConnectionDuration",
  "httpDrainTimeout",
  "httpRequestTimeout",
  "httpRequestHeadersTimeout",
  "httpStreamIdleTimeout",
  "httpMaxStreamDuration",
] as const;

function* validateProxyConfig({ drainDuration, connectionSettings = {} }: MeshProxyConfig, path: FieldPath): Errors {
  if (drainDuration !== undefined && (parseDuration(drainDuration) ?? 0) % 1000 !== 0) {
    yield invalid(path.field("drainDuration"), drainDuration, "must be whole seconds");
  }
  for (const name of connectionTimes) {
    const time = connectionSettings[name];
    if (time !== undefined && (parseDuration(time) ?? 0) < 0) {
      yield invalid(path.field("connectionSettings", name), time, "must be 0s or more");
    }
  }
  for (const name of ["http2InitialStreamWindowSize", "http2InitialConnectionWindowSize"] as const) {
    const size = connectionSettings[name];
    if (size !== undefined && size < 65_535) {
      yield invalid(path.field("connectionSettings", name), size, "must be 65535 or more, as RFC 9113 has it");
    }
  }
}

/** Checks the settings of a mesh. */
export function* validateMeshConfig(config: MeshConfig, path: FieldPath): Errors {
  if (config.rootNamespace) yield* validateNamed("label", config.rootNamespace, path.field("rootNamespace"));
  if (config.meshMTLS?.ecdhCurves !== undefined) {
    yield forbidden(path.field("meshMTLS", "ecdhCurves"), "curves of the mesh's mutual TLS cannot be chosen");
  }
  for (const [index, name] of (config.trustDomainAliases ?? []).entries()) {
    yield* validateNamed("subdomain", name, path.field("trustDomainAliases").item(index));
  }
  for (const name of exportLists) yield* validateExportTo(config[name], undefined, path.field(name), { nobody: true });
  yield* validateClientTls(config.outboundTrafficPolicy?.tls, undefined, path.field("outboundTrafficPolicy", "tls"));
  const { defaultHttpRetryPolicy: retries, localityLbSetting: locality, defaultTrafficPolicy: policy = {} } = config;
  if (retries) yield* validateRetries(retries, path.field("defaultHttpRetryPolicy"));
  if (locality) yield* validateLocality(locality, path.field("localityLbSetting"));
  if (config.zoneAwareLbSetting) yield* validateZones(config.zoneAwareLbSetting, path.field("zoneAwareLbSetting"));
  const at = path.field("defaultTrafficPolicy");
  yield* validateConnectionPool(policy.connectionPool, at.field("connectionPool"));
  yield* validateOutliers(policy.outlierDetection, at.field("outlierDetection"));
  for (const [index, selector] of (config.discoverySelectors ?? []).entries()) {
    yield* validateLabelSelector(selector, path.field("discoverySelectors").item(index));
  }
  for (const [index, { matchingRules = [] }] of (config.serviceEntryVisibility?.policies ?? []).entries()) {
    const rules = path.field("serviceEntryVisibility", "policies").item(index).field("matchingRules");
    for (const [number, { namespaceSelector }] of matchingRules.entries()) {
      if (!namespaceSelector) continue;
      yield* validateLabelSelector(namespaceSelector, rules.item(number).field("namespaceSelector"));
    }
  }
  if (config.defaultConfig) yield* validateProxyConfig(config.defaultConfig, path.field("defaultConfig"));
}
