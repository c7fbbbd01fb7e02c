import { isIP } from "node:net";
import { equal } from "#base/canonical.ts";
import type { FieldError } from "../kind.ts";
import { duplicate, FieldPath, forbidden, invalid, required } from "../field.ts";
import { validateLabels, validateNamed } from "../metadata.ts";
import { validateContainers } from "./container-validation.ts";
import type { Pod } from "./pod.ts";
import type { PodSpec, PodTemplateSpec } from "./pod-spec.ts";
import type { Volume } from "./volume.ts";

function* validateVolumes(volumes: readonly Volume[], path: FieldPath): Generator<FieldError> {
  const names = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const at = path.item(index);
    const { name, ...sources } = volume;
    yield* validateNamed("label", name, at.field("name"));
    if (names.has(name)) yield duplicate(at.field("name"), name);
    names.add(name);
    for (const source of Object.keys(sources).slice(1)) {
      yield forbidden(at.field(source), "may not specify more than 1 volume type");
    }
  }
}

/** Checks what a Pod runs. */
function* validatePodSpec(spec: PodSpec, path: FieldPath): Generator<FieldError> {
  const { volumes = [], terminationGracePeriodSeconds, activeDeadlineSeconds, dnsPolicy, dnsConfig } = spec;
  yield* validateVolumes(volumes, path.field("volumes"));
  const names = new Set(volumes.map(({ name }) => name));
  yield* validateContainers(spec.containers, spec.initContainers ?? [], names, path);
  yield* validateLabels(spec.nodeSelector, path.field("nodeSelector"));
  if (terminationGracePeriodSeconds < 0) {
    const at = path.field("terminationGracePeriodSeconds");
    yield invalid(at, terminationGracePeriodSeconds, "must be greater than or equal to 0");
  }
  if (activeDeadlineSeconds !== undefined && activeDeadlineSeconds < 1) {
    yield invalid(path.field("activeDeadlineSeconds"), activeDeadlineSeconds, "must be greater than 0");
  }
  if (dnsPolicy === "None" && !dnsConfig?.nameservers?.length) {
    yield required(
      path.field("dnsConfig", "nameservers"),
      "must provide at least one nameserver when `dnsPolicy` is None",
    );
  }
  if (spec.serviceAccountName) {
    yield* validateNamed("subdomain", spec.serviceAccountName, path.field("serviceAccountName"));
  }
  for (const name of ["hostname", "subdomain"] as const) {
    const value = spec[name];
    if (value) yield* validateNamed("label", value, path.field(name));
  }
  for (const [index, { ip }] of (spec.hostAliases ?? []).entries()) {
    if (isIP(ip) === 0) yield invalid(path.field("hostAliases").item(index).field("ip"), ip, "must be an IP address");
  }
}

/** Checks the template of what keeps Pods running. */
export function* validateTemplate({ metadata, spec }: PodTemplateSpec, path: FieldPath): Generator<FieldError> {
  yield* validateLabels(metadata?.labels, path.field("metadata", "labels"));
  yield* validatePodSpec(spec, path.field("spec"));
  if (spec.restartPolicy !== "Always") {
    const at = path.field("spec", "restartPolicy").toString();
    const message = `Unsupported value: ${JSON.stringify(spec.restartPolicy)}: supported values: "Always"`;
    yield { field: at, reason: "FieldValueNotSupported", message };
  }
  if (spec.activeDeadlineSeconds !== undefined) {
    yield forbidden(path.field("spec", "activeDeadlineSeconds"), "Pods that end do not fit what keeps them running");
  }
}

/** Checks a Pod as Kubernetes does. */
export function validatePod({ spec }: Pod): Generator<FieldError> {
  return validatePodSpec(spec, FieldPath.root.field("spec"));
}

/** Fields of a specification that may change while the Pod lives. */
const changeable = ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"];

function without(object: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

function withoutImage(container: object): object {
  return without(container, ["image"]);
}

/** The parts of a Pod's specification that stay as they are, whatever else is changed. */
function fixedParts(spec: PodSpec, nodeName: string | undefined): object {
  return {
    ...without(spec, changeable),
    nodeName,
    containers: spec.containers.map(withoutImage),
    initContainers: spec.initContainers?.map(withoutImage),
  };
}

/** Checks a change of a Pod: few fields may change, and the node only once, when there was none. */
export function* validatePodUpdate({ spec }: Pod, { spec: before }: Pod): Generator<FieldError> {
  const nodeName = before.nodeName ?? spec.nodeName;
  if (equal(fixedParts(spec, spec.nodeName), fixedParts(before, nodeName))) return;
  yield forbidden(
    FieldPath.root.field("spec"),
    "pod updates may not change fields other than images, activeDeadlineSeconds, terminationGracePeriodSeconds, tolerations and schedulingGates",
  );
}
