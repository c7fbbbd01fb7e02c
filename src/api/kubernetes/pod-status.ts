import {
  anyObject,
  boolean,
  definition,
  described,
  int32,
  int64,
  list,
  mergeList,
  object,
  patched,
  string,
  time,
  type Value,
} from "../schema.ts";
import { ResourceList, ResourceRequirements } from "./container.ts";
import { coreName } from "./meta.ts";

const ContainerState = object(
  "One of waiting, running and terminated.",
  {},
  {
    waiting: object(
      "The container does not run yet, or not again yet.",
      {},
      { reason: string("One word, such as CrashLoopBackOff."), message: string("The same for people.") },
    ),
    running: object("The container runs.", {}, { startedAt: time("Since when.") }),
    terminated: object(
      "The container has ended.",
      { exitCode: int32("Its status.") },
      {
        signal: int32("The signal that ended it."),
        reason: string("One word, such as Completed or Error."),
        message: string("The same for people."),
        startedAt: time("When it started."),
        finishedAt: time("When it ended."),
        containerID: string("The runtime's id of it."),
      },
    ),
  },
);

/** Kubernetes' `core/v1.ContainerStatus`. */
export const ContainerStatus = definition(
  coreName("ContainerStatus"),
  object(
    "How a container is.",
    {
      name: string("The container's name."),
      ready: boolean("Whether its readiness probe succeeds, or it has none and runs."),
      restartCount: int32("How often it was started again."),
      image: string("The image that it runs."),
      imageID: string("The image's id."),
    },
    {
      state: ContainerState,
      lastState: described("The state before the last restart.", ContainerState),
      containerID: string("The runtime's id of it."),
      started: boolean("Whether its startup probe has succeeded, or it has none and runs."),
      allocatedResources: described("What is set aside.", ResourceList),
      resources: ResourceRequirements,
      volumeMounts: list("How volumes are mounted.", anyObject("A mount.")),
      user: anyObject("The user that it began with."),
      allocatedResourcesStatus: list("How its devices are.", anyObject("A device.")),
      stopSignal: string("The signal by which it is asked to end."),
    },
  ),
);
export type ContainerStatus = Value<typeof ContainerStatus>;

const PodCondition = object(
  "One aspect of the Pod's state.",
  {
    type: string("PodScheduled, Initialized, ContainersReady or Ready, among others."),
    status: string("True, False or Unknown."),
  },
  {
    observedGeneration: int64("The generation of the Pod that the condition speaks of."),
    lastProbeTime: time("When the condition was last looked at."),
    lastTransitionTime: time("When the status last changed."),
    reason: string("One word: why the condition has this status."),
    message: string("The same for people."),
  },
);

const address = object("An address.", { ip: string("The address.") }, {});

/** Kubernetes' `core/v1.PodStatus`. */
export const PodStatus = definition(
  coreName("PodStatus"),
  object(
    "How the Pod is.",
    {},
    {
      phase: string("Pending, Running, Succeeded, Failed or Unknown."),
      conditions: mergeList("The Pod's state, by aspect.", PodCondition, "type"),
      reason: string("One word: why the Pod is in this state."),
      message: string("The same for people."),
      podIP: string("The Pod's address."),
      podIPs: mergeList("The Pod's addresses, one of each family.", address, "ip"),
      hostIP: string("The node's address."),
      hostIPs: mergeList("The node's addresses, one of each family.", address, "ip"),
      startTime: time("When the node took the Pod."),
      nominatedNodeName: string("The node that is being cleared for the Pod."),
      qosClass: string("Guaranteed, Burstable or BestEffort, by the containers' resources."),
      initContainerStatuses: list("How the init containers are.", ContainerStatus),
      containerStatuses: list("How the containers are.", ContainerStatus),
      ephemeralContainerStatuses: list("How the containers put in later are.", ContainerStatus),
      observedGeneration: int64("The newest generation of the Pod that the status speaks of."),
      resize: string("Not used any more."),
      resourceClaimStatuses: patched(
        "merge,retainKeys",
        mergeList(
          "How the resource claims are.",
          object(
            "A claim.",
            { name: string("Its name in the Pod.") },
            { resourceClaimName: string("The object's name.") },
          ),
          "name",
        ),
      ),
      extendedResourceClaimStatus: anyObject("How devices asked for as resources are."),
      nodeAllocatableResourceClaimStatuses: list("How the node's resources are claimed.", anyObject("A claim.")),
      allocatedResources: described("What is set aside.", ResourceList),
      resources: ResourceRequirements,
    },
  ),
);
export type PodStatus = Value<typeof PodStatus>;

/** The condition in which a node's agent tells how the certificate of a Pod's proxy stands: its reason is the state. */
export const certificateCondition = "mesh.weft.dev/ProxyCertificate";

/** The condition in which it tells whether all connections of a Pod go through its sidecar, and the reason while some are older. */
export const capturedCondition = "mesh.weft.dev/TrafficCaptured";
export const connectionsOutside = "ConnectionsOutside";

/** The condition in which it tells by what a Pod's connections are led to its proxy: its reason is the way. */
export const hijackCondition = "mesh.weft.dev/Hijack";

/** The condition in which a node's agent tells whether the proxy that it runs for the Pod is ready. */
export const proxyCondition = "mesh.weft.dev/ProxyReady";
