import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { WeftError } from "#base/errors.ts";

/** Where values of variables come from. */
export interface EnvironmentSources {
  readonly podIp: string;
  readonly hostIp: string;
  /** The data of a ConfigMap of the Pod's namespace, or undefined where there is none. */
  readonly configMap: (name: string) => Promise<Readonly<Record<string, string>> | undefined>;
  /** The decoded data of a Secret of the Pod's namespace, or undefined where there is none. */
  readonly secret: (name: string) => Promise<Readonly<Record<string, string>> | undefined>;
}

type Variable = NonNullable<Container["env"]>[number];
type ValueSource = NonNullable<Variable["valueFrom"]>;

/**
 * Expands `$(NAME)` from known variables; `$$` is a dollar sign, and what is not known stays as it is. The syntax of
 * Kubernetes' commands, arguments and variables.
 */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) =>
    name === undefined ? "$" : (variables.get(name) ?? whole),
  );
}

const keyed = /^metadata\.(labels|annotations)\['(.*)'\]$/;

/**
 * The value of one of the Pod's fields, by the paths that Kubernetes' downward API has.
 * @throws WeftError `InvalidArgument` for any other path.
 */
function fieldValue(pod: Pod, path: string, addresses: Pick<EnvironmentSources, "podIp" | "hostIp">): string {
  const { metadata, spec } = pod;
  const [, map, key = ""] = keyed.exec(path) ?? [];
  if (map !== undefined) return metadata[map as "labels" | "annotations"]?.[key] ?? "";
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace ?? "",
    "metadata.uid": metadata.uid,
    "spec.nodeName": spec.nodeName ?? "",
    "spec.serviceAccountName": spec.serviceAccountName ?? "default",
    "status.podIP": addresses.podIp,
    "status.podIPs": addresses.podIp,
    "status.hostIP": addresses.hostIp,
    "status.hostIPs": addresses.hostIp,
  };
  const value = fields[path];
  if (value === undefined) throw new WeftError("InvalidArgument", `the field ${path} cannot be put into a variable`);
  return value;
}

async function keyValue(
  what: "ConfigMap" | "Secret",
  ref: { readonly name?: string; readonly key: string; readonly optional?: boolean },
  read: (name: string) => Promise<Readonly<Record<string, string>> | undefined>,
): Promise<string | undefined> {
  const name = ref.name ?? "";
  const data = await read(name);
  const value = data?.[ref.key];
  if (value !== undefined || ref.optional === true) return value;
  const missing = data === undefined ? `there is no ${what} ${name}` : `the ${what} ${name} has no key ${ref.key}`;
  throw new WeftError("NotFound", missing);
}

async function sourcedValue(pod: Pod, from: ValueSource, sources: EnvironmentSources): Promise<string | undefined> {
  if (from.fieldRef !== undefined) return fieldValue(pod, from.fieldRef.fieldPath, sources);
  if (from.configMapKeyRef !== undefined) return keyValue("ConfigMap", from.configMapKeyRef, sources.configMap);
  if (from.secretKeyRef !== undefined) return keyValue("Secret", from.secretKeyRef, sources.secret);
  throw new WeftError(
    "InvalidArgument",
    `a variable of a kind that nodes of this kind do not have: ${Object.keys(from).join()}`,
  );
}

async function addAll(
  container: Container,
  sources: EnvironmentSources,
  variables: Map<string, string>,
): Promise<void> {
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    const ref = configMapRef ?? secretRef;
    if (ref === undefined) continue;
    const name = ref.name ?? "";
    const data = await (configMapRef === undefined ? sources.secret(name) : sources.configMap(name));
    if (data === undefined && ref.optional !== true)
      throw new WeftError("NotFound", `there is no ${configMapRef === undefined ? "Secret" : "ConfigMap"} ${name}`);
    for (const [key, value] of Object.entries(data ?? {})) variables.set(`${prefix}${key}`, value);
  }
}

/**
 * A container's environment: `envFrom`, then `env` in order, each of which may use those before it.
 * @throws WeftError `NotFound` for a ConfigMap, a Secret or a key that is missing, `InvalidArgument` for what cannot be.
 */
export async function environmentOf(
  pod: Pod,
  container: Container,
  base: Readonly<Record<string, string>>,
  sources: EnvironmentSources,
): Promise<ReadonlyMap<string, string>> {
  const variables = new Map(Object.entries(base));
  await addAll(container, sources, variables);
  for (const { name, value, valueFrom } of container.env ?? []) {
    const found =
      valueFrom === undefined ? expand(value ?? "", variables) : await sourcedValue(pod, valueFrom, sources);
    if (found !== undefined) variables.set(name, found);
  }
  return variables;
}
