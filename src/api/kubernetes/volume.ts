import {
  anyObject,
  boolean,
  definition,
  described,
  int32,
  int64,
  list,
  map,
  object,
  quantity,
  string,
  type Value,
} from "../schema.ts";
import { coreName, LocalObjectReference, ObjectMeta } from "./meta.ts";

/** Kubernetes' `core/v1.ObjectFieldSelector`. */
export const ObjectFieldSelector = object(
  "A field of the Pod.",
  {
    fieldPath: string("The field, such as metadata.name or metadata.labels['app']."),
    apiVersion: string("The API version that the path is of.", { default: "v1" }),
  },
  {},
  { atomic: true },
);

/** Kubernetes' `core/v1.ResourceFieldSelector`. */
export const ResourceFieldSelector = object(
  "A resource of a container.",
  { resource: string("The resource, such as limits.cpu.") },
  {
    containerName: string("The container. The one that has the variable unless set."),
    divisor: quantity("The unit in which the amount is told. 1 unless set."),
  },
  { atomic: true },
);

const items = list(
  "Keys that become files. All unless set.",
  object(
    "A key and its file.",
    { key: string("The key."), path: string("The file's path in the volume.") },
    { mode: int32("The file's mode, as a decimal number.") },
  ),
);
const defaultMode = int32("Mode of the files, as a decimal number.", { default: 420 });
const optional = boolean("Whether it may be missing.");

const downwardFiles = list(
  "The files.",
  object(
    "A file that tells something of the Pod.",
    { path: string("The file's path in the volume.") },
    {
      fieldRef: ObjectFieldSelector,
      resourceFieldRef: ResourceFieldSelector,
      mode: int32("The file's mode, as a decimal number."),
    },
  ),
);

const ProjectedSource = object(
  "One source of files.",
  {},
  {
    secret: object("Files of a Secret.", { name: string("The Secret's name.", { default: "" }) }, { items, optional }),
    configMap: object(
      "Files of a ConfigMap.",
      { name: string("The ConfigMap's name.", { default: "" }) },
      { items, optional },
    ),
    downwardAPI: object("Files about the Pod.", {}, { items: downwardFiles }),
    serviceAccountToken: object(
      "A token of the Pod's service account.",
      {
        path: string("The file's path in the volume."),
        expirationSeconds: int64("How long the token is good for.", { default: 3600 }),
      },
      { audience: string("Who the token is for. The API server unless set.") },
    ),
    clusterTrustBundle: anyObject("Certificates of a ClusterTrustBundle."),
    podCertificate: anyObject("A certificate made for the Pod."),
  },
);

/** Volume sources that Weft carries as they are. */
const carried = [
  "awsElasticBlockStore",
  "azureDisk",
  "azureFile",
  "cephfs",
  "cinder",
  "fc",
  "flexVolume",
  "flocker",
  "gcePersistentDisk",
  "gitRepo",
  "glusterfs",
  "image",
  "iscsi",
  "nfs",
  "photonPersistentDisk",
  "portworxVolume",
  "quobyte",
  "rbd",
  "scaleIO",
  "storageos",
  "vsphereVolume",
] as const;

const carriedSources = Object.fromEntries(
  carried.map((name) => [name, anyObject(`A volume of Kubernetes' kind ${name}.`)]),
) as Record<(typeof carried)[number], ReturnType<typeof anyObject>>;

/** Kubernetes' `core/v1.Volume`. */
export const Volume = definition(
  coreName("Volume"),
  object(
    "Files that the Pod's containers can mount.",
    { name: string("The volume's name, which mounts refer to.") },
    {
      emptyDir: object(
        "An empty folder that goes with the Pod.",
        {},
        { medium: string("Empty for the disk, Memory for memory."), sizeLimit: quantity("How large it may get.") },
      ),
      hostPath: object(
        "A file or folder of the node.",
        {
          path: string("Its path on the node."),
          type: string("What must be there; empty for anything.", { default: "" }),
        },
        {},
      ),
      configMap: object(
        "Files of a ConfigMap.",
        { name: string("The ConfigMap's name.", { default: "" }), defaultMode },
        { items, optional },
      ),
      secret: object(
        "Files of a Secret.",
        { defaultMode },
        { secretName: string("The Secret's name."), items, optional },
      ),
      downwardAPI: object("Files about the Pod.", { defaultMode }, { items: downwardFiles }),
      projected: object(
        "Files of several sources in one folder.",
        { defaultMode },
        { sources: list("The sources.", ProjectedSource) },
      ),
      persistentVolumeClaim: object(
        "A persistent volume.",
        { claimName: string("The claim's name.") },
        { readOnly: boolean("Whether it is mounted read-only.") },
      ),
      csi: object(
        "A volume that a driver provides.",
        { driver: string("The driver's name.") },
        {
          readOnly: boolean("Whether it is mounted read-only."),
          fsType: string("The file system."),
          volumeAttributes: map("Settings of the driver.", string("A value.")),
          nodePublishSecretRef: LocalObjectReference,
        },
      ),
      ephemeral: object(
        "A persistent volume that goes with the Pod.",
        {},
        {
          volumeClaimTemplate: object(
            "The claim that is made.",
            { spec: anyObject("Its specification.") },
            { metadata: ObjectMeta },
          ),
        },
      ),
      ...carriedSources,
    },
  ),
);
export type Volume = Value<typeof Volume>;

/** Kubernetes' `core/v1.VolumeMount`. */
export const VolumeMount = definition(
  coreName("VolumeMount"),
  object(
    "Where a volume is seen in a container.",
    { name: string("The volume's name."), mountPath: string("The path in the container.") },
    {
      readOnly: boolean("Whether the container only reads it."),
      recursiveReadOnly: string("Whether mounts below are read-only too: Disabled, IfPossible or Enabled."),
      subPath: string("The part of the volume that is mounted. All unless set."),
      subPathExpr: string("The same with $(VARIABLES) of the container."),
      mountPropagation: string("Whether mounts below travel: None, HostToContainer or Bidirectional."),
    },
  ),
);

const KeySelector = object(
  "A key.",
  { key: string("The key."), name: string("The object's name.", { default: "" }) },
  { optional },
  { atomic: true },
);

/** A Secret's or ConfigMap's key. */
export function keySelector(what: string): typeof KeySelector {
  return described(`A key of a ${what}.`, KeySelector);
}
