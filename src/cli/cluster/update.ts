import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { updateSteps } from "#controllers/clusters/join.ts";
import { Membership, joiningAnnotation } from "#controllers/clusters/membership.ts";
import { Presence } from "#controllers/clusters/presence.ts";
import { carryOut } from "#controllers/clusters/steps.ts";
import { Reach } from "#controllers/reach/reach.ts";
import { wholeNumber } from "../output.ts";
import { type InjectionFlags, injectionOf, withInjectionFlags } from "./injection.ts";
import { type IstioFlags, istioOf, withIstioFlags } from "./istio-objects.ts";
import { type MemberFlags, type MeshFlags, openMember, openMesh, withMeshFlags } from "./member.ts";
import { interrupted, lines, waiting } from "./progress.ts";
import { checkSame } from "./remove.ts";

interface UpdateFlags extends MeshFlags, MemberFlags, Omit<IstioFlags, "istioObjects">, InjectionFlags {
  readonly kubeconfig: string;
  readonly timeout: number;
}

async function update(name: string, flags: UpdateFlags): Promise<void> {
  using mesh = await openMesh(flags);
  using member = await openMember(flags.kubeconfig, flags);
  const { client } = member;
  const membership = new Membership(mesh.client, name, systemClock);
  const found = await membership.find();
  if (!found || found.metadata.annotations?.[joiningAnnotation] !== undefined) {
    const fix = `weft cluster add ${name} --kubeconfig ${flags.kubeconfig} lets it join`;
    throw new WeftError("NotFound", `there is no cluster ${name} in the mesh that has joined: ${fix}`);
  }
  const otherwise = await membership.otherwise(found);
  if (otherwise !== undefined)
    throw new WeftError("FailedPrecondition", `weft cluster add did not join ${name}: ${otherwise}`);
  await checkSame(client, name, found);
  const { istioObjects: how = "None", network = "" } = found.spec;
  const synced = how === "Synced";
  const istio = await istioOf(name, { ...flags, istioObjects: how }, mesh.client, client);
  const injection = await injectionOf({ cluster: name, network, synced }, flags, mesh.client);
  if (injection && "lack" in injection) throw new WeftError("FailedPrecondition", injection.lack);
  const reach = new Reach(client, systemClock);
  const presence = new Presence(client, { cluster: name, mesh: await membership.mesh(), synced }, systemClock);
  console.log(`updating ${name}`);
  const steps = updateSteps({
    presence,
    ...(istio && !("lack" in istio) && { istioObjects: istio }),
    injection: injection ? { ...injection, reach } : { reach, objects: [], revisions: [] },
    limitMs: flags.timeout * 1000,
    told: waiting,
    signal: interrupted(),
  });
  await carryOut(steps, lines);
  console.log(`${name} has what the mesh tells now`);
}

/** `weft cluster update`. */
export function updateCommand(group: Command): void {
  withInjectionFlags(withIstioFlags(withMeshFlags(group.command("update")), false))
    .summary("bring what a member has of the mesh up to date")
    .description(
      "Makes what weft cluster add makes in a cluster again, by this version and by the addresses that the mesh tells now: after the control plane moved, a revision was installed or removed, or Weft was upgraded. Its Pods are called and injected meanwhile as before.",
    )
    .argument("<name>", "the cluster's name in the mesh")
    .requiredOption("--kubeconfig <file>", "kubeconfig of an administrator of the cluster; it is used now and not kept")
    .option("--context <name>", "context of the kubeconfig; the current one unless given")
    .option("--timeout <seconds>", "how long the cluster may take to reach the mesh", wholeNumber(1, 3600), 120)
    .addHelpText("after", "\nExample:\n  weft cluster update east --kubeconfig ~/.kube/east")
    .action(update);
}
