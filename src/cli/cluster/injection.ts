import { type Command, InvalidArgumentError } from "commander";
import type { MemberObject } from "#controllers/aggregation/objects.ts";
import type { Lack } from "#controllers/clusters/checks.ts";
import { memberNamespace } from "#controllers/clusters/member-objects.ts";
import { reachLabels, reachObjects, webhookPort } from "#controllers/reach/objects.ts";
import { type ControlPlaneAddress, readControlPlanes } from "#controllers/reach/published.ts";
import { mutatingWebhooks, validatingWebhooks } from "#injection/webhook-configuration.ts";
import type { Client } from "#kube/client.ts";

/** Flags by which a cluster's Pods are injected. */
export interface InjectionFlags {
  readonly controlPlane: boolean;
  readonly controlPlaneHost?: readonly string[];
}

function host(text: string, before: readonly string[] = []): readonly string[] {
  if (text === "" || /[\s/[\]]/.test(text)) throw new InvalidArgumentError("write it as 10.0.0.5 or mesh.example.com.");
  return [...before, text];
}

/** Adds the flags of `InjectionFlags` to a command. */
export function withInjectionFlags(command: Command): Command {
  return command
    .option(
      "--control-plane-host <host>",
      "address or name by which the cluster's Pods and API server reach the control plane, where that is otherwise than weft discovery says; may be repeated for addresses",
      host,
    )
    .option("--no-control-plane", "make nothing by which the cluster's Pods are injected");
}

/** The cluster whose Pods are to be injected. */
export interface Injected {
  readonly cluster: string;
  readonly network: string;
  /** Whether it has Istio's objects of its own, which are kept the same as the mesh's. */
  readonly synced?: boolean;
}

/** What has its Pods injected by all revisions of the control plane. */
export interface Injection {
  readonly objects: readonly MemberObject[];
  readonly revisions: readonly string[];
  /** Where they are led to, for people. */
  readonly to: string;
}

function labelled(object: object): MemberObject {
  const made = object as MemberObject;
  const { metadata } = made;
  return { ...made, metadata: { ...metadata, labels: { ...metadata.labels, ...reachLabels } } };
}

/**
 * Those that inject, and those that check Istio's objects where the cluster has its own: others are checked by the mesh as they are
 * written. Where they are kept the same both ways, they can be written while the mesh is away.
 */
function webhooksOf(
  address: ControlPlaneAddress,
  { cluster, network, synced = false }: Injected,
): readonly MemberObject[] {
  const { revision, webhooks } = address;
  if (webhooks === undefined) return [];
  const options = { revision, namespace: memberNamespace, port: webhookPort(address), cluster, network };
  const checking = synced ? [labelled(validatingWebhooks({ ...options, open: true }))] : [];
  return [labelled(mutatingWebhooks(options)), ...checking];
}

const meant = "--no-control-plane says that it is meant so";

/**
 * What has a cluster's Pods injected; why nothing can; undefined where they are not to be.
 * @throws WeftError `FailedPrecondition` where they could not reach the control plane so.
 */
export async function injectionOf(
  injected: Injected,
  { controlPlane, controlPlaneHost }: InjectionFlags,
  mesh: Client,
): Promise<Injection | Lack | undefined> {
  if (!controlPlane) return undefined;
  const published = await readControlPlanes(mesh);
  if (published.length === 0)
    return { lack: `no control plane serves other machines: start weft discovery with --tls-address; ${meant}` };
  const known = published
    .map((each) => ({ ...each, hosts: controlPlaneHost ?? each.hosts }))
    .filter(({ hosts }) => hosts.length > 0);
  if (known.length === 0) {
    const fix = "give --control-plane-host here, or --members-host to weft discovery";
    return { lack: `the control plane does not say by what address it is reached: ${fix}; ${meant}` };
  }
  const objects = known.flatMap((each) => [...reachObjects(each), ...webhooksOf(each, injected)]);
  const revisions = known.filter(({ webhooks }) => webhooks !== undefined).map(({ revision }) => revision);
  const to = known.map(({ hosts, xds }) => hosts.map((each) => `${each}:${xds}`).join(", ")).join("; ");
  return { objects, revisions, to };
}
