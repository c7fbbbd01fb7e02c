import { isIP } from "node:net";
import type { ListenAddress } from "#apiserver/listener.ts";
import { Backoff } from "#base/backoff.ts";
import { messageOf } from "#base/errors.ts";
import { type MembersAddress, publishMembersAddress } from "#controllers/aggregation/published.ts";
import type { Client } from "#kube/client.ts";
import { ClusterMembers } from "./cluster-members.ts";
import { serveMember, type ServedCluster, type ServingContext } from "./members.ts";

/** How a server serves members. */
export interface MembersOptions {
  readonly listen: ListenAddress;
  /** By what name or addresses API servers of members reach it; that which it listens on where there are none. */
  readonly hosts: readonly string[];
  /** The port at which they do; that which it listens on unless told. */
  readonly port?: number;
  /** Members that no `Cluster` object tells of. */
  readonly clusters: readonly ServedCluster[];
}

/** What serving members needs. */
export interface ServeMembersContext extends ServingContext {
  /** The mesh's own API. */
  readonly mesh: Client;
}

/** Addresses that name no machine. */
const everywhere: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** How members reach the server, as it knows. */
function addressOf({ listen, hosts, port }: MembersOptions, { apis }: ServingContext): MembersAddress {
  const { address, authority } = apis;
  const own = "host" in listen && !everywhere.has(listen.host) ? listen.host : undefined;
  const told = hosts.length > 0 || own === undefined ? hosts : [own];
  // Kubernetes refuses endpoints on loopback; a name of it is taken where the API server runs beside this one.
  const named = told.map((host) => (isIP(host) !== 0 && /^(?:127\.|::1$)/.test(host) ? "localhost" : host));
  return { authority, port: port ?? ("port" in address ? address.port : 0), hosts: named };
}

/** Says in the mesh's API how members reach it, as soon as that can be written. */
async function publish(options: MembersOptions, context: ServeMembersContext, signal: AbortSignal): Promise<void> {
  const { mesh, clock, logger } = context;
  const backoff = new Backoff({ initialMs: 200, maxMs: 30_000 });
  while (!signal.aborted) {
    try {
      await publishMembersAddress(mesh, addressOf(options, context));
      return;
    } catch (error) {
      if (signal.aborted) return;
      logger.warn("it cannot be written how members reach the mesh's API; trying again", { error: messageOf(error) });
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
    }
  }
}

/** Serves the mesh's objects to the members that the server is told of, and those whose `Cluster` asks for it, until the signal aborts. */
export async function serveMembers(
  options: MembersOptions,
  context: ServeMembersContext,
  signal: AbortSignal,
): Promise<void> {
  const { clusters } = options;
  const except = new Set(clusters.map(({ name }) => name));
  await Promise.all([
    publish(options, context, signal),
    new ClusterMembers({ ...context, except }, signal).run(),
    ...clusters.map((one) => serveMember(one, context, signal)),
  ]);
}
