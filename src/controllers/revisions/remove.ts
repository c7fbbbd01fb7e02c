import { configMap } from "#api/kubernetes/config-map.ts";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { service } from "#api/kubernetes/service.ts";
import { reportLabel } from "#api/weft/revision-report.ts";
import { revisionLabel } from "#api/weft/revisions.ts";
import type { Client } from "#kube/client.ts";
import { gone } from "../clusters/published.ts";
import { Installer } from "../install/installer.ts";
import { installNames } from "../install/options.ts";
import { type Revisions, revisionNamed } from "./state.ts";

/** Names that are told; the others are counted. */
const mostNamed = 20;

function listed(names: readonly string[]): string {
  const more = names.length - mostNamed;
  return names.slice(0, mostNamed).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Pods that run with a proxy that a revision injected, connected or not. */
export async function injectedBy(client: Client, revision: string): Promise<readonly string[]> {
  const { items } = await client
    .of<Pod>(podKind)
    .list({ fieldSelector: "status.phase!=Succeeded,status.phase!=Failed" });
  const own = items.filter(({ metadata: { annotations = {} } }) => {
    return annotations["sidecar.istio.io/status"] !== undefined && annotations[revisionLabel] === revision;
  });
  return own.map(({ metadata }) => `${metadata.name}.${metadata.namespace ?? ""}`).toSorted();
}

/** What keeps a revision from being removed; empty for nothing. @throws WeftError `NotFound` where there is no such revision. */
export async function usesOf(client: Client, known: Revisions, name: string): Promise<readonly string[]> {
  const { tags, namespaces, reports } = revisionNamed(known, name);
  const serves =
    known.serving === name ? ["it serves all that name no revision: weft revision finish has another do that"] : [];
  const named = tags.length > 0 ? [`tags stand for it: ${listed(tags.map(({ tag }) => tag))}`] : [];
  const followed = namespaces.length > 0 ? [`namespaces follow it: ${listed(namespaces)}`] : [];
  const injected = await injectedBy(client, name);
  const restart =
    injected.length > 0 ? [`Pods that it injected run, and are to be made anew: ${listed(injected)}`] : [];
  const connected = reports.reduce((sum, report) => sum + report.connected, 0);
  const proxies = [...new Set(reports.flatMap((report) => report.proxies))];
  const on = connected > 0 ? [`${connected} proxies are on it: ${listed(proxies)}`] : [];
  return [...serves, ...named, ...followed, ...restart, ...on];
}

/** Removes what control planes have told of themselves, of one revision or of all. */
export async function removeReports(client: Client, revision?: string): Promise<void> {
  const { namespace } = installNames;
  const of = revision === undefined ? "" : `,${revisionLabel}=${revision}`;
  const maps = client.of(configMap);
  const { items } = await maps.list({ namespace, labelSelector: `${reportLabel.name}=${reportLabel.value}${of}` });
  for (const { metadata } of items) await gone(maps.delete({ namespace, name: metadata.name }));
}

/**
 * Has Istio's Service of the control plane lead to another revision than the one that is removed: by it certificates are asked for and
 * webhooks of others reached.
 */
async function leadElsewhere(client: Client, removed: string, serving: string): Promise<void> {
  const { namespace, discovery } = installNames;
  const services = client.of(service);
  const found = await services.find({ namespace, name: discovery });
  if (found?.metadata.labels?.[revisionLabel] !== removed) return;
  const body = {
    metadata: { labels: { [revisionLabel]: serving } },
    spec: { selector: { app: discovery, [revisionLabel]: serving } },
  };
  await services.patch({ namespace, name: discovery }, { kind: "merge", body });
}

/** Removes a revision that nobody is on. */
export async function removeRevision(client: Client, { serving }: Revisions, name: string): Promise<void> {
  await leadElsewhere(client, name, serving);
  await new Installer(client).removeRevision(
    name,
    ({ kind, metadata }) => kind === service.kind && metadata.name === installNames.discovery,
  );
}
