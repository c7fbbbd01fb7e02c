import { configMap } from "#api/kubernetes/config-map.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import { secret } from "#api/kubernetes/secret.ts";
import { service } from "#api/kubernetes/service.ts";
import type { Client } from "#kube/client.ts";
import { departedConfigMap } from "../aggregation/departed.ts";
import { gone, removePublished } from "../clusters/published.ts";
import { removeReports } from "../revisions/remove.ts";
import { Installer, removeNamespace } from "./installer.ts";
import { installNames } from "./options.ts";

/** Something that has to come about before the next is removed. */
export interface Awaited {
  /** Ends the sentence "gave up waiting until ...". */
  readonly what: string;
  readonly holds: () => Promise<boolean>;
}

/** Removes what was installed, and what the control plane wrote into the cluster, but for the namespace. @param wait waits until it holds. */
export async function removeInstallation(client: Client, wait: (awaited: Awaited) => Promise<void>): Promise<void> {
  const { namespace } = installNames;
  const installer = new Installer(client);
  await wait({ what: "all objects are gone", holds: async () => (await installer.remove()) === 0 });
  const labelSelector = "app in (weft-server,istiod,weft-guard)";
  await wait({
    what: "the control plane's Pods have ended",
    holds: async () => (await client.of(podKind).list({ namespace, labelSelector })).items.length === 0,
  });
  await gone(client.of(configMap).delete(departedConfigMap));
  await removeReports(client);
  await wait({ what: "the mesh's roots are gone", holds: async () => removePublished(client) });
}

/** Removes the control plane's namespace where nobody else has anything in it. @returns why it stays. */
export async function removeInstalledNamespace(client: Client): Promise<string | undefined> {
  return removeNamespace(client, installNames.namespace, [podKind, service, secret, configMap]);
}
