import type { ResourceObject } from "#api/meta.ts";
import { defaultRevisionName, revisionLabel, tagLabel } from "#api/weft/revisions.ts";
import { codeOf, messageOf, WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { gone } from "../clusters/published.ts";
import { Installer } from "../install/installer.ts";
import { type InstallObject, installed } from "../install/object.ts";
import { mutatingKind } from "../install/resources.ts";

/** Kubernetes' `MutatingWebhookConfiguration`, as far as it stands for a revision or a tag. */
export interface Webhooks extends ResourceObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig: { readonly caBundle?: string };
    readonly namespaceSelector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  }[];
}

/** A revision tag: what namespaces name in a revision's place. */
export interface RevisionTag {
  readonly tag: string;
  readonly revision: string;
  /** The revision before, until the move to this one is finished or rolled back; empty for none. */
  readonly before?: string;
}

/** On what was moved to a revision: where it was before. */
export const movedFrom = "mesh.weft.dev/moved-from";

/** By which Istio keeps webhooks of the first revision that another has taken over from. */
const deactivated = { label: "istio.io/deactivated", value: "never-match" } as const;

const injector = "sidecar-injector.istio.io";

function tagOf({ metadata: { labels = {}, annotations = {} } }: Webhooks): RevisionTag | undefined {
  const [tag, revision] = [labels[tagLabel], labels[revisionLabel]];
  if (tag === undefined || revision === undefined) return undefined;
  const before = annotations[movedFrom];
  return { tag, revision, ...(before !== undefined && { before }) };
}

/** The revision tags of a cluster, those that istioctl made too, by name. */
export async function tagsOf(client: Client): Promise<readonly RevisionTag[]> {
  const { items } = await client.of<Webhooks>(mutatingKind).list({ labelSelector: tagLabel });
  return items.flatMap((each) => tagOf(each) ?? []).toSorted((one, other) => one.tag.localeCompare(other.tag));
}

/** The webhooks by which a revision itself is asked; undefined where it has none. */
async function webhooksOf(client: Client, revision: string): Promise<Webhooks | undefined> {
  const labelSelector = `${revisionLabel}=${revision},!${tagLabel}`;
  const { items } = await client.of<Webhooks>(mutatingKind).list({ labelSelector });
  if (items.length > 1) {
    const names = items.map(({ metadata }) => metadata.name).join(", ");
    throw new WeftError("FailedPrecondition", `revision ${revision} has several webhook configurations: ${names}`);
  }
  return items[0];
}

/** How the API server asks a revision. @throws WeftError `FailedPrecondition` where it cannot yet. */
async function clientConfigOf(client: Client, revision: string): Promise<object> {
  const found = await webhooksOf(client, revision);
  const webhook = found?.webhooks?.find(({ name }) => name.endsWith(injector));
  if (!webhook) {
    const fix = `weft install --revision ${revision} makes them`;
    throw new WeftError("FailedPrecondition", `there is no revision ${revision} with webhooks that inject: ${fix}`);
  }
  const { caBundle = "" } = webhook.clientConfig;
  if (caBundle !== "") return webhook.clientConfig;
  const why = "it has not written its authority into its webhooks";
  throw new WeftError("FailedPrecondition", `revision ${revision} does not serve yet: ${why}`);
}

/** Why a revision cannot be asked to inject yet; undefined where it can. */
export async function injectionObstacle(client: Client, revision: string): Promise<string | undefined> {
  try {
    await clientConfigOf(client, revision);
    return undefined;
  } catch (error) {
    if (codeOf(error) !== "FailedPrecondition") throw error;
    return messageOf(error);
  }
}

/**
 * The webhooks of a tag, complete.
 * @param template what `mutatingWebhooks` makes for it.
 * @throws WeftError `FailedPrecondition` where the revision is not there.
 */
export async function tagObject(client: Client, template: object, revision: string): Promise<InstallObject> {
  const clientConfig = await clientConfigOf(client, revision);
  const made = template as InstallObject & { readonly webhooks: readonly object[] };
  return installed({ ...made, webhooks: made.webhooks.map((webhook) => ({ ...webhook, clientConfig })) });
}

/** Has the webhooks of the revision that was installed first ask for nobody, or for whom they are again. */
async function activate(client: Client, active: boolean): Promise<void> {
  const found = await webhooksOf(client, defaultRevisionName);
  if (!found) return;
  const { label, value } = deactivated;
  const other = (found.webhooks ?? []).filter(
    ({ namespaceSelector }) => (namespaceSelector?.matchLabels?.[label] === undefined) !== active,
  );
  if (other.length === 0) return;
  const namespaceSelector = { matchLabels: { [label]: active ? null : value } };
  const webhooks = other.map(({ name }) => ({ name, namespaceSelector }));
  await client.of(mutatingKind).patch({ name: found.metadata.name }, { kind: "strategic", body: { webhooks } });
}

/** An object of the first revision as it is to be while there is a tag `default`: its webhooks ask for nobody. */
export function asleep(configuration: InstallObject): InstallObject {
  if (configuration.kind !== mutatingKind.kind) return configuration;
  const { label, value } = deactivated;
  const { webhooks = [] } = configuration as InstallObject & { readonly webhooks?: readonly object[] };
  const slept = webhooks.map((webhook) => {
    const { namespaceSelector } = webhook as { readonly namespaceSelector?: object };
    return { ...webhook, namespaceSelector: { ...namespaceSelector, matchLabels: { [label]: value } } };
  });
  return { ...configuration, webhooks: slept };
}

/** What a tag is set to, and by what rules. */
export interface TagChange {
  readonly tag: string;
  readonly revision: string;
  /** As `mutatingWebhooks` makes it. */
  readonly template: object;
  /** Whether a tag that leads to another revision is changed. */
  readonly overwrite: boolean;
  /** Whether it is remembered where it led, so that a rollback finds it. */
  readonly remember: boolean;
}

/**
 * Has a tag stand for a revision, as `istioctl tag set` does. Who it injects from then on is asked of that revision.
 * @throws WeftError `AlreadyExists` for a tag that leads elsewhere, or that a revision is called by.
 */
export async function setTag(
  client: Client,
  { tag, revision, template, overwrite, remember }: TagChange,
): Promise<void> {
  const found = (await tagsOf(client)).find((each) => each.tag === tag);
  if (found && found.revision !== revision && !overwrite) {
    throw new WeftError(
      "AlreadyExists",
      `the tag ${tag} leads to revision ${found.revision}: give --overwrite to change it`,
    );
  }
  if (tag !== defaultRevisionName && (await webhooksOf(client, tag))) {
    throw new WeftError("AlreadyExists", `${tag} is the name of a revision: give the tag another name`);
  }
  const { metadata, ...content } = await tagObject(client, template, revision);
  const led = found?.revision ?? (tag === defaultRevisionName ? defaultRevisionName : "");
  const before = found?.before ?? led;
  const annotations = remember && before !== revision ? { [movedFrom]: before } : {};
  const object = { ...content, metadata: { ...metadata, annotations } } as InstallObject;
  await new Installer(client).apply([object]);
  // After the tag's own: between the two both ask, and to be asked twice changes nothing.
  if (tag === defaultRevisionName) await activate(client, false);
}

/** Removes a tag; what it injected is injected by nobody, but for the tag `default`, whose the first revision has again. */
export async function removeTag(client: Client, tag: string): Promise<void> {
  const { items } = await client.of<Webhooks>(mutatingKind).list({ labelSelector: `${tagLabel}=${tag}` });
  if (items.length === 0) throw new WeftError("NotFound", `there is no revision tag ${tag}`);
  if (tag === defaultRevisionName) await activate(client, true);
  for (const { metadata } of items) await gone(client.of(mutatingKind).delete({ name: metadata.name }));
}

/** Forgets where a tag led before. */
export async function settleTag(client: Client, { tag }: RevisionTag): Promise<void> {
  const { items } = await client.of<Webhooks>(mutatingKind).list({ labelSelector: `${tagLabel}=${tag}` });
  const body = { metadata: { annotations: { [movedFrom]: null } } };
  for (const { metadata } of items)
    await client.of(mutatingKind).patch({ name: metadata.name }, { kind: "merge", body });
}
