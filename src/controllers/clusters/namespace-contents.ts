import type { Client } from "#kube/client.ts";
import type { ResourceObject } from "#api/meta.ts";

/** A kind of a cluster, as its discovery tells. Kubernetes' `meta/v1.APIResource`. */
interface ApiResource {
  readonly name: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

/** What every namespace has by itself, or what only tells of others, as `plural/name` or `plural`. */
const ofItself: ReadonlySet<string> = new Set([
  "configmaps/kube-root-ca.crt",
  "serviceaccounts/default",
  "events",
  "localsubjectaccessreviews",
]);

/** Objects of one kind that are looked at: more than a namespace has of a kind by itself. */
const looked = 3;

/** The group versions of a cluster, as their paths, the preferred one of a group first. */
async function groupVersions(client: Client): Promise<readonly string[]> {
  const { groups = [] } = await client.json<{
    readonly groups?: readonly { readonly versions: readonly { readonly groupVersion: string }[] }[];
  }>({ method: "GET", path: "/apis" });
  const others = groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => `/apis/${groupVersion}`));
  return ["/api/v1", ...others];
}

/** Something that is in a namespace besides what every namespace has. */
async function foundOf(client: Client, base: string, namespace: string, plural: string): Promise<string | undefined> {
  const path = `${base}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
  const { items = [] } = await client.json<{ readonly items?: readonly ResourceObject[] }>({
    method: "GET",
    path,
    query: { limit: looked },
  });
  const other = items.find(({ metadata }) => !ofItself.has(`${plural}/${metadata.name}`));
  return other && `${plural}/${other.metadata.name}`;
}

/**
 * The first thing that is in a namespace besides what every namespace has, of whatever kind the cluster has.
 * @returns it as `plural/name`; undefined where there is nothing.
 * @throws WeftError where some kind cannot be asked for: it is not known then.
 */
export async function firstIn(client: Client, namespace: string): Promise<string | undefined> {
  const seen = new Set<string>();
  for (const base of await groupVersions(client)) {
    const { resources } = await client.json<{ readonly resources: readonly ApiResource[] }>({
      method: "GET",
      path: base,
    });
    const group = base.split("/")[2] ?? "";
    const fresh = resources.filter(({ name, namespaced, verbs }) => {
      const counts = namespaced && verbs.includes("list") && !name.includes("/") && !ofItself.has(name);
      return counts && !seen.has(`${group}/${name}`);
    });
    for (const { name } of fresh) seen.add(`${group}/${name}`);
    const found = await Promise.all(fresh.map(async ({ name }) => foundOf(client, base, namespace, name)));
    const first = found.find((each) => each !== undefined);
    if (first !== undefined) return first;
  }
  return undefined;
}
