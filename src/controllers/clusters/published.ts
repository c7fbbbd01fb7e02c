import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { authorityVersion } from "#api/kubernetes/proxy-trust.ts";
import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** ConfigMaps that the control plane writes into every namespace of a member. */
const published = ["istio-ca-root-cert", "istio-ca-crl"];

/** Removes what the control plane has published in a member. @returns whether there was nothing left to remove. */
export async function removePublished(client: Client): Promise<boolean> {
  const maps = client.of<ConfigMap>(configMap);
  let clean = true;
  for (const name of published) {
    const { items } = await maps.list({ fieldSelector: `metadata.name=${name}` });
    for (const { metadata } of items) {
      if (metadata.annotations?.[authorityVersion] === undefined) continue;
      clean = false;
      await gone(maps.delete({ namespace: metadata.namespace ?? "", name }, { uid: metadata.uid }));
    }
  }
  return clean;
}

/** Deletes; what is gone already is as it should be. */
export async function gone(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
  }
}
