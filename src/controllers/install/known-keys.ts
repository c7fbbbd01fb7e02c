import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Client } from "#kube/client.ts";
import { type InstallAuthority, type InstallKeys, installNames } from "./options.ts";

function textIn(found: Secret | undefined, key: string): string | undefined {
  const data = found?.data?.[key];
  return data === undefined ? undefined : Buffer.from(data, "base64").toString("utf8");
}

/** The keys that an earlier installation made, as the cluster keeps them. */
export async function knownKeys(client: Client): Promise<Partial<InstallKeys>> {
  const { namespace, keys: keysName, client: clientName } = installNames;
  const secrets = client.of<Secret>(secretKind);
  const [keys, access] = await Promise.all([keysName, clientName].map((name) => secrets.find({ namespace, name })));
  const authority = (name: string): InstallAuthority | undefined => {
    const [certificate, key] = [textIn(keys, `${name}-ca.crt`), textIn(keys, `${name}-ca.key`)];
    return certificate === undefined || key === undefined ? undefined : { certificate, key };
  };
  const [mesh, members, discovery] = [authority("mesh"), authority("members"), textIn(access, "kubeconfig")];
  // A kubeconfig of another authority is of no use.
  return { ...(mesh && { mesh }), ...(members && { members }), ...(mesh && discovery !== undefined && { discovery }) };
}
