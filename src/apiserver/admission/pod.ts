import type { Kind } from "#api/kind.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Context } from "../context.ts";
import { forbidden } from "../status.ts";
import { BoundObjects } from "../tokens/bound-objects.ts";

/** The account of Pods that name none, which a namespace gets a moment after it was made. */
const defaultAccount = "default";
/** How often that is looked for, and milliseconds between. */
const [attempts, stepMs] = [20, 100];

/** Nobody gets the identity of an account that nobody made. */
async function requireAccount(context: Context, kind: Kind, pod: ResourceObject, account: string): Promise<void> {
  const { namespace = "", name, generateName = "" } = pod.metadata;
  const accounts = new BoundObjects(context.store, context.partition);
  for (let left = account === defaultAccount ? attempts : 1; left > 0; left--) {
    if ((await accounts.account(namespace, account)) !== undefined) return;
    if (left > 1) await context.clock.sleep(stepMs);
  }
  const why = `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`;
  throw forbidden(kind, name || generateName, why);
}

/**
 * A new Pod waits for a node, as its namespace's default account unless it names another. Where it is known who writes, the account must
 * be there.
 * @throws ApiError `Forbidden`.
 */
export async function completePod(context: Context, kind: Kind, object: ResourceObject): Promise<ResourceObject> {
  const { spec } = object as Pod;
  const serviceAccountName = spec.serviceAccountName || defaultAccount;
  if (context.access !== undefined) await requireAccount(context, kind, object, serviceAccountName);
  return { ...object, spec: { ...spec, serviceAccountName }, status: { phase: "Pending" } };
}
