import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** A kind as an API server lists it. */
export interface ApiResource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
}

interface GroupList {
  readonly groups: readonly { readonly name: string; readonly preferredVersion: { readonly version: string } }[];
}

interface ResourceList {
  readonly resources: readonly {
    readonly name: string;
    readonly singularName: string;
    readonly namespaced: boolean;
    readonly kind: string;
    readonly shortNames?: readonly string[];
  }[];
}

async function resourcesOf(client: Client, group: string, version: string): Promise<readonly ApiResource[]> {
  const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const { resources } = await client.json<ResourceList>({ method: "GET", path });
  return resources
    .filter(({ name }) => !name.includes("/"))
    .map(({ name, singularName, namespaced, kind, shortNames = [] }) => {
      return { group, version, kind, plural: name, singular: singularName, shortNames, namespaced };
    });
}

/** Every kind that an API serves, in its groups' preferred versions. */
export async function apiResources(client: Client): Promise<readonly ApiResource[]> {
  const { groups } = await client.json<GroupList>({ method: "GET", path: "/apis" });
  const lists = [
    resourcesOf(client, "", "v1"),
    ...groups.map(({ name, preferredVersion }) => resourcesOf(client, name, preferredVersion.version)),
  ];
  return (await Promise.all(lists)).flat();
}

/**
 * The kind that a word names, as kubectl takes it: plural, singular, short name or kind, perhaps with its group.
 * @throws WeftError `NotFound` with what to run to see the kinds.
 */
export function resourceNamed(resources: readonly ApiResource[], word: string): ApiResource {
  const [name = "", ...rest] = word.toLowerCase().split(".");
  const group = rest.join(".");
  const found = resources.find(
    (one) =>
      (group === "" || one.group === group) &&
      [one.plural, one.singular, one.kind.toLowerCase(), ...one.shortNames].includes(name),
  );
  if (found) return found;
  throw new WeftError(
    "NotFound",
    `the API has no kind "${word}"; it has ${resources
      .map((one) => one.plural)
      .toSorted()
      .join(", ")}`,
  );
}

/** The kind of a manifest. */
export function resourceOf(resources: readonly ApiResource[], apiVersion: string, kind: string): ApiResource {
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  const found = resources.find((one) => one.group === group && one.kind === kind);
  if (found) return { ...found, version: apiVersion.slice(slash + 1) };
  throw new WeftError("NotFound", `the API has no kind ${kind} in ${apiVersion}`);
}

/** The path of a kind's objects, or of one object. */
export function resourcePath(resource: ApiResource, namespace: string | undefined, name?: string): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const within = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${within}/${resource.plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}
