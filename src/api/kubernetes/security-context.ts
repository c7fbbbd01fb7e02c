import { anyObject, boolean, definition, int64, list, object, string } from "../schema.ts";
import { coreName } from "./meta.ts";

const identity = {
  runAsUser: int64("The processes' user id."),
  runAsGroup: int64("The processes' group id."),
  runAsNonRoot: boolean("Refuse to run as user 0."),
  seLinuxOptions: anyObject("SELinux labels."),
  windowsOptions: anyObject("Settings of Windows."),
  seccompProfile: object(
    "Which system calls are allowed.",
    { type: string("RuntimeDefault, Localhost or Unconfined.") },
    { localhostProfile: string("The profile's file, for Localhost.") },
  ),
  appArmorProfile: object(
    "The AppArmor profile.",
    { type: string("RuntimeDefault, Localhost or Unconfined.") },
    { localhostProfile: string("The profile's name, for Localhost.") },
  ),
} as const;

/** Kubernetes' `core/v1.SecurityContext`. */
export const SecurityContext = definition(
  coreName("SecurityContext"),
  object(
    "What the container's processes may do.",
    {},
    {
      ...identity,
      capabilities: object(
        "Capabilities of Linux.",
        {},
        {
          add: list("Capabilities added.", string("A name.")),
          drop: list("Capabilities taken away.", string("A name.")),
        },
      ),
      privileged: boolean("Allow everything."),
      readOnlyRootFilesystem: boolean("Make the root file system read-only."),
      allowPrivilegeEscalation: boolean("Whether a process may get more rights than its parent."),
      procMount: string("How /proc is mounted: Default or Unmasked."),
    },
  ),
);

/** Kubernetes' `core/v1.PodSecurityContext`. */
export const PodSecurityContext = definition(
  coreName("PodSecurityContext"),
  object(
    "What the processes of all containers may do; a container's own setting comes first.",
    {},
    {
      ...identity,
      supplementalGroups: list("More group ids.", int64("A group id.")),
      supplementalGroupsPolicy: string("Where groups come from: Merge or Strict."),
      fsGroup: int64("Group id of the volumes' files."),
      fsGroupChangePolicy: string("When the volumes' files get it: OnRootMismatch or Always."),
      seLinuxChangePolicy: string("How volumes get SELinux labels: Recursive or MountOption."),
      sysctls: list(
        "Kernel settings of the Pod's namespaces.",
        object("A setting.", { name: string("Its name."), value: string("Its value.") }, {}),
      ),
    },
  ),
);
