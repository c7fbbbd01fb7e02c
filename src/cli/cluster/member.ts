import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { Client } from "#kube/client.ts";
import { Connection, type ServerAddress } from "#kube/connection.ts";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { type ApiContext, openApi } from "../context.ts";

/** Flags by which a command finds the mesh's API; those of other commands name a member here. */
export interface MeshFlags {
  readonly meshKubeconfig?: string;
  readonly meshContext?: string;
}

/** Flags by which a command finds a member's API. */
export interface MemberFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly server?: string;
}

/** Adds the flags of the mesh's API to a command. */
export function withMeshFlags(command: Command): Command {
  return command
    .option("--mesh-kubeconfig <file>", "kubeconfig of the mesh's API; else $KUBECONFIG, else the running demo's mesh")
    .option("--mesh-context <name>", "context of that kubeconfig; the current one unless given");
}

/** Opens the mesh's API. @throws WeftError that says what to give. */
export async function openMesh({ meshKubeconfig, meshContext }: MeshFlags): Promise<ApiContext> {
  return openApi({
    ...(meshKubeconfig !== undefined && { kubeconfig: meshKubeconfig }),
    ...(meshContext !== undefined && { context: meshContext }),
  });
}

/** A cluster's API, as who runs the command. */
export interface MemberApi extends Disposable {
  readonly client: Client;
  /** How it is reached, as the control plane is to reach it. */
  readonly address: ServerAddress;
}

/** Opens the API that a kubeconfig names. @throws WeftError as `readKubeconfig`. */
export async function openMember(kubeconfig: string, { context, server }: MemberFlags): Promise<MemberApi> {
  const found = await readKubeconfig(kubeconfig, context);
  const connection = new Connection(found.server, { clock: systemClock });
  const address = { ...found.server, ...(server !== undefined && { url: server }) };
  return { client: new Client(connection), address, [Symbol.dispose]: () => connection[Symbol.dispose]() };
}
