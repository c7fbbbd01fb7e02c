import { valueAt } from "#api/columns.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Partition, ResourceStore } from "#store/port.ts";
import { isObject } from "#api/json.ts";
import type { ResourceAttributes } from "./attributes.ts";
import { agentAccount } from "./node-restriction.ts";

/** Where a node's Pods are looked up. */
interface Objects {
  readonly store: ResourceStore;
  readonly partition: Partition;
}

/** The mesh's root certificates, which every Pod may read. */
const trustBundle = "istio-ca-root-cert";

/** Where nodes tell that they live. */
const leaseNamespace = "kube-node-lease";

const reading = ["get", "list", "watch"];
const writing = ["create", "update", "patch"];

type Right = (node: string, attributes: ResourceAttributes, objects: Objects) => boolean | Promise<boolean>;

async function podsOf(node: string, { namespace }: ResourceAttributes, objects: Objects): Promise<ResourceObject[]> {
  if (namespace === "") return [];
  const { items } = await objects.store.list({ partition: objects.partition, resource: "pods", namespace });
  return items.map(({ object }) => object).filter((pod) => valueAt(pod, "spec", "nodeName") === node);
}

/** Whether an object refers by a member of one of these names to something of a name, at any depth. */
function refersTo(value: unknown, members: readonly string[], name: string): boolean {
  if (Array.isArray(value)) return value.some((item) => refersTo(item, members, name));
  if (!isObject(value)) return false;
  return Object.entries(value).some(([member, inner]) => {
    const references = members.includes(member) ? [inner].flat().filter(isObject) : [];
    const found = references.some((one) => one["name"] === name || one["secretName"] === name);
    return found || refersTo(inner, members, name);
  });
}

/** A right to read what some Pod on the node names in its specification. */
function named(members: readonly string[]): Right {
  return async (node, attributes, objects) => {
    const { verb, name } = attributes;
    if (attributes.resource === "configmaps" && name === trustBundle) return reading.includes(verb);
    if (verb !== "get" || name === "") return false;
    const pods = await podsOf(node, attributes, objects);
    return pods.some((pod) => refersTo(pod["spec"], members, name));
  };
}

/** Its own object, by name. */
const own: Right = (node, { verb, name }) => (verb === "create" ? name === "" || name === node : name === node);

const pods: Right = async (node, attributes, { store, partition }) => {
  const { verb, namespace, name, fieldSelector } = attributes;
  if (verb === "list" || verb === "watch") {
    return fieldSelector.split(",").some((part) => /^spec\.nodeName==?(.+)$/.exec(part)?.[1] === node);
  }
  if (!["get", "patch", "update", "delete"].includes(verb)) return false;
  const stored = await store.get({ partition, resource: "pods", namespace, name });
  return stored !== undefined && valueAt(stored.object, "spec", "nodeName") === node;
};

const tokens: Right = async (node, attributes, objects) => {
  const { verb, namespace, name } = attributes;
  if (verb !== "create") return false;
  if (namespace === agentAccount.namespace && name === agentAccount.name) return true;
  const pods = await podsOf(node, attributes, objects);
  return pods.some((pod) => valueAt(pod, "spec", "serviceAccountName") === name);
};

/** A right that is limited to some verbs. */
function only(verbs: readonly string[], right: Right): Right {
  return (node, attributes, objects) => verbs.includes(attributes.verb) && right(node, attributes, objects);
}

const changing = ["get", "update", "patch"];

/** What a node's agent may do, by resource. As Kubernetes' node authorizer. */
const rights: ReadonlyMap<string, Right> = new Map<string, Right>([
  ["nodes", only([...reading, ...writing], own)],
  ["nodes/status", only(changing, own)],
  ["pods", pods],
  ["pods/status", only(changing, pods)],
  ["secrets", named(["secret", "secretRef", "secretKeyRef", "imagePullSecrets"])],
  ["configmaps", named(["configMap", "configMapRef", "configMapKeyRef"])],
  ["serviceaccounts/token", tokens],
  ["namespaces", only(["get"], (_, { name }) => name !== "")],
  ["events", only(writing, () => true)],
  [
    "leases.coordination.k8s.io",
    only(["get", "delete", ...writing], (node, attributes, objects) => {
      return attributes.namespace === leaseNamespace && own(node, attributes, objects);
    }),
  ],
]);

/** Whether a node's agent may do something because the node needs it. */
export async function nodeMay(node: string, attributes: ResourceAttributes, objects: Objects): Promise<boolean> {
  const { resource, group, subresource } = attributes;
  const qualified = group === "" ? resource : `${resource}.${group}`;
  const right = rights.get(subresource === "" ? qualified : `${qualified}/${subresource}`);
  return (await right?.(node, attributes, objects)) ?? false;
}
