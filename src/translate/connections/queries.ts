import { hostsOverlap } from "#api/istio/hosts.ts";
import type { Engine } from "#incremental/engine.ts";
import { type Client, clientKey } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import { projectSource, type RouteSource, sourceReads, type SourceReads } from "../routes/source.ts";
import { type ConnectionRule, connectionRule } from "./rule.ts";

/** VirtualServices' routes of connections as queries. */
export interface ConnectionQueries {
  /** The rule of a VirtualService, by `namespace/name`. */
  readonly rule: (virtualService: string) => ConnectionRule | undefined;
  /** Of a client's proxy, what the rules for connections look at; callers that agree in it share their listeners. */
  readonly sourceOf: (client: Client, source: RouteSource) => RouteSource;
  /** Keys of the VirtualServices with rules for connections to a host, in the order of precedence. */
  readonly rulesFor: (client: Client, host: string) => readonly string[];
}

/** Declares the queries about routes of connections. */
export function connectionQueries(engine: Engine, model: Model): ConnectionQueries {
  const { virtualService, meshConnections } = model.virtualServices;

  const rules = engine.stringQuery("connection-rule", (key): ConnectionRule | undefined => {
    const row = virtualService.get(key);
    return row && connectionRule(row);
  });

  const reads = engine.query<Client, SourceReads>({
    name: "connection-source-reads",
    key: clientKey,
    compute: (client) => {
      const seen = meshConnections.get(client).flatMap((each) => rules.get(each.virtualService) ?? []);
      return sourceReads(seen.flatMap(({ tls, tcp }) => [...tls, ...tcp]));
    },
  });

  return {
    rule: (key) => rules.get(key),
    sourceOf: (client, source) => projectSource(reads.get(client), source),
    rulesFor: (client, host) =>
      meshConnections
        .get(client)
        .filter(({ hosts }) => hosts.some((each) => hostsOverlap(each, host)))
        .map((each) => each.virtualService),
  };
}
