import type { Column, Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import {
  anyObject,
  boolean,
  definition,
  described,
  int32,
  int64,
  list,
  mergeList,
  mergeSet,
  object,
  string,
  time,
  type Value,
} from "../schema.ts";
import { ResourceList } from "./container.ts";
import { kubernetesKind } from "./kind.ts";
import { coreName } from "./meta.ts";

const NodeSpec = definition(
  coreName("NodeSpec"),
  object(
    "Settings of the node.",
    {},
    {
      podCIDR: string("The network that the node's Pods get addresses of."),
      podCIDRs: mergeSet("The same, one of each family.", string("A network in CIDR form.")),
      providerID: string("The machine's id at its cloud."),
      unschedulable: boolean("Whether new Pods stay away."),
      taints: list(
        "What keeps Pods away that do not bear it.",
        object(
          "A taint.",
          { key: string("Its key."), effect: string("NoSchedule, PreferNoSchedule or NoExecute.") },
          { value: string("Its value."), timeAdded: time("Since when it is there.") },
        ),
      ),
      configSource: anyObject("Not used any more."),
      externalID: string("Not used any more."),
    },
    { default: {} },
  ),
);
type NodeSpec = Value<typeof NodeSpec>;

const NodeCondition = object(
  "One aspect of the node's state.",
  {
    type: string("Ready, MemoryPressure, DiskPressure or PIDPressure, among others."),
    status: string("True, False or Unknown."),
  },
  {
    lastHeartbeatTime: time("When the condition was last written."),
    lastTransitionTime: time("When the status last changed."),
    reason: string("One word: why the condition has this status."),
    message: string("The same for people."),
  },
);

const NodeSystemInfo = object(
  "The machine and its programs.",
  {
    machineID: string("The machine's id, of /etc/machine-id."),
    systemUUID: string("The machine's id, of its firmware."),
    bootID: string("The id of this run of the system."),
    kernelVersion: string("The kernel's version."),
    osImage: string("The operating system."),
    containerRuntimeVersion: string("What runs containers, name://version."),
    kubeletVersion: string("The node agent's version."),
    kubeProxyVersion: string("Not used any more.", { default: "" }),
    operatingSystem: string("Such as linux."),
    architecture: string("Such as amd64."),
  },
  { swap: object("Swap space.", {}, { capacity: int64("Its size in bytes.") }) },
);

/** Kubernetes' `core/v1.NodeStatus`. */
export const NodeStatus = definition(
  coreName("NodeStatus"),
  object(
    "How the node is.",
    {},
    {
      capacity: described("What the node has.", ResourceList),
      allocatable: described("What Pods may use of it.", ResourceList),
      conditions: mergeList("The node's state, by aspect.", NodeCondition, "type"),
      addresses: mergeList(
        "Where the node is reached.",
        object(
          "An address.",
          {
            type: string("InternalIP, ExternalIP, Hostname, InternalDNS or ExternalDNS."),
            address: string("The address."),
          },
          {},
        ),
        "type",
      ),
      daemonEndpoints: object(
        "Ports of the node's own programs.",
        {},
        { kubeletEndpoint: object("The agent's port.", { Port: int32("Its number.") }, {}) },
      ),
      nodeInfo: NodeSystemInfo,
      images: list(
        "Images that are there.",
        object("An image.", {}, { names: list("Its names.", string("A name.")), sizeBytes: int64("Its size.") }),
      ),
      phase: string("Not used any more."),
      volumesInUse: list("Volumes in use.", string("A volume's name.")),
      volumesAttached: list(
        "Volumes attached.",
        object("A volume.", { name: string("Its name."), devicePath: string("Its device.") }, {}),
      ),
      config: anyObject("Not used any more."),
      runtimeHandlers: list("What the container runtime can do.", anyObject("A handler.")),
      features: anyObject("What the container runtime can do."),
      declaredFeatures: list("Features of the node.", string("A feature.")),
    },
  ),
);
export type NodeStatus = Value<typeof NodeStatus>;

/** Kubernetes' `core/v1.Node`. */
export type Node = Resource<{ readonly spec: NodeSpec; readonly status?: NodeStatus }>;

function statusText({ spec, status }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  const words = [ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady"];
  if (spec.unschedulable) words.push("SchedulingDisabled");
  return words.join(",");
}

const rolePrefix = "node-role.kubernetes.io/";

function roles({ metadata: { labels = {} } }: Node): string | undefined {
  const names = Object.entries(labels)
    .map(([key, value]) =>
      key.startsWith(rolePrefix) ? key.slice(rolePrefix.length) : key === "kubernetes.io/role" ? value : "",
    )
    .filter((role) => role !== "");
  return names.length === 0 ? undefined : names.toSorted().join(",");
}

function address(type: string): (node: Node) => string | undefined {
  return ({ status }) => status?.addresses?.find((one) => one.type === type)?.address;
}

function column(name: string, description: string, cell: (node: Node) => string | undefined, wide = false): Column {
  return { name, type: "string", wide, description, cell: (object) => cell(object as Node) };
}

const description = "A machine, or a part of one, that runs Pods.";

export const node: Kind = kubernetesKind({
  kind: "Node",
  plural: "nodes",
  shortNames: ["no"],
  namespaced: false,
  description,
  schema: object(description, { spec: NodeSpec }, { status: NodeStatus }),
  columns: [
    column("Status", "Whether the node is well.", statusText),
    column("Roles", "What the node is for.", roles),
    ageColumn,
    column("Version", "The node agent's version.", ({ status }) => status?.nodeInfo?.kubeletVersion ?? ""),
    column("Internal-IP", "The node's address.", address("InternalIP"), true),
    column("External-IP", "The node's address from outside.", address("ExternalIP"), true),
    column("OS-Image", "The operating system.", ({ status }) => status?.nodeInfo?.osImage ?? "<unknown>", true),
    column(
      "Kernel-Version",
      "The kernel's version.",
      ({ status }) => status?.nodeInfo?.kernelVersion ?? "<unknown>",
      true,
    ),
    column(
      "Container-Runtime",
      "What runs containers.",
      ({ status }) => status?.nodeInfo?.containerRuntimeVersion ?? "<unknown>",
      true,
    ),
  ],
  status: true,
});
