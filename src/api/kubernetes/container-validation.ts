import type { FieldError } from "../kind.ts";
import { duplicate, type FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import { validateNamed } from "../metadata.ts";
import { quantityValue } from "../quantity.ts";
import { ownValue } from "../record.ts";
import type { Container, EnvVar } from "./container.ts";
import { validateHandler, validatePortName, validateProbe } from "./probe-validation.ts";

const pullPolicies = ["Always", "IfNotPresent", "Never"];

/** Names of variables: printable characters but the one that ends them. */
const variableName = /^[ -<>-~]+$/;

function* validatePorts(ports: Container["ports"], path: FieldPath): Generator<FieldError> {
  const names = new Set<string>();
  for (const [index, { name }] of (ports ?? []).entries()) {
    const at = path.item(index).field("name");
    if (!name) continue;
    yield* validatePortName(name, at);
    if (names.has(name)) yield duplicate(at, name);
    names.add(name);
  }
}

function* validateEnv(env: readonly EnvVar[] | undefined, path: FieldPath): Generator<FieldError> {
  for (const [index, { name, value, valueFrom }] of (env ?? []).entries()) {
    const at = path.item(index);
    if (name === "") yield required(at.field("name"));
    else if (!variableName.test(name))
      yield invalid(at.field("name"), name, "must be printable characters other than '='");
    if (valueFrom === undefined) continue;
    if (value) yield invalid(at.field("valueFrom"), "", "may not be specified when `value` is not empty");
    if (Object.keys(valueFrom).length === 0) {
      yield invalid(
        at.field("valueFrom"),
        "",
        "must specify one of `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
      );
    }
  }
}

function* validateMounts(
  mounts: Container["volumeMounts"],
  volumes: ReadonlySet<string>,
  path: FieldPath,
): Generator<FieldError> {
  const places = new Set<string>();
  for (const [index, { name, mountPath, subPath, subPathExpr }] of (mounts ?? []).entries()) {
    const at = path.item(index);
    if (name === "") yield required(at.field("name"));
    else if (!volumes.has(name)) yield invalid(at.field("name"), name, "is no volume of the Pod");
    if (mountPath === "") yield required(at.field("mountPath"));
    if (places.has(mountPath)) yield invalid(at.field("mountPath"), mountPath, "must be unique");
    places.add(mountPath);
    if (subPath && subPathExpr) yield forbidden(at.field("subPathExpr"), "only one of subPath, subPathExpr may be set");
  }
}

function* validateResources(
  { limits = {}, requests = {} }: Container["resources"],
  path: FieldPath,
): Generator<FieldError> {
  for (const [name, amounts] of Object.entries({ limits, requests })) {
    for (const [resource, amount] of Object.entries(amounts)) {
      const at = path.field(name).key(resource);
      if (quantityValue(amount) < 0) yield invalid(at, amount, "must be greater than or equal to 0");
    }
  }
  for (const [resource, amount] of Object.entries(requests)) {
    const limit = ownValue(limits, resource);
    if (limit === undefined || quantityValue(amount) <= quantityValue(limit)) continue;
    yield invalid(path.field("requests"), amount, `must be less than or equal to ${resource} limit of ${limit}`);
  }
}

function* validateLifecycle(lifecycle: Container["lifecycle"], path: FieldPath): Generator<FieldError> {
  for (const name of ["postStart", "preStop"] as const) {
    const handler = lifecycle?.[name];
    if (handler === undefined) continue;
    if (Object.keys(handler).length === 0) yield required(path.field(name), "must specify a handler type");
    yield* validateHandler(handler, path.field(name));
  }
}

/** Checks one container of a Pod, beside what its name shares with the others. */
function* validateContainer(
  container: Container,
  volumes: ReadonlySet<string>,
  path: FieldPath,
): Generator<FieldError> {
  const { name, image = "", imagePullPolicy } = container;
  if (name === "") yield required(path.field("name"));
  else yield* validateNamed("label", name, path.field("name"));
  if (image === "") yield required(path.field("image"));
  else if (image !== image.trim())
    yield invalid(path.field("image"), image, "must not have leading or trailing whitespace");
  if (imagePullPolicy !== undefined && !pullPolicies.includes(imagePullPolicy)) {
    yield notSupported(path.field("imagePullPolicy"), imagePullPolicy, pullPolicies);
  }
  yield* validatePorts(container.ports, path.field("ports"));
  yield* validateEnv(container.env, path.field("env"));
  yield* validateMounts(container.volumeMounts, volumes, path.field("volumeMounts"));
  yield* validateResources(container.resources, path.field("resources"));
  yield* validateLifecycle(container.lifecycle, path.field("lifecycle"));
  yield* validateProbe(container.livenessProbe, true, path.field("livenessProbe"));
  yield* validateProbe(container.readinessProbe, false, path.field("readinessProbe"));
  yield* validateProbe(container.startupProbe, true, path.field("startupProbe"));
}

/** Checks the containers of a Pod. Init containers and others share their names. */
export function* validateContainers(
  containers: readonly Container[],
  inits: readonly Container[],
  volumes: ReadonlySet<string>,
  path: FieldPath,
): Generator<FieldError> {
  if (containers.length === 0) yield required(path.field("containers"));
  const names = new Set<string>();
  for (const [field, list] of [
    ["containers", containers],
    ["initContainers", inits],
  ] as const) {
    for (const [index, container] of list.entries()) {
      const at = path.field(field).item(index);
      yield* validateContainer(container, volumes, at);
      if (names.has(container.name)) yield duplicate(at.field("name"), container.name);
      names.add(container.name);
    }
  }
}
