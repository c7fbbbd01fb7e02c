import {
  boolean,
  choice,
  definition,
  described,
  int32,
  list,
  map,
  mergeList,
  object,
  port,
  quantity,
  string,
  type Value,
} from "../schema.ts";
import { coreName, protocols } from "./meta.ts";
import { Lifecycle, Probe } from "./probe.ts";
import { SecurityContext } from "./security-context.ts";
import { keySelector, ObjectFieldSelector, ResourceFieldSelector, VolumeMount } from "./volume.ts";

/** Kubernetes' `core/v1.ContainerPort`. */
const ContainerPort = definition(
  coreName("ContainerPort"),
  object(
    "A port that the container listens on.",
    {
      containerPort: port("The port's number."),
      protocol: choice("The transport protocol.", protocols, { default: "TCP" }),
    },
    {
      name: string("A name that Services and probes can use."),
      hostPort: port("A port of the node that leads here."),
      hostIP: string("The node's address that has the port."),
    },
  ),
);

/** Kubernetes' `core/v1.EnvVar`. */
export const EnvVar = definition(
  coreName("EnvVar"),
  object(
    "A variable of the container's environment.",
    { name: string("The variable's name.") },
    {
      value: string("Its value; $(NAME) stands for another variable."),
      valueFrom: object(
        "Where its value comes from.",
        {},
        {
          fieldRef: ObjectFieldSelector,
          resourceFieldRef: ResourceFieldSelector,
          configMapKeyRef: keySelector("ConfigMap"),
          secretKeyRef: keySelector("Secret"),
          fileKeyRef: object(
            "A key of a file in a volume.",
            {
              volumeName: string("The volume's name."),
              path: string("The file's path in the volume."),
              key: string("The key."),
            },
            { optional: boolean("Whether it may be missing.") },
          ),
        },
        { oneOf: [["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"]] },
      ),
    },
  ),
);
export type EnvVar = Value<typeof EnvVar>;

const envSource = (what: string) =>
  object(
    `A ${what} whose keys become variables.`,
    { name: string(`The ${what}'s name.`, { default: "" }) },
    { optional: boolean("Whether it may be missing.") },
  );

/** Amounts of resources by name, such as `cpu` and `memory`. */
export const ResourceList = map("Amounts by resource.", quantity("The amount, such as 500m or 1Gi."));

/** Kubernetes' `core/v1.ResourceRequirements`. */
export const ResourceRequirements = definition(
  coreName("ResourceRequirements"),
  object(
    "What may be used at most, and what is set aside.",
    {},
    {
      limits: described("At most so much.", ResourceList),
      requests: described("At least so much is set aside. The limits unless set.", ResourceList),
      claims: list(
        "Devices, by the Pod's resource claims.",
        object(
          "A claim.",
          { name: string("The claim's name in the Pod.") },
          { request: string("The part of the claim. All unless set.") },
        ),
      ),
    },
  ),
);

const restartRules = list(
  "What is done when the container ends with certain statuses.",
  object(
    "A rule.",
    { action: string("Restart, or RestartAllContainers.") },
    {
      exitCodes: object(
        "The statuses.",
        { operator: string("In or NotIn.") },
        { values: list("The statuses.", int32("A status.")) },
      ),
    },
  ),
);

/** Fields that containers of every sort have. */
const containerFields = {
  image: string("The image; in the playground, the name of a local program."),
  command: list(
    "The program and first arguments, in place of the image's entry point.",
    string("A word of the command."),
  ),
  args: list("Arguments, in place of the image's.", string("An argument.")),
  workingDir: string("The folder that the program starts in."),
  ports: mergeList(
    "Ports that the container listens on; only for information and names.",
    ContainerPort,
    "containerPort",
    {
      keys: ["containerPort", "protocol"],
    },
  ),
  envFrom: list(
    "Objects whose keys become variables.",
    object(
      "A source of variables.",
      {},
      {
        prefix: string("Put before each variable's name."),
        configMapRef: envSource("ConfigMap"),
        secretRef: envSource("Secret"),
      },
    ),
  ),
  env: mergeList("Variables of the environment.", EnvVar, "name"),
  resizePolicy: list(
    "Whether the container restarts when its resources change.",
    object(
      "A resource's policy.",
      { resourceName: string("cpu or memory."), restartPolicy: string("NotRequired or RestartContainer.") },
      {},
    ),
  ),
  restartPolicy: string("Always makes an init container run beside the others."),
  restartPolicyRules: restartRules,
  volumeMounts: mergeList("Volumes that the container sees.", VolumeMount, "mountPath"),
  volumeDevices: mergeList(
    "Block devices that the container sees.",
    object(
      "A device.",
      { name: string("The volume claim's name."), devicePath: string("The path in the container.") },
      {},
    ),
    "devicePath",
  ),
  livenessProbe: described("The container is restarted when this fails.", Probe),
  readinessProbe: described("The Pod gets no traffic while this fails.", Probe),
  startupProbe: described("The other probes begin when this succeeds.", Probe),
  lifecycle: Lifecycle,
  imagePullPolicy: string("When the image is fetched: Always, IfNotPresent or Never."),
  securityContext: SecurityContext,
  stdin: boolean("Keep the standard input open."),
  stdinOnce: boolean("Close the standard input after the first who attached."),
  tty: boolean("Give the container a terminal."),
} as const;

const alwaysThere = {
  name: string("The container's name, a DNS label of its own in the Pod."),
  resources: { ...ResourceRequirements, default: {} } as typeof ResourceRequirements,
  terminationMessagePath: string("The file whose text tells why the container ended.", {
    default: "/dev/termination-log",
  }),
  terminationMessagePolicy: choice(
    "Whether the end of the log serves where that file is empty.",
    ["File", "FallbackToLogsOnError"],
    { default: "File" },
  ),
} as const;

/** Kubernetes' `core/v1.Container`. */
export const Container = definition(
  coreName("Container"),
  object("A program of the Pod.", alwaysThere, containerFields),
);
export type Container = Value<typeof Container>;

/** Kubernetes' `core/v1.EphemeralContainer`. */
export const EphemeralContainer = definition(
  coreName("EphemeralContainer"),
  object("A program put into a running Pod, to look around.", alwaysThere, {
    ...containerFields,
    targetContainerName: string("The container whose processes it sees."),
  }),
);
