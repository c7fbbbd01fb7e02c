import type { Column } from "../kind.ts";
import type { Deployment } from "./deployment.ts";
import type { ReplicaSet } from "./replica-set.ts";
import { selectorText } from "./selector.ts";

type Workload = Deployment | ReplicaSet;

function column(name: string, description: string, cell: (workload: Workload) => string): Column {
  return { name, type: "string", wide: true, description, cell: (object) => cell(object as Workload) };
}

/** Columns that Kubernetes prints of whatever keeps Pods of a template, with `-o wide`. */
export const workloadColumns: readonly Column[] = [
  column("Containers", "Names of the template's containers.", ({ spec }) =>
    spec.template.spec.containers.map(({ name }) => name).join(","),
  ),
  column("Images", "Images of the template's containers.", ({ spec }) =>
    spec.template.spec.containers.map(({ image = "" }) => image).join(","),
  ),
  column("Selector", "Labels of the Pods.", ({ spec }) => selectorText(spec.selector)),
];
