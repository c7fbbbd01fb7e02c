import type { Column } from "../kind.ts";
import { ageColumn } from "../columns.ts";
import { labelsText } from "./selector.ts";
import type { Service } from "./service.ts";

/** Where a Service is reached from outside, as kubectl's EXTERNAL-IP tells it. */
function externalAddress({ spec, status }: Service): string {
  const outside = (spec.externalIPs ?? []).join(",");
  switch (spec.type) {
    case "ClusterIP":
    case "NodePort":
      return outside || "<none>";
    case "ExternalName":
      return spec.externalName ?? "<none>";
    case "LoadBalancer": {
      const given = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || "").join(",");
      return [given, outside].filter((text) => text !== "").join(",") || "<pending>";
    }
  }
}

function portsText({ spec }: Service): string {
  const ports = (spec.ports ?? []).map(({ port, nodePort, protocol }) =>
    nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`,
  );
  return ports.join(",") || "<none>";
}

function column(name: string, description: string, cell: (service: Service) => string, wide = false): Column {
  return { name, type: "string", wide, description, cell: (object) => cell(object as Service) };
}

/** The columns that Kubernetes prints of Services. */
export const serviceColumns: readonly Column[] = [
  column("Type", "How the Service is reached.", ({ spec }) => spec.type),
  column("Cluster-IP", "The Service's address.", ({ spec }) => spec.clusterIPs?.[0] || spec.clusterIP || "<none>"),
  column("External-IP", "The Service's addresses outside the cluster.", externalAddress),
  column("Port(s)", "The Service's ports, with those of the nodes.", portsText),
  ageColumn,
  column("Selector", "Labels of the Pods.", ({ spec }) => labelsText(spec.selector), true),
];
