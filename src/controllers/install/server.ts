import { type InstallObject, ownObject } from "./object.ts";
import { type InstallOptions, type InstallStore, installNames, installPorts, meshApiHost } from "./options.ts";
import { type Mount, type Part, budgetOf, deploymentOf, serviceOf } from "./pods.ts";
import { clusterKubeconfig, clusterMount } from "./cluster-access.ts";

const stateDir = "/var/lib/weft/api";
const storeDir = "/var/lib/weft/store";
const etcdDir = "/etc/weft/etcd";

/** Files of the Secret with keys, as `weft server` has them in its state folder. */
const keyFiles = [
  ["mesh-ca.crt", "mesh/ca.crt"],
  ["mesh-ca.key", "mesh/ca.key"],
  ["members-ca.crt", "members/ca.crt"],
  ["members-ca.key", "members/ca.key"],
] as const;

function keysSecret({ keys }: InstallOptions): InstallObject {
  const stringData = {
    "mesh-ca.crt": keys.mesh.certificate,
    "mesh-ca.key": keys.mesh.key,
    "members-ca.crt": keys.members.certificate,
    "members-ca.key": keys.members.key,
  };
  const data = Object.fromEntries(Object.entries(stringData).map(([name, text]) => [name, base64(text)]));
  return ownObject("v1", "Secret", installNames.keys, { type: "Opaque", data });
}

/** A text as Secrets have it. */
export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function claim({ store }: InstallOptions): readonly InstallObject[] {
  if (store.kind !== "claim") return [];
  const spec = {
    accessModes: ["ReadWriteOnce"],
    ...(store.className !== undefined && { storageClassName: store.className }),
    resources: { requests: { storage: store.size } },
  };
  return [ownObject("v1", "PersistentVolumeClaim", installNames.store, { spec })];
}

function storeMounts(store: InstallStore): readonly Mount[] {
  const at = { name: "store", path: storeDir };
  switch (store.kind) {
    case "claim":
      return [{ ...at, source: { persistentVolumeClaim: { claimName: installNames.store } } }];
    case "folder":
      return [{ ...at, source: { hostPath: { path: store.path, type: "Directory" } } }];
    case "memory":
      return [{ ...at, source: { emptyDir: {} } }];
    case "etcd":
      if (store.secret === undefined) return [];
      return [{ name: "etcd", path: etcdDir, readOnly: true, source: { secret: { secretName: store.secret } } }];
  }
}

function storeArgs(store: InstallStore): readonly string[] {
  if (store.kind !== "etcd") return [`--store=${storeDir}/store.db`];
  const files = [
    `--store-ca=${etcdDir}/ca.crt`,
    `--store-certificate=${etcdDir}/tls.crt`,
    `--store-key=${etcdDir}/tls.key`,
  ];
  return [`--store=${store.address}`, ...(store.secret === undefined ? [] : files)];
}

/** The mesh's API server: its objects, to the control plane and to the cluster's API server. */
export function serverObjects(options: InstallOptions): readonly InstallObject[] {
  const { cluster, store, servers, places, maxObjects } = options;
  const secret = keysSecret(options);
  const items = keyFiles.map(([key, path]) => ({ key, path }));
  const part: Part = {
    name: installNames.server,
    replicas: servers,
    // Two servers must not have one file at once.
    strategy: store.kind === "etcd" ? { type: "RollingUpdate" } : { type: "Recreate" },
    mounts: [
      { name: "keys", path: stateDir, readOnly: true, source: { secret: { secretName: installNames.keys, items } } },
      clusterMount,
      ...storeMounts(store),
    ],
    args: [
      "server",
      ...storeArgs(store),
      `--state-dir=${stateDir}`,
      "--run-dir=/run/weft",
      "--secure",
      "--address=0.0.0.0",
      `--mesh-port=${installPorts.api}`,
      `--server-name=${meshApiHost}`,
      `--members-address=0.0.0.0:${installPorts.members}`,
      `--member=${cluster}=${clusterMount.path}/kubeconfig`,
      ...(places
        ? [...places.api.hosts.map((host) => `--members-host=${host}`), `--members-port=${places.api.port}`]
        : []),
      ...(maxObjects === undefined ? [] : [`--max-objects=${maxObjects}`]),
    ],
    ports: { api: installPorts.api, members: installPorts.members },
    probe: installPorts.api,
    requests: { cpu: "100m", memory: "256Mi" },
    graceSeconds: 30,
    reads: [secret, clusterKubeconfig],
  };
  return [
    secret,
    ...claim(options),
    serviceOf(part, [{ name: "https-api", port: installPorts.api, target: installPorts.api }]),
    deploymentOf(part, options),
    ...budgetOf(part),
  ];
}
