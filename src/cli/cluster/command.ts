import type { Command } from "commander";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { checkCandidate } from "#controllers/clusters/checks.ts";
import { joiningAnnotation } from "#controllers/clusters/membership.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { table } from "../table.ts";
import { addCommand } from "./add.ts";
import { adoptCommand } from "./adopt.ts";
import { drainCommand } from "./drain.ts";
import { driftCommand } from "./drift.ts";
import { type MemberFlags, type MeshFlags, openMember, openMesh, withMeshFlags } from "./member.ts";
import { injectionOf } from "./injection.ts";
import { istioState } from "./istio-state.ts";
import { checkLine } from "./progress.ts";
import { removeCommand } from "./remove.ts";
import { updateCommand } from "./update.ts";

/** How a cluster stands, in a word or two. */
function stateOf({ metadata, status }: Cluster): string {
  if (metadata.annotations?.[joiningAnnotation] !== undefined) return "Joining (not finished)";
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return ready?.status === "True" ? "Ready" : (ready?.reason ?? "Unknown");
}

function listCommand(group: Command): void {
  withMeshFlags(group.command("list"))
    .summary("list the mesh's clusters")
    .addOption(outputOption(["table", "json", "yaml", "name"]))
    .addHelpText("after", "\nExamples:\n  weft cluster list\n  weft cluster list -o yaml")
    .action(async (flags: MeshFlags & { readonly output: OutputFormat }) => {
      using mesh = await openMesh(flags);
      const { items } = await mesh.client.of<Cluster>(clusterKind).list();
      const { output } = flags;
      if (output === "json" || output === "yaml") process.stdout.write(serialize(items, output));
      else if (output === "name") for (const { metadata } of items) console.log(metadata.name);
      else process.stdout.write(listText(items));
    });
}

function listText(clusters: readonly Cluster[]): string {
  if (clusters.length === 0) return "the mesh has no clusters: weft cluster add lets one join\n";
  const header = ["NAME", "STATE", "NETWORK", "VERSION", "NODES", "PODS"];
  const rows = clusters.map((cluster) => {
    const { spec, status = {} } = cluster;
    const ranges = (status.podRanges ?? []).join(",");
    const cells = [spec.network, status.version, status.nodes?.toString(), ranges].map((cell) => cell || "-");
    return [cluster.metadata.name, stateOf(cluster), ...cells];
  });
  return table(header, rows);
}

/** What is wrong with a member, or was noticed of it, by its conditions. */
function aspects({ status }: Cluster): string {
  const conditions = status?.conditions ?? [];
  const lines = conditions.map(
    ({ type, status: value, reason, message }) =>
      `  ${type.padEnd(18)} ${value.padEnd(6)} ${reason}${message && `: ${message}`}\n`,
  );
  return lines.join("") || "  nothing says how it stands: see whether weft discovery runs\n";
}

async function check(name: string, flags: MeshFlags & MemberFlags & { readonly network?: string }): Promise<void> {
  using mesh = await openMesh(flags);
  const { items: clusters } = await mesh.client.of<Cluster>(clusterKind).list();
  const found = clusters.find(({ metadata }) => metadata.name === name);
  let wrong = found !== undefined && stateOf(found) !== "Ready";
  if (found) process.stdout.write(`${name} in the mesh: ${stateOf(found)}\n${aspects(found)}`);
  using member = flags.kubeconfig === undefined ? undefined : await openMember(flags.kubeconfig, flags);
  if (found) {
    const istio = await istioState(found, mesh.client, member?.client);
    console.log(checkLine({ check: "Istio's", ...istio }));
    wrong ||= istio.outcome === "failed";
  }
  if (member) {
    const { client, address } = member;
    const network = flags.network ?? found?.spec.network ?? "";
    const synced = found?.spec.istioObjects === "Synced";
    const injection = await injectionOf({ cluster: name, network, synced }, { controlPlane: true }, mesh.client);
    console.log(`${name} by its own API`);
    const candidate = {
      name,
      client,
      address,
      network,
      clusters,
      clock: systemClock,
      ...(injection && { injection }),
    };
    const results = await checkCandidate(candidate, (result) => console.log(checkLine(result)));
    wrong ||= results.some(({ outcome }) => outcome === "failed");
  } else if (!found) {
    throw new WeftError(
      "NotFound",
      `there is no cluster ${name} in the mesh: give --kubeconfig to check whether it could join`,
    );
  }
  if (wrong) process.exitCode = 1;
}

function checkCommand(group: Command): void {
  withMeshFlags(group.command("check"))
    .summary("show how a cluster stands, and whether it could join")
    .description(
      "Shows how a member stands. With --kubeconfig it makes the checks of a join, of a cluster that is no member too, and changes nothing. It ends with 1 where something is wrong.",
    )
    .argument("<name>", "the cluster's name in the mesh, now or after it has joined")
    .option("--kubeconfig <file>", "kubeconfig of an administrator of the cluster")
    .option("--context <name>", "context of the kubeconfig; the current one unless given")
    .option("--network <name>", "the network of its Pods; as the mesh has it unless given")
    .addHelpText(
      "after",
      "\nExamples:\n  weft cluster check east\n  weft cluster check west --kubeconfig ~/.kube/west --network vpc-1",
    )
    .action(check);
}

/** `weft cluster`. */
export function clusterCommand(program: Command): void {
  const group = program
    .command("cluster")
    .summary("let clusters join and leave the mesh")
    .description("Clusters of the mesh: how they join, stand, and leave.");
  addCommand(group);
  updateCommand(group);
  removeCommand(group);
  adoptCommand(group);
  listCommand(group);
  checkCommand(group);
  drainCommand(group);
  driftCommand(group);
}
