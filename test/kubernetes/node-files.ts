import type { Credentials } from "./credentials.ts";

/** containerd's configuration, whose paths are the usual ones. @param pause the image that holds Pods' namespaces open. */
export function containerdConfiguration(pause: string): string {
  const plugin = 'plugins."io.containerd.grpc.v1.cri"';
  // Without CAP_SYS_RESOURCE, which containers often do not have, no process may be made harder to kill for want of memory.
  return `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]

[${plugin}]
  sandbox_image = "${pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true

[${plugin}.cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"

[${plugin}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[${plugin}.containerd.runtimes.runc.options]
  SystemdCgroup = false
`;
}

/** What kubelet is told of its place. */
export interface KubeletPlace {
  readonly credentials: Credentials;
  readonly name: string;
  /** Path of the control group below which its Pods' are. */
  readonly cgroup: string;
  /** Address of the cluster's name server. */
  readonly dns: string;
}

/** Kubelet's configuration. */
export function kubeletConfiguration({ credentials, name, cgroup, dns }: KubeletPlace): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: credentials.file("ca/ca.crt") },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: credentials.file(`${name}-kubelet.crt`),
    tlsPrivateKeyFile: credentials.file(`${name}-kubelet.key`),
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    clusterDNS: [dns],
    clusterDomain: "cluster.local",
    resolvConf: "",
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroup,
    enforceNodeAllocatable: ["pods"],
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    localStorageCapacityIsolation: false,
    // Nodes share the machine's disk and memory with all else: how full these are says nothing.
    evictionHard: {
      "memory.available": "0%",
      "nodefs.available": "0%",
      "imagefs.available": "0%",
      "nodefs.inodesFree": "0%",
    },
    imageGCHighThresholdPercent: 100,
    syncFrequency: "10s",
  });
}

/** kube-proxy's configuration, which leaves limits of the whole machine alone. */
export function proxyConfiguration(kubeconfig: string, name: string): string {
  return JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    clientConnection: { kubeconfig },
    hostnameOverride: name,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  });
}

/**
 * The Pod network of a node: a link for each Pod, with routes between them. On a bridge, answers within a node would take a way past
 * the address translation of Services, unless the kernel has a module for that.
 */
export function cniConfiguration(range: string): string {
  const ipam = { type: "host-local", ranges: [[{ subnet: range }]], routes: [{ dst: "0.0.0.0/0" }] };
  const link = { type: "ptp", ipam };
  const ports = { type: "portmap", capabilities: { portMappings: true } };
  return JSON.stringify({ cniVersion: "0.4.0", name: "pods", plugins: [link, ports] });
}
