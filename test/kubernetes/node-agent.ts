import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "./cluster.ts";
import { flags } from "./control-plane.ts";
import { Daemon } from "./daemon.ts";
import type { KubernetesNode } from "./node.ts";

const root = join(import.meta.dirname, "..", "..");

/** Starts the agent of a node as a program of the node, with the rights of its own account alone. */
export function startNodeAgent(cluster: Cluster, node: KubernetesNode): Daemon {
  const user = { name: "system:serviceaccount:istio-system:weft-agent" };
  const kubeconfig = cluster.credentials.kubeconfig(`${node.name}-agent`, cluster.internalUrl, user);
  writeFileSync(node.path("/etc/resolv.conf"), `nameserver ${cluster.dnsAddress}\n`);
  const argv = node.inside([
    "setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    join(root, "weft"),
    "node-agent",
    ...flags({
      cluster: cluster.name,
      node: node.name,
      api: kubeconfig,
      xds: "istiod.istio-system.svc.cluster.local:15012",
      envoy: readFileSync(join(root, "build", "envoy.path"), "utf8").trim(),
    }),
  ]);
  return new Daemon({ name: `the agent of ${node.name}`, argv, log: join(node.folder, "agent.log") }).start();
}
