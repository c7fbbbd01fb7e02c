import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { ResourceObject } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { parseServiceHost, resolveHost } from "#model/hosts.ts";
import { only } from "#model/services.ts";
import { parseServiceKey } from "#model/tables.ts";
import { refKey, refOf } from "#api/meta.ts";
import type { MeshObjects } from "./mesh-objects.ts";
import type { Fix, PatchOperation, Problem } from "./message.ts";
import { nearest } from "./nearest.ts";
import { fieldPointer, parentField, valueAt } from "#api/field-path.ts";
import { usedRules } from "./rule-order.ts";

/** A problem, and the object that has it. */
interface Found {
  readonly problem: Problem;
  readonly field: string;
  readonly object: ResourceObject;
  readonly objects: MeshObjects;
  /** Every host of the mesh, worked out when it is first asked for. */
  readonly hosts: () => readonly string[];
}

/** What is added to a problem: a hint at the end of its message, and a repair. */
interface Repair {
  readonly hint?: string;
  readonly fix: Fix;
}

function replaced(field: string, value: unknown): PatchOperation {
  return { op: "replace", path: fieldPointer(field), value };
}

/** The repair that writes another word in a field, where one is near what stands there. */
function respelled(field: string, written: string, known: Iterable<string>): Repair | undefined {
  const meant = nearest(written, known);
  if (meant === undefined) return undefined;
  const fix = { text: `Write ${meant} instead of ${written}.`, patch: [replaced(field, meant)] };
  return { hint: `Did you mean ${meant}?`, fix };
}

function textAt(object: ResourceObject, field: string): string {
  const value = valueAt(object, field);
  return typeof value === "string" ? value : "";
}

function namespaceOf({ object }: Found): string {
  return object.metadata.namespace ?? "";
}

function hostsOf(keys: readonly string[]): readonly string[] {
  return keys.map((key) => parseServiceKey(key).host);
}

/** Every host of the mesh. */
function allHosts({ mesh }: MeshObjects): readonly string[] {
  const { services } = mesh.model;
  return [...new Set(services.namespaces.get(only).flatMap((namespace) => hostsOf(services.keysIn.get(namespace))))];
}

/** Names that mean the Services of a namespace within it. */
function shortNames({ mesh }: MeshObjects, namespace: string): readonly string[] {
  return hostsOf(mesh.model.services.keysIn.get(namespace)).flatMap((host) => parseServiceHost(host)?.name ?? []);
}

function knownHost(found: Found): Repair | undefined {
  const { field, object } = found;
  const written = textAt(object, field);
  const [namespace, host] = written.includes("/") ? written.split("/") : [undefined, written];
  const known = (host ?? "").includes(".") ? found.hosts() : shortNames(found.objects, namespaceOf(found));
  return respelled(field, written, namespace === undefined ? known : known.map((each) => `${namespace}/${each}`));
}

/** The key of the service that the destination around a field leads to. */
function destinationKey(found: Found, destination: string): string | undefined {
  const host = textAt(found.object, `${destination}.host`);
  const viewer = namespaceOf(found);
  const { services } = found.objects.mesh.model;
  return services.keyForHost.get({ viewer, host: resolveHost(host, viewer) });
}

function knownSubset(found: Found): Repair | undefined {
  const { field, object, objects } = found;
  const service = destinationKey(found, parentField(field));
  if (service === undefined) return undefined;
  const known = objects.mesh.model.rules.subsets({ viewer: namespaceOf(found), service });
  return respelled(field, textAt(object, field), known);
}

function knownPort(found: Found): Repair | undefined {
  const { field, objects } = found;
  const key = destinationKey(found, parentField(parentField(field)));
  const [port, ...others] = (key === undefined ? undefined : objects.mesh.model.services.service.get(key))?.ports ?? [];
  if (!port || others.length > 0) return undefined;
  return { fix: { text: `Write ${port.number}, the only port.`, patch: [replaced(field, port.number)] } };
}

function knownGateway(found: Found): Repair | undefined {
  const { field, object, objects } = found;
  const written = textAt(object, field);
  const all = objects.all("Gateway");
  const own = all.filter(({ namespace }) => namespace === namespaceOf(found)).map(({ name }) => name);
  const full = all.map(({ namespace, name }) => `${namespace}/${name}`);
  const elsewhere = full.find((each) => each.endsWith(`/${written.replace(/^\.\//, "")}`));
  if (elsewhere === undefined) return respelled(field, written, written.includes("/") ? full : own);
  const fix = { text: `Write ${elsewhere}.`, patch: [replaced(field, elsewhere)] };
  return { hint: `Did you mean ${elsewhere}?`, fix };
}

function used({ field, object, problem }: Found): Repair | undefined {
  const fix = usedRules(problem.resource, object["spec"] as VirtualServiceSpec, field);
  return fix && { fix };
}

function matchable({ field, object }: Found): Repair | undefined {
  const names = valueAt(object, field);
  if (!Array.isArray(names)) return undefined;
  const patch = names.flatMap((name: string, at) =>
    /^\*[^.]/.test(name) ? [replaced(`${field}[${at}]`, `*${name.slice(name.indexOf("."))}`)] : [],
  );
  return { fix: { text: "Let the wildcard stand for a whole label.", patch } };
}

/** How problems that the control plane finds are repaired, by their codes. */
const repairs: Readonly<Record<string, (found: Found) => Repair | undefined>> = {
  UnknownHost: knownHost,
  UnknownSubset: knownSubset,
  UnknownPort: knownPort,
  UnknownGateway: knownGateway,
  UnreachableRoute: used,
  VirtualServiceUnreachableRule: used,
  VirtualServiceIneffectiveMatch: used,
  UnmatchableServerName: matchable,
};

/** Problems with hints and repairs, where what was meant can be told. */
export function repaired(problems: readonly Problem[], objects: MeshObjects): readonly Problem[] {
  const byKey = new Map(
    objects.snapshot.map(({ object, cluster }) => [refKey(refOf(object, cluster)), object] as const),
  );
  let known: readonly string[] | undefined;
  const hosts = (): readonly string[] => (known ??= allHosts(objects));
  return problems.map((problem) => {
    const { code, field, fix, resource } = problem;
    const object = byKey.get(refKey(resource));
    if (fix || field === undefined || !object) return problem;
    const repair = ownValue(repairs, code)?.({ problem, field, object, objects, hosts });
    if (!repair) return problem;
    const message = repair.hint === undefined ? problem.message : `${problem.message} ${repair.hint}`;
    return { ...problem, message, fix: repair.fix };
  });
}
