import { isEtcdAddress } from "#base/etcd-address.ts";
import { type FieldPath, forbidden, invalid, required } from "../field.ts";
import type { FieldError } from "../kind.ts";
import { validateNamed } from "../metadata.ts";
import { choice, int32, list, object, string, type Value } from "../schema.ts";

/** Where a mesh that stands alone keeps its objects, and what each kind of place needs. */
const storeKinds = ["Claim", "Folder", "Memory", "Etcd"] as const;

const Store = object(
  "Where the mesh's objects are kept.",
  {
    kind: choice(
      "Claim, a volume that the cluster provides; Folder, one of the node, which must belong to the user 1337; Memory, lost with the Pod; Etcd.",
      storeKinds,
    ),
  },
  {
    size: string("Of a claim, such as 10Gi."),
    storageClass: string("Of a claim. The cluster's default unless set."),
    path: string("Of a folder."),
    address: string("Of an etcd: etcds://HOST:PORT,.../PREFIX."),
    secret: string("A Secret of the cluster's istio-system with ca.crt, tls.crt and tls.key for the etcd."),
  },
);

const Members = object(
  "By what other clusters, which join the mesh, reach its control plane.",
  {
    type: choice(
      "The type of the Services weft-members-api and weft-members-istiod. With ClusterIP something else leads to them, at hosts.",
      ["LoadBalancer", "NodePort", "ClusterIP"],
    ),
  },
  {
    hosts: list(
      "Addresses or names by which they reach it, where these are others than the Services' or nodes' own.",
      string("An address or a name."),
    ),
  },
);
/** By what other clusters reach the control plane of a mesh that stands alone. */
export type HomeMembers = Value<typeof Members>;

/** Where the control plane of a mesh runs that stands alone. */
export const MeshHome = object(
  "The cluster in which the control plane of a mesh that stands alone runs.",
  {
    kubeconfigSecret: object(
      "The Secret of a kubeconfig of an administrator of the cluster, in the management plane's API.",
      { namespace: string("The Secret's namespace."), name: string("The Secret's name.") },
      { key: string("The key that holds the kubeconfig. kubeconfig unless set.") },
      { atomic: true },
    ),
    store: Store,
  },
  {
    cluster: string("The cluster's name in the mesh. primary unless set."),
    network: string("The network of its Pods."),
    imagePullPolicy: choice("When nodes fetch images. IfNotPresent unless set.", ["Always", "IfNotPresent", "Never"]),
    servers: int32("Servers of the mesh's API. 2 on an etcd, else 1, unless set.", { minimum: 1, maximum: 9 }),
    replicas: int32("Control planes of proxies, of each revision. 2 unless set.", { minimum: 1, maximum: 50 }),
    members: Members,
  },
);
/** Where the control plane of a mesh runs that stands alone. */
export type MeshHome = Value<typeof MeshHome>;

const sizeForm = /^[1-9]\d*(?:Mi|Gi|Ti)$/;

const hostForm = /^[A-Za-z0-9][A-Za-z0-9.:-]*$/;

function* validateMembers({ type, hosts = [] }: HomeMembers, path: FieldPath): Generator<FieldError> {
  const at = path.field("hosts");
  if (type === "LoadBalancer" && hosts.length > 0) yield forbidden(at, "a load balancer tells its hosts itself");
  if (type === "ClusterIP" && hosts.length === 0) yield required(at, "say what leads to the Services");
  for (const [index, host] of hosts.entries())
    if (!hostForm.test(host)) yield invalid(at.item(index), host, "must be an address or a name");
}

/** Checks of a mesh's home. */
export function* validateHome(home: MeshHome, path: FieldPath): Generator<FieldError> {
  const { store, servers, cluster, members } = home;
  const at = path.field("store");
  const { size, path: folder, address } = store;
  if (cluster !== undefined) yield* validateNamed("label", cluster, path.field("cluster"));
  if (store.kind === "Claim" && size === undefined) yield required(at.field("size"), "a claim needs a size");
  if (size !== undefined && !sizeForm.test(size)) yield invalid(at.field("size"), size, "write it as 10Gi");
  if (store.kind === "Folder" && folder?.startsWith("/") !== true)
    yield invalid(at.field("path"), folder, "must be the absolute path of a folder");
  if (store.kind === "Etcd" && !isEtcdAddress(address ?? ""))
    yield invalid(at.field("address"), address, "write it as etcds://HOST:2379/PREFIX");
  if (servers !== undefined && servers > 1 && store.kind !== "Etcd")
    yield invalid(path.field("servers"), servers, "several servers need a store of the kind Etcd");
  if (members) yield* validateMembers(members, path.field("members"));
}

/** What a home cannot change: the mesh would be another one. */
export const fixedHomeFields = ["cluster", "store"] as const;
