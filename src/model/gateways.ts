import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { labelsMatch } from "./labels.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";
import { only } from "./services.ts";
import type { Tables } from "./tables.ts";

/** Questions about Gateways. */
export interface GatewayQueries {
  /** A Gateway by `namespace/name`. */
  readonly gateway: Query<string, Config<GatewaySpec> | undefined>;
  /** Keys of the Gateways that select a workload by its labels, the oldest first. */
  readonly selecting: Query<StringMap, readonly string[]>;
}

/** Declares the queries about Gateways. */
export function gatewayQueries(engine: Engine, tables: Tables): GatewayQueries {
  const { rows } = tables.gateways;
  const gateway = engine.stringQuery("gateway", (key) => rows.get(key));
  const selectors = engine.stringQuery("gateway-selectors", () =>
    rows
      .rows()
      .toSorted(byAge)
      .map((row) => ({ key: `${row.namespace}/${row.name}`, selector: row.spec.selector ?? {} })),
  );
  const selecting = engine.query<StringMap, readonly string[]>({
    name: "gateways-selecting",
    key: canonical,
    compute: (labels) =>
      selectors
        .get(only)
        .filter((each) => labelsMatch(each.selector, labels))
        .map((each) => each.key),
  });
  return { gateway, selecting };
}
