import type { HijackMode } from "#api/weft/hijack-mode.ts";

/** What the proxies of a node are run with, whoever runs its Pods; every value is explicit. */
export interface ProxyOptions {
  readonly cluster: string;
  /** The node's name, and with it the agent's. */
  readonly node: string;
  /** Labels `topology.kubernetes.io/region` and `zone` of the node, and the locality of its proxies. */
  readonly region: string;
  readonly zone: string;
  /** The network that the Pods are in, as Istio's `NETWORK`; may be empty. */
  readonly network: string;
  /** Kept on disk: what the node's Pods are, so that a later agent goes on with them. Of this agent alone. */
  readonly stateDir: string;
  /** Folder of Unix sockets. */
  readonly runDir: string;
  /** Where the control plane serves xDS, as gRPC writes addresses: `unix:/run/weft/demo/ads.sock`. */
  readonly xds: string;
  /** Whether xDS goes over TLS; plain text is for sockets of this machine only. */
  readonly xdsTls?: boolean;
  /** How the control plane and the agent prove themselves to each other; needed for TLS. */
  readonly trust?: TrustOptions;
  /** Where the node's workloads get their identities from; absent where they have none. */
  readonly identity?: IdentityOptions;
  readonly envoy: EnvoyOptions;
  /** Name servers that proxies ask themselves; absent where the agent serves names to Pods and their proxies. */
  readonly nameServers?: readonly string[];
  /** How connections are led to proxies where neither the Pod nor its namespace nor the mesh says; by iptables unless told. */
  readonly hijack?: HijackMode;
  /** Folder of the compiled programs of `bpf/`; without it nothing is led by eBPF. */
  readonly hijackPrograms?: string;
  /** The domain of the cluster's Services. */
  readonly clusterDomain: string;
  readonly meshId: string;
  /** The revision of the control plane, for namespaces that ask for one by `istio.io/rev`. */
  readonly revision: string;
  /** The agent's version, which its Node and its proxies tell. */
  readonly version: string;
  /** Milliseconds between reports of how a proxy stands; 10 seconds unless told. */
  readonly reportEveryMs?: number;
}

/** What an agent that runs the Pods of its node is told, too. */
export interface AgentOptions extends ProxyOptions {
  /** The instance that the node belongs to; names of namespaces and of sockets hold it. */
  readonly instance: string;
  /** URL of the cluster's API server. */
  readonly api: string;
  /** File of the host's network namespace, such as `/proc/self/fd/3`. */
  readonly hostNetwork: string;
  /** The network for Pods until the Node's `spec.podCIDR` is set, and where nobody sets it. */
  readonly podCidr?: string;
  readonly programs: ProgramOptions;
  /** The name servers of the host, for names that are not the mesh's; may be empty. */
  readonly resolvers: readonly string[];
}

/** Where workloads get certificates. */
export interface IdentityOptions {
  /** Where the mesh's authority serves, as gRPC writes addresses; always over TLS. */
  readonly ca: string;
  /** The mesh's trust domain. */
  readonly trustDomain: string;
  /** How long certificates are to be good, in milliseconds; the authority may give less. */
  readonly ttlMs: number;
  /** Milliseconds within which certificates are replaced when the mesh has other authorities, spread by chance; 5,000 unless told. */
  readonly spreadMs?: number;
}

/** How the control plane and the agent prove themselves to each other. */
export interface TrustOptions {
  /** File of the authorities that the control plane's certificate is checked by; those that its cluster's API has unless told. */
  readonly rootsFile?: string;
  /** File of the agent's bearer token; asked of its cluster's API unless told. */
  readonly tokenFile?: string;
  /** The name that the control plane's certificate must have. */
  readonly serverName: string;
  /** The namespace in which the mesh publishes its authorities. */
  readonly rootNamespace: string;
}

/** Where images come from: each is a program of this machine. */
export interface ProgramOptions {
  /** A JSON file: command lines by image name, without the tag. */
  readonly file: string;
  /** The folder that the programs run in and that their paths are relative to. */
  readonly folder: string;
}

/** The proxy that the agent runs beside its Pods. */
export interface EnvoyOptions {
  /** Path of the program. */
  readonly program: string;
  /** A JSON file of other versions that proxies may be asked to change to: path and SHA-256 of each; none unless told. */
  readonly others?: string;
  /** Worker threads of each. */
  readonly concurrency: number;
}
