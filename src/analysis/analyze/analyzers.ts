import type { Analyzer } from "./analyzer.ts";
import { alphaAnnotationAnalyzer, annotationAnalyzer, injectionAnalyzer } from "./checks/annotations.ts";
import { authorityAnalyzer } from "./checks/authority.ts";
import { authorizationAnalyzer } from "./checks/authorization.ts";
import { claimAnalyzer } from "./checks/claims.ts";
import { multiClusterAnalyzer } from "./checks/clusters.ts";
import { remoteSecretAnalyzer } from "./checks/remote-secrets.ts";
import { conditionAnalyzer } from "./checks/conditions.ts";
import { applicationUidAnalyzer, multiServiceAnalyzer } from "./checks/deployments.ts";
import { deprecationAnalyzer } from "./checks/deprecated.ts";
import { caCertificateAnalyzer, doubleTlsAnalyzer, localityAnalyzer } from "./checks/destination-rules.ts";
import { discoveryAnalyzer, hijackAnalyzer } from "./checks/modes.ts";
import { envoyPatchAnalyzer } from "./checks/envoy-filters.ts";
import { findingsAnalyzer } from "./checks/findings.ts";
import {
  conflictingGatewayAnalyzer,
  gatewayCertificateAnalyzer,
  gatewayPortAnalyzer,
  gatewayRouteAnalyzer,
} from "./checks/gateways.ts";
import { meshConfigAnalyzer } from "./checks/mesh-config.ts";
import { plainPortAnalyzer, portNameAnalyzer, serverFirstAnalyzer } from "./checks/ports.ts";
import { proxyAnalyzer } from "./checks/proxies.ts";
import {
  conflictingHostsAnalyzer,
  destinationPortAnalyzer,
  ingressSubsetAnalyzer,
  retriesAnalyzer,
} from "./checks/routes.ts";
import { schemaAnalyzer } from "./checks/schema.ts";
import { selectorAnalyzer } from "./checks/selectors.ts";
import { entryProtocolAnalyzer, protocolAddressesAnalyzer } from "./checks/service-entries.ts";
import { telemetryProviderAnalyzer } from "./checks/telemetry.ts";

/** Everything that is looked at. */
export const analyzers: readonly Analyzer[] = [
  schemaAnalyzer,
  meshConfigAnalyzer,
  findingsAnalyzer,
  conflictingHostsAnalyzer,
  destinationPortAnalyzer,
  retriesAnalyzer,
  claimAnalyzer,
  authorizationAnalyzer,
  ingressSubsetAnalyzer,
  deprecationAnalyzer,
  caCertificateAnalyzer,
  doubleTlsAnalyzer,
  localityAnalyzer,
  conflictingGatewayAnalyzer,
  gatewayPortAnalyzer,
  gatewayCertificateAnalyzer,
  gatewayRouteAnalyzer,
  protocolAddressesAnalyzer,
  entryProtocolAnalyzer,
  selectorAnalyzer,
  envoyPatchAnalyzer,
  telemetryProviderAnalyzer,
  portNameAnalyzer,
  serverFirstAnalyzer,
  plainPortAnalyzer,
  multiClusterAnalyzer,
  remoteSecretAnalyzer,
  multiServiceAnalyzer,
  applicationUidAnalyzer,
  annotationAnalyzer,
  alphaAnnotationAnalyzer,
  injectionAnalyzer,
  discoveryAnalyzer,
  hijackAnalyzer,
  authorityAnalyzer,
  conditionAnalyzer,
  proxyAnalyzer,
];
