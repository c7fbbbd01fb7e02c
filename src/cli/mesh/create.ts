import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Mesh } from "#api/weft/mesh.ts";
import type { MeshHome } from "#api/weft/mesh-home.ts";
import type { InstallStore } from "#controllers/install/options.ts";
import type { Client } from "#kube/client.ts";
import { openApi } from "../context.ts";
import {
  clusterName,
  completedStore,
  membersOf,
  type MembersFlags,
  storeFlag,
  withMembersFlags,
} from "../install/flags.ts";
import { wholeNumber } from "../output.ts";
import { changing, follow, type WaitFlags } from "./changing.ts";
import { meshesOf } from "./progress.ts";

/** The key of a Secret that holds a kubeconfig. */
const kubeconfigKey = "kubeconfig";

function homeStore(store: InstallStore): MeshHome["store"] {
  switch (store.kind) {
    case "claim":
      return {
        kind: "Claim",
        size: store.size,
        ...(store.className !== undefined && { storageClass: store.className }),
      };
    case "folder":
      return { kind: "Folder", path: store.path };
    case "memory":
      return { kind: "Memory" };
    case "etcd":
      return { kind: "Etcd", address: store.address, ...(store.secret !== undefined && { secret: store.secret }) };
  }
}

interface CreateFlags extends WaitFlags, MembersFlags {
  readonly meshVersion?: string;
  readonly trustDomain?: string;
  readonly maxObjects?: number;
  readonly maxProxies?: number;
  readonly standAlone?: string;
  readonly cluster?: string;
  readonly network?: string;
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
  readonly store: InstallStore;
  readonly storageClass?: string;
  readonly storeSecret?: string;
  readonly servers?: number;
  readonly replicas?: number;
}

/** The Secret of the kubeconfig of a mesh's cluster. */
function homeSecret(mesh: string): { readonly namespace: string; readonly name: string } {
  return { namespace: "istio-system", name: `weft-mesh-${mesh}` };
}

/** Where a mesh runs that stands alone; undefined for one that does not. */
function homeOf(name: string, flags: CreateFlags): MeshHome | undefined {
  if (flags.standAlone === undefined) return undefined;
  const { cluster, network, imagePullPolicy, servers, replicas } = flags;
  const members = membersOf(flags);
  return {
    kubeconfigSecret: homeSecret(name),
    store: homeStore(completedStore(flags)),
    ...(cluster !== undefined && { cluster }),
    ...(network !== undefined && { network }),
    ...(imagePullPolicy && { imagePullPolicy }),
    ...(servers !== undefined && { servers }),
    ...(replicas !== undefined && { replicas }),
    ...(members && { members: { type: members.type, ...(members.hosts.length > 0 && { hosts: members.hosts }) } }),
  };
}

/** Gives the management plane the way to a mesh's cluster: a Secret that goes with the mesh. */
async function writeAccess(client: Client, { metadata }: Mesh, kubeconfig: string): Promise<void> {
  const { namespace, name } = homeSecret(metadata.name);
  const namespaces = client.of(namespaceKind);
  if (!(await namespaces.find({ name: namespace }))) await namespaces.create({ metadata: { name: namespace } });
  const owner = { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Mesh", name: metadata.name, uid: metadata.uid };
  const data = { [kubeconfigKey]: Buffer.from(kubeconfig).toString("base64") };
  const secrets = client.of(secretKind);
  if (await secrets.find({ namespace, name })) await secrets.delete({ namespace, name });
  await secrets.create({ metadata: { namespace, name, ownerReferences: [owner] }, data });
}

/** `weft mesh create`. */
export function createCommand(group: Command): void {
  withMembersFlags(changing(group, "create"))
    .summary("make a mesh")
    .description(
      "Makes a mesh with an API and an authority of its own. The management plane runs its control plane beside itself, or, with --stand-alone, in a cluster.",
    )
    .option("--mesh-version <version>", "the version of Weft that it runs; the newest unless given")
    .option("--trust-domain <domain>", "the trust domain of its identities; cluster.local unless given")
    .option("--max-objects <number>", "quota of objects in its API", wholeNumber(1, 10_000_000))
    .option("--max-proxies <number>", "quota of proxies", wholeNumber(1, 1_000_000))
    .option(
      "--stand-alone <kubeconfig>",
      "run it in a cluster, by this kubeconfig of an administrator, which must hold its credentials itself",
    )
    .option("--cluster <name>", "the cluster's name in the mesh; primary unless given", clusterName)
    .option("--network <name>", "the network of the cluster's Pods")
    .addOption(
      new Option(
        "--image-pull-policy <policy>",
        "when the cluster's nodes fetch images; IfNotPresent unless given",
      ).choices(["Always", "IfNotPresent", "Never"]),
    )
    .option(...storeFlag)
    .option("--storage-class <name>", "the class of the volume; the cluster's default unless given")
    .option(
      "--store-secret <name>",
      "Secret of the cluster's istio-system with ca.crt, tls.crt and tls.key for the etcd",
    )
    .option("--servers <number>", "servers of the mesh's API: 2 on an etcd, else 1", wholeNumber(1, 9))
    .option("--replicas <number>", "control planes of proxies; 2 unless given", wholeNumber(1, 50))
    .addHelpText(
      "after",
      "\nExamples:\n  weft mesh create shop\n  weft mesh create shop --trust-domain shop.example --max-objects 5000 --max-proxies 200\n  weft mesh create shop --stand-alone east.kubeconfig --cluster east",
    )
    .action(async (name: string, flags: CreateFlags) => {
      // Before anything is made.
      const kubeconfig = flags.standAlone === undefined ? undefined : readFileSync(flags.standAlone, "utf8");
      const standAlone = homeOf(name, flags);
      using api = await openApi(flags);
      const { meshVersion: version, trustDomain = "cluster.local", maxObjects: objects, maxProxies: proxies } = flags;
      const quotas = { ...(objects !== undefined && { objects }), ...(proxies !== undefined && { proxies }) };
      const spec = {
        ...(standAlone ? { mode: "StandAlone" as const, standAlone } : { mode: "Managed" as const }),
        trustDomain,
        ...(version !== undefined && { version }),
        ...(Object.keys(quotas).length > 0 && { quotas }),
      };
      const mesh = await meshesOf(api.client).create({ metadata: { name }, spec });
      if (kubeconfig !== undefined) await writeAccess(api.client, mesh, kubeconfig);
      await follow(api, mesh, flags);
    });
}
