import type { Service } from "#api/kubernetes/service.ts";
import { canonical } from "#base/canonical.ts";
import { listed } from "#model/findings/finding.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

type ServiceObject = Subject<Service["spec"]>;

/** What should be the same of a Service in all clusters, each with what to call it. */
const aspects: readonly (readonly [name: string, of: (spec: Service["spec"]) => unknown])[] = [
  ["headless or not", ({ clusterIP }) => clusterIP === "None"],
  ["type", ({ type }) => type],
  [
    "ports",
    ({ ports = [] }) =>
      ports
        .map(({ name = "", port, protocol, appProtocol, targetPort = port }) =>
          canonical({ name, port, protocol, appProtocol, targetPort }),
        )
        .toSorted(),
  ],
];

function* inconsistencies(services: readonly ServiceObject[]): Generator<Problem> {
  for (const same of Map.groupBy(services, ({ namespace, name }) => `${namespace}/${name}`).values()) {
    const [first] = same.toSorted((a, b) => (a.cluster < b.cluster ? -1 : 1));
    const clusters = [...new Set(same.map(({ cluster }) => cluster))].toSorted();
    const found = aspects.filter(([, of]) => new Set(same.map(({ spec }) => canonical(of(spec)))).size > 1);
    if (!first || clusters.length < 2 || found.length === 0) continue;
    const message = `Service ${first.namespace}/${first.name} differs between clusters ${listed(clusters)} (${listed(found.map(([name]) => name))}), though it is one service of the mesh. Make them alike.`;
    yield problemOf(first.ref, { code: "MultiClusterInconsistentService", field: "spec", message });
  }
}

/** Services of one name that differ between clusters. */
export const multiClusterAnalyzer: Analyzer = {
  name: "services.MultiClusterServiceAnalyzer",
  description: "Checks that the Services of one name are alike in all clusters",
  problems: ({ all }) => inconsistencies(all<Service["spec"]>("Service")),
};
