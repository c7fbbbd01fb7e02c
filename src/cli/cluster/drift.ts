import type { Command } from "commander";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { WeftError } from "#base/errors.ts";
import { type DriftReport, readDrift } from "#controllers/crd-sync/drift.ts";
import { type KeptVersion, keptVersions } from "#controllers/crd-sync/kept.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { table } from "../table.ts";
import { type MeshFlags, openMesh, withMeshFlags } from "./member.ts";

/** Where the mesh remembers what it keeps the same: Istio's root namespace. */
export const usualNamespace = "istio-system";

function listed({ total, items }: DriftReport): string {
  if (total === 0) return "objects: all are the same as the mesh's\n";
  const rows = items.map(({ object, reason, since, message }) => [object, reason, since, message]);
  const more = total > items.length ? `and ${total - items.length} more\n` : "";
  return table(["OBJECT", "REASON", "SINCE", "MESSAGE"], rows) + more;
}

function versions(kept: readonly KeptVersion[]): string {
  if (kept.length === 0) return "conflicts: nothing that was written did not stand\n";
  const rows = kept.map(({ object, reason, side, at, content, name }) => {
    const what = content === undefined ? "deletion" : "content";
    return [object, reason, `${what} in the ${side}`, at, `configmap/${name}`];
  });
  return table(["OBJECT", "REASON", "DID NOT STAND", "AT", "KEPT IN"], rows);
}

async function drift(
  name: string,
  flags: MeshFlags & { readonly output: OutputFormat; readonly namespace: string },
): Promise<void> {
  using mesh = await openMesh(flags);
  const { client } = mesh;
  const found = await client.of<Cluster>(clusterKind).find({ name });
  if (!found) throw new WeftError("NotFound", `there is no cluster ${name} in the mesh: see weft cluster list`);
  const place = { client, namespace: flags.namespace, member: name };
  const [report, kept] = [await readDrift(place), await keptVersions(place)];
  const { output } = flags;
  if (output === "json" || output === "yaml") {
    process.stdout.write(serialize({ ...(report ?? { total: 0, items: [] }), conflicts: kept }, output));
    return;
  }
  if (found.spec.istioObjects !== "Synced")
    process.stdout.write(`${name} is not kept the same as the mesh: its spec.istioObjects is not Synced\n`);
  else if (report) process.stdout.write(listed(report));
  else process.stdout.write("nothing was told yet: see whether weft discovery runs\n");
  process.stdout.write(versions(kept));
}

/** `weft cluster drift`. */
export function driftCommand(group: Command): void {
  withMeshFlags(group.command("drift"))
    .summary("show what a cluster and the mesh do not have alike")
    .description(
      "Lists the Istio objects that are not the same in the mesh and in a cluster whose own are kept so (spec.istioObjects: Synced), and what was written on one side and did not stand. Each such version is kept in a ConfigMap of the mesh until that is deleted.",
    )
    .argument("<name>", "the cluster's name in the mesh")
    .option("--namespace <name>", "the mesh's root namespace", usualNamespace)
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft cluster drift east\n  weft cluster drift east -o yaml")
    .action(drift);
}
