import { kinds } from "#api/kinds.ts";
import { memberObjects } from "../aggregation/objects.ts";
import { accessObjects } from "./access.ts";
import { clusterKubeconfig, clusterMount } from "./cluster-access.ts";
import { discoveryObjects, ofRevision } from "./discovery.ts";
import { membersApi, membersDiscovery } from "./members.ts";
import { type InstallObject, clusterObject, installed } from "./object.ts";
import { type InstallOptions, installNames, installPorts } from "./options.ts";
import { type Part, deploymentOf } from "./pods.ts";
import { serverObjects } from "./server.ts";

/** What is made together, before anything that relies on it. */
export interface InstallStage {
  readonly part: "space" | "members" | "api" | "discovery" | "kinds" | "webhooks";
  /** What it does, for people. */
  readonly title: string;
  readonly objects: readonly InstallObject[];
  /** Whether what comes after depends on what the cluster makes of these objects, such as addresses. */
  readonly opens?: boolean;
}

/** The Services by which other clusters reach what is installed, where some are to join. */
function membersStage({ members, revision }: Omit<InstallOptions, "keys">, api: boolean): readonly InstallStage[] {
  if (!members) return [];
  const discovery = ofRevision(membersDiscovery(members, revision), revision);
  const objects = api ? [membersApi(members), discovery] : [discovery];
  return [{ part: "members", title: "what other clusters reach it by", objects, opens: true }];
}

function webhooksStage(title: string, webhooks: readonly object[]): InstallStage {
  return { part: "webhooks", title, objects: webhooks.map((each) => installed(each as InstallObject)) };
}

/** Lets namespaces of the cluster go while the mesh is away. */
function guardDeployment(options: InstallOptions): InstallObject {
  const part: Part = {
    name: installNames.guard,
    replicas: 1,
    strategy: { type: "Recreate" },
    mounts: [clusterMount],
    args: ["guard", `--api=${clusterMount.path}/kubeconfig`],
    ports: {},
    requests: { cpu: "10m", memory: "96Mi" },
    graceSeconds: 10,
    reads: [clusterKubeconfig],
  };
  return deploymentOf(part, options);
}

/**
 * All objects of an installation, in the stages in which they are made. The cluster is led to the mesh's API, and asks the webhooks, only
 * when these serve.
 * @param webhooks the webhook configurations, whose making is not this room's.
 */
export function installStages(options: InstallOptions, webhooks: readonly object[]): readonly InstallStage[] {
  const account = { kind: "ServiceAccount", namespace: installNames.namespace, name: installNames.server } as const;
  const reach = { kind: "pods", labels: { app: installNames.server }, port: installPorts.members } as const;
  const authority = options.keys.members.certificate;
  const served = memberObjects({ member: options.cluster, authority, reach, account, kinds }).map(installed);
  const routes = served.filter(({ kind }) => kind === "APIService");
  const namespace = clusterObject("v1", "Namespace", installNames.namespace, {});
  return [
    {
      part: "space",
      title: "the namespace, accounts and roles",
      objects: [namespace, ...accessObjects(), clusterKubeconfig, ...served.filter((one) => !routes.includes(one))],
      opens: true,
    },
    ...membersStage(options, true),
    { part: "api", title: "the mesh's API", objects: serverObjects(options) },
    {
      part: "discovery",
      title: "the control plane of proxies",
      objects: discoveryObjects(options, options.keys.discovery),
    },
    { part: "kinds", title: "Istio's kinds in the cluster's API", objects: [guardDeployment(options), ...routes] },
    webhooksStage("the webhooks that inject", webhooks),
  ];
}

/**
 * The objects of a revision of the control plane of proxies beside others, in stages.
 * @param webhooks as in `installStages`.
 */
export function revisionStages(
  options: Omit<InstallOptions, "keys">,
  webhooks: readonly object[],
): readonly InstallStage[] {
  const { revision } = options;
  return [
    ...membersStage(options, false),
    {
      part: "discovery",
      title: `revision ${revision} of the control plane of proxies`,
      objects: discoveryObjects(options, undefined),
    },
    webhooksStage("its webhooks that inject", webhooks),
  ];
}
