import type { Command } from "commander";
import { kinds } from "#api/kinds.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { type CheckResult, checkCandidate } from "#controllers/clusters/checks.ts";
import { joinSteps } from "#controllers/clusters/join.ts";
import { Membership, joiningAnnotation } from "#controllers/clusters/membership.ts";
import { Presence } from "#controllers/clusters/presence.ts";
import { carryOut } from "#controllers/clusters/steps.ts";
import { Reach } from "#controllers/reach/reach.ts";
import { collected, wholeNumber } from "../output.ts";
import { allowSync } from "./allow-sync.ts";
import { type InjectionFlags, injectionOf, withInjectionFlags } from "./injection.ts";
import { type IstioFlags, istioOf, withIstioFlags } from "./istio-objects.ts";
import { type MemberFlags, type MeshFlags, openMember, openMesh, withMeshFlags } from "./member.ts";
import { checkLine, interrupted, lines, waiting } from "./progress.ts";

interface AddFlags extends MeshFlags, MemberFlags, IstioFlags, InjectionFlags {
  readonly kubeconfig: string;
  readonly network: string;
  readonly region?: string;
  readonly zone?: string;
  readonly ignore?: readonly string[];
  readonly timeout: number;
}

/** @throws WeftError `FailedPrecondition` when a check fails that is not ignored. */
function judge(results: readonly CheckResult[], ignored: readonly string[]): void {
  const failed = results.filter(
    ({ check, outcome }) => outcome === "failed" && !(check !== "reachable" && ignored.includes(check)),
  );
  if (failed.length === 0) return;
  const names = failed.map(({ check }) => check).join(", ");
  throw new WeftError("FailedPrecondition", `the cluster cannot join (${names}); nothing was changed`);
}

async function add(name: string, flags: AddFlags): Promise<void> {
  using mesh = await openMesh(flags);
  using member = await openMember(flags.kubeconfig, flags);
  const { network, region, zone, ignore = [] } = flags;
  const membership = new Membership(mesh.client, name, systemClock);
  const synced = flags.istioObjects === "Synced";
  const own = { cluster: name, mesh: await membership.mesh(), synced };
  const presence = new Presence(member.client, own, systemClock);
  const found = await membership.find();
  if (found && found.metadata.annotations?.[joiningAnnotation] === undefined) {
    throw new WeftError(
      "AlreadyExists",
      `${name} is a member already: weft cluster check ${name} tells how it stands; another cluster needs another name`,
    );
  }
  if (found) console.log(`going on with the join of ${name} that did not finish`);
  const { items: clusters } = await mesh.client.of<Cluster>(clusterKind).list();
  const { client, address } = member;
  const wanted = await istioOf(name, flags, mesh.client, client);
  const istio = wanted && "lack" in wanted ? undefined : wanted;
  const injection = await injectionOf({ cluster: name, network, synced }, flags, mesh.client);
  console.log(`checking ${name}`);
  const candidate = {
    name,
    client,
    address,
    network,
    clusters,
    clock: systemClock,
    ...(wanted && { istioKinds: "lack" in wanted ? wanted : kinds }),
    ...(injection && { injection }),
  };
  judge(await checkCandidate(candidate, (result) => console.log(checkLine(result))), ignore);
  const joined = await presence.joinedAs();
  if (joined && (joined.cluster !== name || joined.mesh !== own.mesh)) {
    const whose = joined.mesh === own.mesh ? "" : " of another mesh";
    const fix = `weft cluster remove ${joined.cluster} --kubeconfig ${flags.kubeconfig}`;
    throw new WeftError(
      "FailedPrecondition",
      `this cluster is the member ${joined.cluster}${whose} already, or was not cleaned when it left: ${fix}`,
    );
  }
  console.log(`joining ${name}`);
  if (synced) await allowSync(mesh.client);
  const { url, ca, serverName } = address;
  await carryOut(
    joinSteps({
      membership,
      presence,
      place: {
        network,
        ...(region !== undefined && { region }),
        ...(zone !== undefined && { zone }),
        ...(istio ? { istioObjects: "Aggregated" } : synced && { istioObjects: "Synced" }),
      },
      ...(istio && { istioObjects: istio }),
      ...(injection &&
        !("lack" in injection) && { injection: { ...injection, reach: new Reach(client, systemClock) } }),
      address: { url, ...(ca !== undefined && { ca }), ...(serverName !== undefined && { serverName }) },
      limitMs: flags.timeout * 1000,
      told: waiting,
      signal: interrupted(),
    }),
    lines,
  );
  console.log(`${name} has joined the mesh`);
}

/** `weft cluster add`. */
export function addCommand(group: Command): void {
  withInjectionFlags(withIstioFlags(withMeshFlags(group.command("add")), true))
    .summary("let a cluster join the mesh")
    .description(
      "Checks a Kubernetes cluster, makes an account for the control plane in it that may do no more than it must, and lets it join the mesh. When a step fails, all is undone. When the command itself is killed, the same again goes on, and weft cluster remove takes it back.",
    )
    .argument("<name>", "the cluster's name in the mesh: its id in Istio's sense")
    .requiredOption("--kubeconfig <file>", "kubeconfig of an administrator of the cluster; it is used now and not kept")
    .option("--context <name>", "context of the kubeconfig; the current one unless given")
    .option("--server <url>", "how the control plane reaches the cluster's API, where that is otherwise than from here")
    .option("--network <name>", "the network of its Pods; Pods of one network reach each other directly", "")
    .option("--region <name>", "the region of nodes that do not tell theirs")
    .option("--zone <name>", "the zone of nodes that do not tell theirs")
    .option("--ignore <check>", "let it join though this check fails; may be repeated", collected)
    .option("--timeout <seconds>", "how long the control plane may take to read it", wholeNumber(1, 3600), 120)
    .addHelpText(
      "after",
      "\nExamples:\n  weft cluster add east --kubeconfig ~/.kube/east --network vpc-1\n  weft cluster add west --kubeconfig ~/.kube/config --context west-admin --server https://10.2.0.10:6443 --network vpc-2 --region eu-west",
    )
    .action(add);
}
