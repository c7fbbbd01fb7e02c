import {
  anyObject,
  boolean,
  choice,
  definition,
  described,
  int32,
  int64,
  list,
  map,
  mergeList,
  object,
  patched,
  string,
  type Value,
} from "../schema.ts";
import { Affinity } from "./affinity.ts";
import { Container, EphemeralContainer, ResourceList, ResourceRequirements } from "./container.ts";
import { coreName, LabelSelector, LocalObjectReference, ObjectMeta } from "./meta.ts";
import { PodSecurityContext } from "./security-context.ts";
import { Volume } from "./volume.ts";

const Toleration = object(
  "A taint of nodes that the Pod bears.",
  {},
  {
    key: string("The taint's key. Every key unless set."),
    operator: string("Equal or Exists. Equal unless set."),
    value: string("The taint's value, for Equal."),
    effect: string("NoSchedule, PreferNoSchedule or NoExecute. Every effect unless set."),
    tolerationSeconds: int64("How long a NoExecute taint is borne. For ever unless set."),
  },
);

const TopologySpreadConstraint = object(
  "How Pods spread over nodes.",
  {
    maxSkew: int32("Difference in the number of Pods between two places at most."),
    topologyKey: string("Label of the nodes that tells the place."),
    whenUnsatisfiable: string("DoNotSchedule or ScheduleAnyway."),
  },
  {
    labelSelector: LabelSelector,
    minDomains: int32("Places at least."),
    nodeAffinityPolicy: string("Honor or Ignore."),
    nodeTaintsPolicy: string("Honor or Ignore."),
    matchLabelKeys: list("Labels of the Pod that the counted Pods must share.", string("A label.")),
  },
);

const placement = {
  nodeName: string("The node that runs the Pod; set by the scheduler."),
  nodeSelector: described("Labels that the node must have, all of them.", map("Labels.", string("The label's value."))),
  affinity: Affinity,
  tolerations: list("Taints of nodes that the Pod bears.", Toleration),
  topologySpreadConstraints: mergeList("How Pods spread over nodes.", TopologySpreadConstraint, "topologyKey", {
    keys: ["topologyKey", "whenUnsatisfiable"],
  }),
  priorityClassName: string("The Pod's priority, by the name of its class."),
  priority: int32("The Pod's priority; set by the server."),
  preemptionPolicy: string("Whether the Pod may push out others: PreemptLowerPriority or Never."),
  schedulingGates: mergeList(
    "What must go before the Pod gets a node.",
    object("A gate.", { name: string("The gate's name.") }, {}),
    "name",
  ),
  schedulingGroup: anyObject("Pods that are placed together."),
  runtimeClassName: string("The runtime class that runs the Pod."),
  overhead: described("What the runtime uses beside the containers.", ResourceList),
  os: object("The operating system.", { name: string("linux or windows.") }, {}),
} as const;

const network = {
  hostNetwork: boolean("Use the node's network."),
  hostPID: boolean("See the node's processes."),
  hostIPC: boolean("Use the node's IPC namespace."),
  hostUsers: boolean("Use the node's user namespace."),
  hostname: string("The Pod's host name. Its name unless set."),
  hostnameOverride: string("The host name that processes see."),
  subdomain: string("With hostname, makes the DNS name hostname.subdomain.namespace.svc."),
  setHostnameAsFQDN: boolean("Make the whole DNS name the host name."),
  hostAliases: mergeList(
    "More lines of the hosts file.",
    object(
      "An address and its names.",
      { ip: string("The address.") },
      { hostnames: list("The names.", string("A name.")) },
    ),
    "ip",
  ),
  dnsConfig: object(
    "Settings of DNS, added to those of dnsPolicy.",
    {},
    {
      nameservers: list("Name servers.", string("An IP address.")),
      searches: list("Domains in which short names are looked up.", string("A domain.")),
      options: list(
        "Options of the resolver.",
        object("An option.", {}, { name: string("Its name."), value: string("Its value.") }),
      ),
    },
  ),
} as const;

/** Kubernetes' `core/v1.PodSpec`. */
export const PodSpec = definition(
  coreName("PodSpec"),
  object(
    "What the Pod runs.",
    {
      containers: mergeList("The Pod's programs; at least one.", Container, "name"),
      restartPolicy: choice("When containers that ended are started again.", ["Always", "OnFailure", "Never"], {
        default: "Always",
      }),
      terminationGracePeriodSeconds: int64("Seconds that the Pod has to end.", { default: 30 }),
      dnsPolicy: choice(
        "Where DNS settings come from.",
        ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        {
          default: "ClusterFirst",
        },
      ),
      schedulerName: string("The scheduler that picks the node.", { default: "default-scheduler" }),
      enableServiceLinks: boolean("Whether Services become variables of the environment.", { default: true }),
      securityContext: { ...PodSecurityContext, default: {} } as typeof PodSecurityContext,
    },
    {
      initContainers: mergeList("Programs that run before, one after another.", Container, "name"),
      ephemeralContainers: mergeList("Programs put in later, to look around.", EphemeralContainer, "name"),
      volumes: patched("merge,retainKeys", mergeList("Files for the containers.", Volume, "name")),
      serviceAccountName: string("The service account whose identity the Pod has."),
      serviceAccount: string("An older name of serviceAccountName."),
      automountServiceAccountToken: boolean("Whether containers get the service account's token."),
      activeDeadlineSeconds: int64("How long the Pod may run."),
      shareProcessNamespace: boolean("Let containers see each other's processes."),
      imagePullSecrets: mergeList("Secrets for fetching images.", LocalObjectReference, "name"),
      readinessGates: list(
        "Conditions that must be true for the Pod to be ready.",
        object("A condition.", { conditionType: string("The condition's type.") }, {}),
      ),
      resourceClaims: patched(
        "merge,retainKeys",
        mergeList(
          "Devices for the Pod.",
          object(
            "A claim.",
            { name: string("The claim's name in the Pod.") },
            {
              resourceClaimName: string("A claim that exists."),
              resourceClaimTemplateName: string("What a new claim is made from."),
            },
          ),
          "name",
        ),
      ),
      resources: described("What the whole Pod may use.", ResourceRequirements),
      ...network,
      ...placement,
    },
  ),
);
export type PodSpec = Value<typeof PodSpec>;

/** Kubernetes' `core/v1.PodTemplateSpec`. */
export const PodTemplateSpec = definition(
  coreName("PodTemplateSpec"),
  object(
    "What new Pods look like.",
    { spec: PodSpec },
    { metadata: described("Labels and annotations of new Pods.", ObjectMeta) },
  ),
);
export type PodTemplateSpec = Value<typeof PodTemplateSpec>;
