import { getServers } from "node:dns";
import { isIPv4 } from "node:net";
import { join } from "node:path";
import type { Command } from "commander";
import { stringify } from "yaml";
import { systemClock } from "#base/clock.ts";
import { type EnvoyFlags, envoyOptions, withEnvoyFlags } from "./envoy-flags.ts";
import { type HijackFlags, hijackOptions, withHijackFlags } from "./hijack-flags.ts";
import { weftVersion } from "./version.ts";
import { type LogFlags, stderrLogger, terminated, withLogFlag } from "./processes.ts";
import { trustOptions, withTrustFlags, type TrustFlags } from "./trust-flags.ts";

interface NodeAgentFlags extends LogFlags, TrustFlags, HijackFlags, EnvoyFlags {
  readonly cluster: string;
  readonly node: string;
  readonly region: string;
  readonly zone: string;
  readonly network: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly api: string;
  readonly xds: string;
  readonly clusterDomain: string;
  readonly meshId: string;
  readonly nameServer?: readonly string[];
  readonly cni: boolean;
  readonly cniBin: string;
  readonly cniConf: string;
}

const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** `weft node-agent`. */
export function nodeAgentCommand(program: Command): void {
  withEnvoyFlags(withHijackFlags(withTrustFlags(withLogFlag(program.command("node-agent")))), 2)
    .summary("give the Pods of a Kubernetes node their sidecars")
    .description(
      "Gives an Envoy to Pods of its node that a kubelet runs, in namespaces with the label mesh.weft.dev/sidecar: node, without a change to the Pods. It runs as root in the node's network and among its processes, and reaches the control plane over TLS. Envoys outlive it.",
    )
    .requiredOption("--cluster <name>", "the member cluster")
    .requiredOption("--node <name>", "the node's name")
    .requiredOption("--api <url>", "URL of the cluster's API, or path of a kubeconfig that names it")
    .option("--xds <address>", "where xDS is served over TLS", "istiod.istio-system.svc:15012")
    .option("--state-dir <folder>", "where it keeps what a later agent goes on with", "/var/lib/weft/node-agent")
    .option("--run-dir <folder>", "folder of its Unix sockets", "/run/weft/node-agent")
    .option("--envoy <path>", "the Envoy to run", "/usr/local/bin/envoy")
    .option("--region <name>", "the node's region", "")
    .option("--zone <name>", "the node's zone", "")
    .option("--network <name>", "the network of its Pods", "")
    .option("--cluster-domain <domain>", "the domain of the cluster's Services", "cluster.local")
    .option("--mesh-id <id>", "the mesh's id", "cluster.local")
    .option(
      "--name-server <address>",
      "name server that proxies ask; may be repeated (default: the agent's own)",
      several,
    )
    .option("--no-cni", "leave the node's chain of CNI plugins alone: new Pods are joined once they run")
    .option("--cni-bin <folder>", "the node's folder of CNI plugins", "/opt/cni/bin")
    .option("--cni-conf <folder>", "the node's folder of CNI configurations", "/etc/cni/net.d")
    .action(async (flags: NodeAgentFlags) => {
      const { runNodeAgent } = await import("#agent/managed/node-agent.ts");
      const { cluster, node, api, xds, stateDir, runDir, region, zone, network, clusterDomain, meshId } = flags;
      const options = {
        cluster,
        node,
        api,
        xds,
        stateDir,
        runDir,
        region,
        zone,
        network,
        clusterDomain,
        meshId,
        revision: "default",
        version: weftVersion(),
        nameServers: flags.nameServer ?? getServers().filter((address) => isIPv4(address)),
        envoy: envoyOptions(flags),
        ...(flags.cni && {
          cni: { programs: flags.cniBin, configurations: flags.cniConf, mailbox: join(runDir, "cni") },
        }),
        ...hijackOptions(flags),
        ...trustOptions({ ...flags, xdsTls: true, ca: flags.ca ?? xds }),
      };
      await runNodeAgent(options, { clock: systemClock, logger: stderrLogger(flags) }, terminated());
    });
}

interface NodeAgentObjectsFlags {
  readonly image: string;
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
  readonly cluster: string;
  readonly xds: string;
  readonly trustDomain: string;
  readonly network: string;
}

/** `weft node-agent-objects`. */
export function nodeAgentObjectsCommand(program: Command): void {
  const command = program
    .command("node-agent-objects")
    .summary("print what has an agent run on each node of a cluster")
    .description("Prints, as YAML for kubectl apply, the DaemonSet of weft node-agent, its account and its roles.");
  command
    .requiredOption("--image <name>", "the image: Weft with Node, Envoy, iptables and util-linux")
    .requiredOption("--cluster <name>", "the cluster's name in the mesh")
    .option(
      "--xds <address>",
      "where xDS and certificates are served, as nodes reach it",
      "istiod.istio-system.svc:15012",
    )
    .option("--trust-domain <domain>", "the mesh's trust domain", "cluster.local")
    .option("--network <name>", "the network of the cluster's Pods", "")
    .addOption(
      command
        .createOption("--image-pull-policy <policy>", "when nodes ask for the image; as Kubernetes decides unless told")
        .choices(["Always", "IfNotPresent", "Never"]),
    )
    .addHelpText(
      "after",
      "\nExample:\n  weft node-agent-objects --image registry.example.com/weft:1 --cluster east | kubectl apply -f -",
    )
    .action(async (flags: NodeAgentObjectsFlags) => {
      const { nodeAgentObjects } = await import("#agent/managed/node-agent-objects.ts");
      process.stdout.write(
        nodeAgentObjects(flags)
          .map((object) => `---\n${stringify(object)}`)
          .join(""),
      );
    });
}

/** `weft node-agent-remove`. */
export function nodeAgentRemoveCommand(program: Command): void {
  program
    .command("node-agent-remove")
    .summary("take away what weft node-agent has put onto a node")
    .description(
      "Takes the CNI plugin out of the node's chain and the rules for probes out of its network. Remove the label mesh.weft.dev/sidecar from all namespaces before, and wait until no Pod of the node has a sidecar.",
    )
    .option("--cni-bin <folder>", "the node's folder of CNI plugins", "/opt/cni/bin")
    .option("--cni-conf <folder>", "the node's folder of CNI configurations", "/etc/cni/net.d")
    .action(async ({ cniBin, cniConf }: Pick<NodeAgentFlags, "cniBin" | "cniConf">) => {
      const { removeNodeAgent } = await import("#agent/managed/node-removal.ts");
      await removeNodeAgent({ programs: cniBin, configurations: cniConf });
    });
}
