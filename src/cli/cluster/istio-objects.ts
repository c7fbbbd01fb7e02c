import { isIP } from "node:net";
import { type Command, InvalidArgumentError, Option } from "commander";
import { kinds } from "#api/kinds.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { guardObjects } from "#controllers/aggregation/guard-objects.ts";
import { Installation } from "#controllers/aggregation/installation.ts";
import { type MemberObject, memberObjects, type Reach } from "#controllers/aggregation/objects.ts";
import { readMembersAddress } from "#controllers/aggregation/published.ts";
import type { Lack } from "#controllers/clusters/checks.ts";
import { memberAccount, memberNamespace } from "#controllers/clusters/member-objects.ts";
import type { Client } from "#kube/client.ts";

/** Flags by which a cluster is told to serve the mesh's Istio objects. */
export interface IstioFlags {
  readonly istioObjects?: "Aggregated" | "Synced" | "None";
  readonly membersAddress?: { readonly host: string; readonly port: number };
  readonly guardImage?: string;
}

/** Addresses of IP are reached by what is made of addresses; a name by a Service that is only a name. */
export function reachOf(hosts: readonly string[], port: number): Reach {
  const name = hosts.find((host) => isIP(host) === 0);
  return name === undefined ? { kind: "addresses", addresses: hosts, port } : { kind: "name", host: name, port };
}

function hostAndPort(text: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^\[?([^\]]+)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535 || Number(port) === 0)
    throw new InvalidArgumentError("write it as mesh.example.com:15443.");
  return { host, port: Number(port) };
}

/** Adds the flags of `IstioFlags` to a command. @param chosen whether it may be chosen that there are none. */
export function withIstioFlags(command: Command, chosen: boolean): Command {
  if (chosen) {
    command.addOption(
      new Option(
        "--istio-objects <how>",
        "how the cluster serves the mesh's Istio objects; Aggregated where the mesh's API server has an address for it, unless given",
      ).choices(["Aggregated", "Synced", "None"]),
    );
  }
  return command
    .option(
      "--members-address <host:port>",
      "where the cluster's API server reaches the mesh's, where that is otherwise than weft server says",
      hostAndPort,
    )
    .option(
      "--guard-image <image>",
      "run the guard of namespaces in the cluster, from an image that has weft in its path",
    );
}

/** What makes a cluster serve the mesh's Istio objects. */
export interface Serving {
  readonly installation: Installation;
  readonly objects: readonly MemberObject[];
}

/**
 * What makes a cluster serve the mesh's Istio objects; why it cannot, where nobody asked for it; undefined where it is not to.
 * @throws WeftError `FailedPrecondition` where somebody asked, and the mesh has no address for that.
 */
export async function istioOf(
  member: string,
  { istioObjects, membersAddress, guardImage }: IstioFlags,
  mesh: Client,
  client: Client,
): Promise<Serving | Lack | undefined> {
  if (istioObjects === "None" || istioObjects === "Synced") return undefined;
  const published = await readMembersAddress(mesh);
  const hosts = membersAddress ? [membersAddress.host] : (published?.hosts ?? []);
  if (published === undefined || hosts.length === 0) {
    const lack =
      published === undefined
        ? "the mesh's API server serves no members: start weft server with --members-address, or give --istio-objects None"
        : "the mesh's API server does not say by what name it is reached: give --members-address here, or --members-host to weft server, or --istio-objects None";
    if ((istioObjects ?? membersAddress ?? guardImage) === undefined) return { lack };
    throw new WeftError("FailedPrecondition", lack);
  }
  const { authority } = published;
  const reach = reachOf(hosts, membersAddress?.port ?? published.port);
  const account = { kind: "ServiceAccount", namespace: memberNamespace, name: memberAccount } as const;
  const objects = memberObjects({ member, authority, reach, account, kinds });
  const guard = guardImage === undefined ? [] : guardObjects(guardImage);
  return { installation: new Installation(client, systemClock), objects: [...objects, ...guard] };
}
