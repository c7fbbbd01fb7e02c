import { nameProblem } from "#api/metadata.ts";
import { discoveryKey, discoveryMode, discoveryModes } from "#api/weft/discovery-mode.ts";
import { mostScopeHosts } from "#api/weft/egress-scope.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Client } from "#model/client.ts";
import type { Model } from "#model/model.ts";
import type { ProxyView } from "./view.ts";

/** What a proxy holds: only what its workload (`namespace/name`) calls, of what a client sees, or everything. */
export type Discovery =
  | { readonly mode: "OnDemand"; readonly workload: string; readonly client: Client }
  /** `reason`: why it does though it should hold less. */
  | { readonly mode: "All"; readonly reason?: string };

/** The workload, `namespace/name`, of a proxy that can ask for what it does not hold; undefined for others. */
export function askingWorkload({ type, virtualHosts, namespace, metadata }: ProxyView): string | undefined {
  const { WORKLOAD_NAME: name = "" } = metadata;
  if (type !== "sidecar" || virtualHosts !== "asked" || nameProblem("subdomain", name) !== undefined) return undefined;
  return `${namespace}/${name}`;
}

const all = { mode: "All" } as const;

function because(reason: string): Discovery {
  return { ...all, reason };
}

/** What is wrong with a word for a mode; undefined where nothing is. */
function wordProblem(where: string, word: string | undefined): string | undefined {
  if (word === undefined || discoveryMode(word) !== undefined) return undefined;
  return `the ${where} ${discoveryKey} says ${JSON.stringify(word)}, which is none of ${discoveryModes.join(", ")}`;
}

/** Works out what proxies hold; read it inside of a query. */
export function discoveryOf(engine: Engine, model: Model): (view: ProxyView) => Discovery {
  const tooMany = engine.stringQuery(
    "calls-too-many",
    (workload) =>
      model.tables.asks.get(workload)?.tooMany === true || model.held.known(workload).length >= mostScopeHosts,
  );

  return (view) => {
    const { namespace, metadata, discovery: annotation } = view;
    if (view.type !== "sidecar") return all;
    const { WORKLOAD_NAME: name = "" } = metadata;
    if (model.held.mode({ namespace, name, annotation: annotation ?? "" }) !== "OnDemand") {
      const label = model.services.namespaceLabels(namespace)[discoveryKey];
      const problem = wordProblem("annotation", annotation) ?? wordProblem("namespace's label", label);
      return problem === undefined ? all : because(problem);
    }
    if (view.virtualHosts !== "asked") return because("only Envoy 1.40 and later over delta xDS can ask for more");
    const workload = askingWorkload(view);
    if (workload === undefined)
      return because("its WORKLOAD_NAME, which names its EgressScope, is no name of an object");
    if (tooMany.get(workload)) return because(`its workload calls more than ${mostScopeHosts} hosts`);
    const client = model.clients.openClient(view);
    if (!client) return because("its Sidecar has egress listeners of its own");
    if (model.clients.declaresAll(client)) return because('its Sidecar declares every host: spec.egress has "*/*"');
    return { mode: "OnDemand", workload, client };
  };
}
