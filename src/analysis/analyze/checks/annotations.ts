import type { Deployment } from "#api/kubernetes/deployment.ts";
import type { ObjectRef, StringMap } from "#api/meta.ts";
import { listed } from "#model/findings/finding.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Fix, PatchOperation, Problem } from "../message.ts";
import { nearest } from "../nearest.ts";
import { fieldPointer } from "#api/field-path.ts";
import { annotationProblem } from "#api/istio/annotation-values.ts";
import { ownPods } from "./deployments.ts";
import { knownAnnotations } from "./known-annotations.ts";

/** Annotations and labels of an object, or of a template in it. */
export interface Annotated {
  readonly ref: ObjectRef;
  /** What the annotations are of: a Deployment's template is of a Pod. */
  readonly kind: string;
  /** Where they stand: `metadata`. */
  readonly at: string;
  readonly annotations: StringMap;
  readonly labels: StringMap;
  /** Where a Pod's annotations stand in the same object, if it has a template. */
  readonly template?: { readonly at: string; readonly annotations: StringMap | undefined };
}

/** What the mesh itself writes. */
const ignored: ReadonlySet<string> = new Set([
  "sidecar.istio.io/status",
  "gateway.istio.io/controller-version",
  "istio.io/rev",
]);
const injectName = "sidecar.istio.io/inject";

function isIstios(name: string): boolean {
  return name === "kubernetes.io/ingress.class" || (name.split("/")[0] ?? "").endsWith("istio.io");
}

function fieldOf({ at }: Annotated, name: string): string {
  return `${at}.annotations[${name}]`;
}

function moved(of: Annotated, name: string, to: string, value: string): readonly PatchOperation[] {
  return [
    { op: "remove", path: fieldPointer(fieldOf(of, name)) },
    { op: "add", path: fieldPointer(to), value },
  ];
}

function unknown(of: Annotated, name: string): Problem {
  const meant = nearest(name, knownAnnotations.keys());
  const fix: Fix | undefined =
    meant === undefined || of.annotations[meant] !== undefined
      ? undefined
      : { text: `Rename it ${meant}.`, patch: moved(of, name, fieldOf(of, meant), of.annotations[name] ?? "") };
  const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
  const message = `Unknown annotation: ${name}.${hint}`;
  return problemOf(of.ref, { code: "UnknownAnnotation", field: fieldOf(of, name), message, fix });
}

function deprecated(of: Annotated, name: string): Problem {
  const isInject = name === injectName;
  const fix: Fix | undefined = isInject
    ? {
        text: "Make it a label.",
        patch: [
          { op: "remove", path: fieldPointer(fieldOf(of, name)) },
          ...(Object.keys(of.labels).length === 0
            ? [{ op: "add", path: fieldPointer(`${of.at}.labels`), value: {} } as const]
            : []),
          { op: "add", path: fieldPointer(`${of.at}.labels[${name}]`), value: of.annotations[name] ?? "" },
        ],
      }
    : undefined;
  const instead = isInject ? ` in favor of the "${name}" label` : "";
  const message = `Annotation ${name} is deprecated${instead}.`;
  return problemOf(of.ref, { code: "DeprecatedAnnotation", severity: "info", field: fieldOf(of, name), message, fix });
}

function misplaced(of: Annotated, name: string, kinds: readonly string[]): Problem {
  const { template } = of;
  const value = of.annotations[name] ?? "";
  const fix: Fix | undefined =
    template && kinds.includes("Pod")
      ? {
          text: "Move it to the Pods' template.",
          patch: [
            { op: "remove", path: fieldPointer(fieldOf(of, name)) },
            template.annotations === undefined
              ? { op: "add", path: fieldPointer(`${template.at}.annotations`), value: { [name]: value } }
              : { op: "add", path: fieldPointer(`${template.at}.annotations[${name}]`), value },
          ],
        }
      : { text: "Remove it.", patch: [{ op: "remove", path: fieldPointer(fieldOf(of, name)) }] };
  const message = `Misplaced annotation: ${name} can only be applied to ${listed(kinds)}.`;
  return problemOf(of.ref, { code: "MisplacedAnnotation", field: fieldOf(of, name), message, fix });
}

function* judged(of: Annotated): Generator<Problem> {
  for (const [name, value] of Object.entries(of.annotations)) {
    if (!isIstios(name) || ignored.has(name)) continue;
    const known = knownAnnotations.get(name);
    if (!known) {
      yield unknown(of, name);
      continue;
    }
    if (known.deprecated && !(name === injectName && of.labels[injectName] !== undefined)) yield deprecated(of, name);
    if (known.kinds.includes("Any")) continue;
    if (!known.kinds.includes(of.kind)) {
      yield misplaced(of, name, known.kinds);
      continue;
    }
    const problem = annotationProblem(name, value);
    if (problem === undefined) continue;
    const message = `Invalid annotation ${name}: ${JSON.stringify(value)} ${problem}.`;
    yield problemOf(of.ref, { code: "InvalidAnnotation", field: fieldOf(of, name), message });
  }
}

/** Everything whose annotations and labels are looked at. Pods of controllers are judged by their templates. */
export function* annotated(objects: MeshObjects): Generator<Annotated> {
  for (const subject of [...objects.all("Namespace"), ...objects.all("Service"), ...ownPods(objects)]) {
    yield { ...subject, kind: subject.ref.kind, at: "metadata" };
  }
  for (const { ref, annotations, labels, spec } of objects.all<Deployment["spec"]>("Deployment")) {
    const { metadata = {} } = spec.template;
    const at = "spec.template.metadata";
    const template = { at, annotations: metadata.annotations };
    yield { ref, kind: "Deployment", at: "metadata", annotations, labels, template };
    yield { ref, kind: "Pod", at, annotations: metadata.annotations ?? {}, labels: metadata.labels ?? {} };
  }
}

/** Annotations of Istio's. */
export const annotationAnalyzer: Analyzer = {
  name: "annotations.K8sAnalyzer",
  description: "Checks for misplaced and invalid Istio annotations in Kubernetes resources",
  *problems(objects) {
    for (const of of annotated(objects)) yield* judged(of);
  },
};

/** Annotations of alpha quality: too many to tell of unless asked. */
export const alphaAnnotationAnalyzer: Analyzer = {
  name: "annotations.AlphaAnalyzer",
  description: "Checks for alpha Istio annotations in Kubernetes resources; only when asked for",
  onRequest: true,
  *problems(objects) {
    for (const of of annotated(objects)) {
      for (const name of Object.keys(of.annotations)) {
        if (knownAnnotations.get(name)?.alpha !== true || ignored.has(name)) continue;
        const message = `Annotation ${name} is part of an alpha-phase feature and may be incompletely supported.`;
        yield problemOf(of.ref, { code: "AlphaAnnotation", severity: "info", field: fieldOf(of, name), message });
      }
    }
  },
};

const injectionLabels = ["istio-injection", "istio.io/rev", "istio.io/dataplane-mode"];

/** Namespaces that ask for injection in several ways. */
export const injectionAnalyzer: Analyzer = {
  name: "injection.Analyzer",
  description: "Checks that Namespaces have one label that asks for injection",
  *problems({ all }) {
    for (const { ref, labels } of all("Namespace")) {
      const found = injectionLabels.filter((label) => labels[label] !== undefined);
      const [first = ""] = found;
      if (found.length < 2 || (labels["istio-injection"] ?? "enabled") !== "enabled") continue;
      const field = `metadata.labels[${first}]`;
      const message = `The namespace has several labels that ask for injection: ${listed(found)}. Keep one.`;
      yield problemOf(ref, { code: "NamespaceMultipleInjectionLabels", field, message });
    }
  },
};
