/** Where a stand-alone control plane keeps the mesh's objects. */
export type InstallStore =
  /** A volume that the cluster's storage provides. */
  | { readonly kind: "claim"; readonly size: string; readonly className?: string }
  /** A folder of the node, which must belong to the user 1337. */
  | { readonly kind: "folder"; readonly path: string }
  /** The Pod's own: everything is lost with the Pod. */
  | { readonly kind: "memory" }
  /** An etcd, by its address; its credentials stand in a Secret of istio-system with ca.crt, tls.crt, tls.key and user, each optional. */
  | { readonly kind: "etcd"; readonly address: string; readonly secret?: string };

/** A certificate authority, in PEM. */
export interface InstallAuthority {
  readonly certificate: string;
  readonly key: string;
}

/** What the parts of the control plane know each other by. */
export interface InstallKeys {
  /** The authority of the mesh's API: it signs the API's certificates and its clients'. */
  readonly mesh: InstallAuthority;
  /** The authority by which the cluster's API server knows the mesh's. */
  readonly members: InstallAuthority;
  /** A kubeconfig for the mesh's API with which the control plane of proxies follows it. */
  readonly discovery: string;
}

/** By what other clusters, which join the mesh, reach the control plane. */
export interface InstallMembers {
  readonly type: "LoadBalancer" | "NodePort" | "ClusterIP";
  /** What leads to the Services from elsewhere; none where these tell it themselves. */
  readonly hosts: readonly string[];
}

/** Where other clusters reach the control plane. */
export interface MembersPlaces {
  readonly api: { readonly hosts: readonly string[]; readonly port: number };
  readonly discovery: { readonly hosts: readonly string[]; readonly xds: number; readonly webhooks: number };
}

/** What a stand-alone installation is made of. */
export interface InstallOptions {
  /** The cluster's name in the mesh: its id in Istio's sense. */
  readonly cluster: string;
  /** The network of its Pods; may be empty. */
  readonly network: string;
  readonly trustDomain: string;
  /** The image of the control plane, which has `weft` in its path. */
  readonly image: string;
  /** The image of proxies, which has `pilot-agent` in its path. */
  readonly proxyImage: string;
  readonly imagePullPolicy: string;
  readonly store: InstallStore;
  /** How many of each; more than one server needs an etcd. */
  readonly servers: number;
  readonly replicas: number;
  /** The revision of the control plane of proxies: `default` for the one without a name. */
  readonly revision: string;
  /** By what other clusters reach it; absent where none are to join. */
  readonly members?: InstallMembers;
  /** Where they do, as far as that is known. */
  readonly places?: MembersPlaces;
  /** Settings that the mesh's own Mesh begins with, beside its trust domain; what its users set stays. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** How many objects the mesh's API keeps, and how many proxies each revision serves at once; no limit unless told. */
  readonly maxObjects?: number;
  readonly maxProxies?: number;
  readonly keys: InstallKeys;
}

/** The names of what is installed. Istio's where others rely on them. */
export const installNames = {
  namespace: "istio-system",
  server: "weft-server",
  discovery: "istiod",
  guard: "weft-guard",
  /** Holds the authorities' keys. */
  keys: "weft-server-keys",
  /** Holds the kubeconfig of the mesh's API. */
  client: "weft-mesh-client",
  /** Holds the kubeconfig of the cluster's own API, which names files of each Pod's account. */
  cluster: "weft-cluster-access",
  /** Holds the objects that the mesh begins with. */
  objects: "weft-mesh-objects",
  /** The Services by which other clusters reach the server, and the control plane of proxies. */
  membersApi: "weft-members-api",
  membersDiscovery: "weft-members-istiod",
  /** The claim of the store's volume. */
  store: "weft-store",
} as const;

/** The name of something of a revision's: that of the default revision has no suffix, as with Istio. */
export function nameOfRevision(name: string, revision: string): string {
  return revision === "default" ? name : `${name}-${revision}`;
}

/** Ports that the parts listen on. */
export const installPorts = { api: 16440, members: 15443, xds: 15012, webhooks: 15017, status: 15014 } as const;

/** The mesh's API as the cluster's Pods reach it. */
export const meshApiHost = `${installNames.server}.${installNames.namespace}.svc`;
