import { clusterRole, clusterRoleBinding, type PolicyRule, rbacGroup } from "#api/kubernetes/rbac.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { revisionsName } from "#api/weft/revisions.ts";
import { agentAdmission } from "./agent-admission.ts";
import { agentAccount } from "../node-token.ts";

/** What a cluster's agents are told. */
export interface NodeAgentSettings {
  /** Weft with Node, Envoy, `iptables` and util-linux. */
  readonly image: string;
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
  /** The cluster's name in the mesh. */
  readonly cluster: string;
  /** Where xDS and certificates are served, as the nodes reach it. */
  readonly xds: string;
  readonly trustDomain: string;
  /** The network of the cluster's Pods in the mesh; may be empty. */
  readonly network: string;
}

const read = ["get", "list", "watch"];

/**
 * All that an agent does with its cluster's API: it reads Pods, Namespaces, the mesh's roots and who follows which revision, and says on Pods how their sidecars stand. Its
 * token it gets from the kubelet, so that it is one of its own node.
 */
const rules: readonly PolicyRule[] = [
  { verbs: read, apiGroups: [""], resources: ["pods", "namespaces"] },
  { verbs: ["patch"], apiGroups: [""], resources: ["pods", "pods/status"] },
  {
    verbs: read,
    apiGroups: [""],
    resources: ["configmaps"],
    resourceNames: ["istio-ca-root-cert", revisionsName],
  },
  { verbs: read, apiGroups: ["admissionregistration.k8s.io"], resources: ["mutatingwebhookconfigurations"] },
  { verbs: ["create", "patch"], apiGroups: [""], resources: ["events"] },
];

const { name, namespace } = agentAccount;
const labels = { "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "weft" };
/** Where the agent finds its kubeconfig and its token for the control plane. */
const places = { config: "/etc/weft", tokens: "/var/run/secrets/tokens" } as const;
const ownAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Folders of the node that the agent works in, at the same paths: what it writes there is read by programs of the node. */
const folders = {
  run: "/run/weft",
  state: "/var/lib/weft",
  "cni-bin": "/opt/cni/bin",
  "cni-conf": "/etc/cni/net.d",
  cgroup: "/sys/fs/cgroup",
  bpf: "/sys/fs/bpf",
} as const;

const kubeconfig = {
  apiVersion: "v1",
  kind: "Config",
  "current-context": "own",
  contexts: [{ name: "own", context: { cluster: "own", user: "own" } }],
  clusters: [
    {
      name: "own",
      cluster: { server: "https://kubernetes.default.svc", "certificate-authority": `${ownAccount}/ca.crt` },
    },
  ],
  users: [{ name: "own", user: { tokenFile: `${ownAccount}/token` } }],
};

/** What agents act as. */
function nodeAgentAccount(): readonly object[] {
  const apiVersion = `${rbacGroup}/v1`;
  const subjects = [{ kind: "ServiceAccount", name, namespace }];
  const roleRef = { apiGroup: rbacGroup, kind: "ClusterRole", name };
  return [
    { apiVersion: "v1", kind: serviceAccount.kind, metadata: { name, namespace, labels } },
    { apiVersion, kind: clusterRole.kind, metadata: { name, labels }, rules },
    { apiVersion, kind: clusterRoleBinding.kind, metadata: { name, labels }, roleRef, subjects },
  ];
}

function container({ image, imagePullPolicy, cluster, xds, trustDomain, network }: NodeAgentSettings): object {
  const flags = {
    cluster,
    node: "$(NODE_NAME)",
    api: `${places.config}/kubeconfig`,
    xds,
    token: `${places.tokens}/istio-token`,
    "trust-domain": trustDomain,
    network,
  };
  const mounts = Object.entries(folders).map(([volume, mountPath]) => ({
    name: volume,
    mountPath,
    // Where the node has not mounted its bpf file system, the agent does, and what is pinned there outlives it.
    ...(volume === "bpf" && { mountPropagation: "Bidirectional" }),
  }));
  return {
    name: "agent",
    image,
    ...(imagePullPolicy && { imagePullPolicy }),
    // Control groups are named as the node names them, not as the container does.
    command: ["nsenter", "--cgroup=/proc/1/ns/cgroup", "--", "weft", "node-agent"],
    args: Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
    env: [{ name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
    securityContext: { privileged: true, runAsUser: 0 },
    resources: { requests: { cpu: "50m", memory: "128Mi" } },
    readinessProbe: { exec: { command: ["sh", "-c", `[ -e ${folders.run}/node-agent/cni/agent ]`] }, periodSeconds: 2 },
    volumeMounts: [
      ...mounts,
      { name: "config", mountPath: places.config, readOnly: true },
      { name: "tokens", mountPath: places.tokens, readOnly: true },
    ],
  };
}

function daemonSet(settings: NodeAgentSettings): object {
  const hostPaths = Object.entries(folders).map(([volume, path]) => ({
    name: volume,
    hostPath: { path, ...(path.startsWith("/sys/") ? {} : { type: "DirectoryOrCreate" }) },
  }));
  const token = { audience: "istio-ca", expirationSeconds: 3600, path: "istio-token" };
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "weft-node-agent", namespace, labels },
    spec: {
      selector: { matchLabels: { "app.kubernetes.io/name": name } },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: name,
          hostNetwork: true,
          hostPID: true,
          dnsPolicy: "ClusterFirstWithHostNet",
          priorityClassName: "system-node-critical",
          nodeSelector: { "kubernetes.io/os": "linux" },
          tolerations: [{ operator: "Exists" }],
          terminationGracePeriodSeconds: 10,
          containers: [container(settings)],
          volumes: [
            ...hostPaths,
            { name: "config", configMap: { name: "weft-node-agent" } },
            { name: "tokens", projected: { sources: [{ serviceAccountToken: token }] } },
          ],
        },
      },
    },
  };
}

/** What `kubectl apply` takes to have an agent on each node of a cluster. */
export function nodeAgentObjects(settings: NodeAgentSettings): readonly object[] {
  const config = { name: "weft-node-agent", namespace, labels };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    ...nodeAgentAccount(),
    ...agentAdmission(`system:serviceaccount:${namespace}:${name}`, labels),
    { apiVersion: "v1", kind: "ConfigMap", metadata: config, data: { kubeconfig: JSON.stringify(kubeconfig) } },
    daemonSet(settings),
  ];
}
