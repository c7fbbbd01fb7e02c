import type { Command } from "commander";
import type { Cluster } from "#api/weft/cluster.ts";
import { systemClock } from "#base/clock.ts";
import { equal } from "#base/canonical.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import { Installation } from "#controllers/aggregation/installation.ts";
import { leaveSteps } from "#controllers/clusters/leave.ts";
import { Membership } from "#controllers/clusters/membership.ts";
import { Presence } from "#controllers/clusters/presence.ts";
import { carryOut } from "#controllers/clusters/steps.ts";
import { Reach } from "#controllers/reach/reach.ts";
import type { Client } from "#kube/client.ts";
import { wholeNumber } from "../output.ts";
import { listProxies } from "../proxy/proxies.ts";
import { type MemberFlags, type MeshFlags, openMember, openMesh, withMeshFlags } from "./member.ts";
import { interrupted, lines, waiting } from "./progress.ts";

interface RemoveFlags extends MeshFlags, MemberFlags {
  readonly gone?: boolean;
  readonly force?: boolean;
  readonly timeout: number;
}

/** Proxies that run in the cluster and would lose the mesh. */
async function proxiesOf(mesh: Client, name: string): Promise<number> {
  try {
    return (await listProxies(mesh)).filter(({ spec }) => spec.cluster === name).length;
  } catch (error) {
    // An API that serves no proxies' states knows of none.
    if (codeOf(error) === "NotFound" || codeOf(error) === "Unavailable") return 0;
    throw error;
  }
}

/** @throws WeftError `InvalidArgument` where the kubeconfig is another cluster's. */
export async function checkSame(member: Client, name: string, found: Cluster | undefined): Promise<void> {
  const known = found?.status?.uid;
  if (known === undefined) return;
  const path = "/api/v1/namespaces/kube-system";
  const { metadata } = await member.json<{ readonly metadata: { readonly uid: string } }>({ method: "GET", path });
  if (metadata.uid === known) return;
  throw new WeftError(
    "InvalidArgument",
    `the kubeconfig leads to another cluster than ${name} (${metadata.uid}, not ${known})`,
  );
}

async function remove(name: string, flags: RemoveFlags): Promise<void> {
  const { kubeconfig, gone = false, force = false } = flags;
  if ((kubeconfig === undefined) !== gone) {
    throw new WeftError(
      "InvalidArgument",
      "give --kubeconfig, so that what the mesh has in the cluster is removed too, or --gone when the cluster does not exist any more",
    );
  }
  using mesh = await openMesh(flags);
  using member = kubeconfig === undefined ? undefined : await openMember(kubeconfig, flags);
  const membership = new Membership(mesh.client, name, systemClock);
  const found = await membership.find();
  const own = { cluster: name, mesh: await membership.mesh() };
  const otherwise = gone && found ? undefined : await membership.otherwise(found);
  if (otherwise !== undefined) {
    throw new WeftError("FailedPrecondition", `weft cluster add did not join ${name}: ${otherwise}`);
  }
  const presence = member && new Presence(member.client, own, systemClock);
  if (!found && !equal(await presence?.joinedAs(), own)) {
    throw new WeftError(
      "NotFound",
      `there is no cluster ${name} in the mesh, nor a trace of it in the cluster: weft cluster list shows all`,
    );
  }
  if (member) await checkSame(member.client, name, found);
  const proxies = await proxiesOf(mesh.client, name);
  if (proxies > 0 && !force) {
    throw new WeftError(
      "FailedPrecondition",
      `${proxies} proxies run in ${name}, whose workloads would lose the mesh: take their sidecars away first, or give --force`,
    );
  }
  console.log(`removing ${name}`);
  // What was never read has nothing that callers are led to.
  const wasRead =
    found?.status?.conditions?.some(({ type, status }) => type === "Synced" && status === "True") === true;
  const drains = wasRead && !force;
  const limitMs = flags.timeout * 1000;
  const steps = leaveSteps({
    membership,
    drains,
    limitMs,
    told: waiting,
    signal: interrupted(),
    ...(presence && { presence }),
    ...(member && {
      installation: new Installation(member.client, systemClock),
      reach: new Reach(member.client, systemClock),
    }),
  });
  await carryOut(steps, lines);
  console.log(`${name} has left the mesh`);
}

/** `weft cluster remove`. */
export function removeCommand(group: Command): void {
  withMeshFlags(group.command("remove"))
    .summary("take a cluster out of the mesh")
    .description(
      "Leads nobody to the cluster any more, waits until all proxies know, and removes everything that the mesh has of it and in it. When the command is cut off, the same again goes on.",
    )
    .argument("<name>", "the cluster's name in the mesh")
    .option("--kubeconfig <file>", "kubeconfig of an administrator of the cluster")
    .option("--context <name>", "context of the kubeconfig; the current one unless given")
    .option("--gone", "the cluster does not exist any more: remove it from the mesh alone")
    .option("--force", "do not wait for proxies, and take the mesh from those that run in the cluster")
    .option("--timeout <seconds>", "how long proxies may take to know", wholeNumber(1, 3600), 120)
    .addHelpText(
      "after",
      "\nExamples:\n  weft cluster remove east --kubeconfig ~/.kube/east\n  weft cluster remove lost --gone",
    )
    .action(remove);
}
