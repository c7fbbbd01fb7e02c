import type { StringMap } from "#api/meta.ts";
import { listed } from "#model/findings/finding.ts";
import { labelsMatch } from "#model/labels.ts";
import { only } from "#model/services.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import { labelsText } from "#api/kubernetes/selector.ts";
import type { MeshObjects, Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** How objects of a kind say which workloads they are for. */
interface Selecting {
  readonly kind: string;
  /** The field with the labels. */
  readonly field: string;
  readonly labels: (spec: object) => StringMap | undefined;
  /** The message where nothing is selected; absent where the control plane says so itself. */
  readonly nobody?: string;
  /** The message where two objects select one Pod; absent where several may. */
  readonly overlap?: string;
  /** The message where several objects of a namespace select all; absent where several may, or the control plane says so. */
  readonly defaults?: string;
}

interface Selectors {
  readonly selector?: { readonly matchLabels?: StringMap };
  readonly workloadSelector?: { readonly labels?: StringMap };
}

function matchLabels({ selector }: Selectors): StringMap | undefined {
  return selector?.matchLabels;
}

function bySelector(kind: string, more: Partial<Selecting> = {}): Selecting {
  return {
    kind,
    field: "spec.selector.matchLabels",
    labels: matchLabels,
    nobody: "NoMatchingWorkloadsFound",
    ...more,
  };
}

function workloadLabels({ workloadSelector }: Selectors): StringMap | undefined {
  return workloadSelector?.labels;
}

function byWorkloadSelector(kind: string, more: Partial<Selecting> = {}): Selecting {
  return { kind, field: "spec.workloadSelector.labels", labels: workloadLabels, ...more };
}

const selecting: readonly Selecting[] = [
  byWorkloadSelector("Sidecar", { overlap: "ConflictingSidecarWorkloadSelectors" }),
  byWorkloadSelector("EnvoyFilter", { nobody: "NoMatchingWorkloadsFound" }),
  bySelector("Telemetry", {
    nobody: "ReferencedResourceNotFound",
    overlap: "ConflictingTelemetryWorkloadSelectors",
    defaults: "MultipleTelemetriesWithoutWorkloadSelectors",
  }),
  {
    kind: "PeerAuthentication",
    field: "spec.selector.matchLabels",
    labels: matchLabels,
    overlap: "ConflictingPolicies",
  },
  bySelector("RequestAuthentication"),
  bySelector("AuthorizationPolicy"),
  bySelector("WasmPlugin"),
  bySelector("TrafficExtension"),
  bySelector("ProxyConfig"),
];

type Selector = Subject<object>;

/** Whether some workload has labels: a Pod, or a WorkloadEntry. */
function hasWorkload(labels: StringMap, namespace: string | undefined, { all, pods }: MeshObjects): boolean {
  if (pods(labels, namespace).length > 0) return true;
  return all<{ readonly labels?: StringMap }>("WorkloadEntry").some(
    (entry) =>
      (namespace === undefined || entry.namespace === namespace) && labelsMatch(labels, entry.spec.labels ?? {}),
  );
}

/** Whether it can be said that a namespace has no such workload: in files it must have some. */
function isKnown(namespace: string | undefined, { live, pods }: MeshObjects): boolean {
  return live || pods({}, namespace).length > 0;
}

function* nobody(object: Selector, kind: Selecting, root: string, objects: MeshObjects): Generator<Problem> {
  const labels = kind.labels(object.spec) ?? {};
  const namespace = object.namespace === root ? undefined : object.namespace;
  if (kind.nobody === undefined || Object.keys(labels).length === 0) return;
  if (!isKnown(namespace, objects) || hasWorkload(labels, namespace, objects)) return;
  const where = namespace === undefined ? "" : ` of namespace ${namespace}`;
  const message = `No workload${where} has the labels ${labelsText(labels)}.`;
  yield problemOf(object.ref, { code: kind.nobody, field: kind.field, message });
}

function others(own: Selector, all: readonly Selector[]): string {
  return listed(
    all
      .filter(({ ref }) => ref !== own.ref)
      .map(({ name }) => name)
      .toSorted(),
  );
}

function* overlaps(
  object: Selector,
  all: readonly Selector[],
  kind: Selecting,
  objects: MeshObjects,
): Generator<Problem> {
  const labels = kind.labels(object.spec) ?? {};
  for (const pod of objects.pods(labels, object.namespace)) {
    const same = all.filter(
      (each) => each.namespace === object.namespace && labelsMatch(kind.labels(each.spec) ?? {}, pod.labels),
    );
    if (same.length < 2) continue;
    const message = `${kind.kind} ${others(object, same)} selects Pod ${pod.name} too; only the oldest is followed there. Make the labels exclude each other.`;
    yield problemOf(object.ref, { code: kind.overlap ?? "", field: kind.field, message });
    return;
  }
}

function* ofKind(kind: Selecting, root: string, objects: MeshObjects): Generator<Problem> {
  const all = objects.all<object>(kind.kind);
  const [some, none] = [true, false].map((is) =>
    all.filter(({ spec }) => Object.keys(kind.labels(spec) ?? {}).length > 0 === is),
  );
  for (const object of some ?? []) {
    yield* nobody(object, kind, root, objects);
    if (kind.overlap !== undefined) yield* overlaps(object, some ?? [], kind, objects);
  }
  if (kind.defaults === undefined) return;
  for (const same of Map.groupBy(none ?? [], ({ namespace }) => namespace).values()) {
    if (same.length < 2) continue;
    for (const object of same) {
      const message = `${kind.kind} ${others(object, same)} of namespace ${object.namespace} selects all workloads too; only the oldest is followed. Keep one.`;
      yield problemOf(object.ref, { code: kind.defaults, field: "metadata.name", message });
    }
  }
}

/** Objects that select workloads. */
export const selectorAnalyzer: Analyzer = {
  name: "selector.SelectorAnalyzer",
  description:
    "Checks that selectors select workloads, and that objects of which one is followed do not select the same",
  *problems(objects) {
    const root = objects.mesh.model.services.mesh.get(only).rootNamespace;
    for (const kind of selecting) yield* ofKind(kind, root, objects);
  },
};
