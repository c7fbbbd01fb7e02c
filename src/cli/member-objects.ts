import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { stringify } from "yaml";
import { kinds } from "#api/kinds.ts";
import { memberObjects } from "#controllers/aggregation/objects.ts";
import { reachOf } from "./cluster/istio-objects.ts";
import { wholeNumber } from "./output.ts";

interface MemberObjectsFlags {
  readonly authority: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** `weft member-objects`. */
export function memberObjectsCommand(program: Command): void {
  program
    .command("member-objects")
    .summary("print what a cluster needs to serve the mesh's Istio objects as its own")
    .description(
      "Prints, as YAML for kubectl apply, the APIServices, the Service and the roles by which a cluster's API server passes requests for Istio's kinds on to the mesh's.",
    )
    .argument("<cluster>", "the cluster's id: the name of its Cluster, or that of weft server --member")
    .requiredOption(
      "--authority <file>",
      "the authority of weft server's members, PEM: members/ca.crt in its --state-dir",
    )
    .requiredOption("--host <host>", "name or address at which the cluster's API server reaches --members-address")
    .requiredOption("--port <port>", "its port", wholeNumber(1, 65_535))
    .option("--user <name>", "the user of the kubeconfig by which weft server asks the cluster", "weft")
    .addHelpText(
      "after",
      "\nExample:\n  weft member-objects east --authority api/members/ca.crt --host mesh.example.com --port 15443 | kubectl apply -f -",
    )
    .action((cluster: string, flags: MemberObjectsFlags) => {
      const authority = readFileSync(flags.authority, "utf8");
      const account = { kind: "User", name: flags.user } as const;
      const objects = memberObjects({
        member: cluster,
        authority,
        reach: reachOf([flags.host], flags.port),
        account,
        kinds,
      });
      process.stdout.write(objects.map((object) => `---\n${stringify(object)}`).join(""));
    });
}
