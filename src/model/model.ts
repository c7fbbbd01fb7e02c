import type { GatewayCredential } from "#api/istio/gateway-credential.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { clusterLocalQuery } from "./cluster-local.ts";
import { type ClientQueries, clientQueries } from "./clients.ts";
import { type CredentialQueries, credentialQueries } from "./credentials/queries.ts";
import { type RuleQueries, ruleQueries } from "./destinationrules.ts";
import { type EndpointQueries, endpointQueries } from "./endpoints.ts";
import { type EnvoyFilterQueries, envoyFilterQueries } from "./envoyfilters.ts";
import { type ExtensionQueries, extensionQueries } from "./extensions.ts";
import { gatewayCredentials } from "./findings/credentials.ts";
import { findingQuery, type FindingQuery } from "./findings/findings.ts";
import { type GatewayQueries, gatewayQueries } from "./gateways.ts";
import { type HeldQueries, heldQueries } from "./held.ts";
import { type Inputs, modelInputs } from "./inputs.ts";
import { type NetworkQueries, networkQueries } from "./networks.ts";
import { type PeerAuthenticationQueries, peerAuthenticationQueries } from "./peer-authentications.ts";
import { type PolicyQueries, policyQueries } from "./policies.ts";
import { type ProxyConfigQueries, proxyConfigQueries } from "./proxyconfigs.ts";
import { type ServiceQueries, serviceQueries } from "./services.ts";
import { declareTables, type Tables } from "./tables.ts";
import { type VirtualServiceQueries, virtualServiceQueries } from "./virtualservices.ts";
import { type WorkloadQueries, workloadQueries } from "./workloads.ts";

/** The mesh as immutable values: what goes in, and every question that can be asked of it. */
export interface Model {
  readonly inputs: Inputs;
  readonly tables: Tables;
  readonly services: ServiceQueries;
  readonly networks: NetworkQueries;
  /** Whether callers of a host are led to endpoints of their own cluster only. */
  readonly clusterLocal: Query<string, boolean>;
  readonly endpoints: EndpointQueries;
  readonly rules: RuleQueries;
  readonly clients: ClientQueries;
  readonly virtualServices: VirtualServiceQueries;
  readonly held: HeldQueries;
  readonly gateways: GatewayQueries;
  readonly workloads: WorkloadQueries;
  readonly envoyFilters: EnvoyFilterQueries;
  readonly peers: PeerAuthenticationQueries;
  readonly proxyConfigs: ProxyConfigQueries;
  readonly extensions: ExtensionQueries;
  readonly credentials: CredentialQueries;
  readonly policies: PolicyQueries;
  readonly findings: FindingQuery;
  /** Credentials of a Gateway, `namespace/name`, and when they end. */
  readonly gatewayCredentials: Query<string, readonly GatewayCredential[]>;
}

/** Declares the model on an engine. It is empty until objects are put in. */
export function createModel(engine: Engine): Model {
  const tables = declareTables(engine);
  const services = serviceQueries(engine, tables);
  const clients = clientQueries(engine, tables, services);
  const networks = networkQueries(engine, tables, services);
  const endpoints = endpointQueries(engine, tables, services, networks);
  const rules = ruleQueries(engine, tables, services);
  const virtualServices = virtualServiceQueries(engine, tables, services, clients);
  const gateways = gatewayQueries(engine, tables);
  const credentials = credentialQueries(engine, tables);
  const held = heldQueries(engine, tables, services, clients, virtualServices);
  return {
    inputs: modelInputs(engine, tables),
    tables,
    services,
    networks,
    clusterLocal: clusterLocalQuery(engine, services),
    endpoints,
    rules,
    clients,
    virtualServices,
    held,
    gateways,
    workloads: workloadQueries(engine, tables, services, endpoints),
    envoyFilters: envoyFilterQueries(engine, tables, services),
    peers: peerAuthenticationQueries(engine, tables, services),
    proxyConfigs: proxyConfigQueries(tables, services),
    extensions: extensionQueries(engine, tables, services),
    credentials,
    policies: policyQueries(engine, tables, services),
    gatewayCredentials: engine.stringQuery("gateway-credentials", (key) => {
      const row = tables.gateways.rows.get(key);
      return row ? gatewayCredentials(row, { tables, credentials }) : [];
    }),
    findings: findingQuery(engine, {
      tables,
      services,
      endpoints,
      rules,
      gateways,
      virtualServices,
      credentials,
      held,
    }),
  };
}
